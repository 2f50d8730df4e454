"""The rows of a suite that every kind of module has, in one order and under one name each."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from affectzoo.testing import running
from affectzoo.testing.check import Subject

#: Name, promise, and the function that raises `CheckFailed`.
Row = tuple[str, str, Callable[[Subject], None]]


def on_inputs(
    given: Mapping[str, Any], inputs: Callable[[], Any]
) -> Callable[[Callable[[Subject, Mapping[str, Any], Any], None]], Callable[[Subject], None]]:
    """Gives a function of `running` what the surrounding model decides and the kind's `inputs`, made anew for each check."""

    def of(function: Callable[[Subject, Mapping[str, Any], Any], None]) -> Callable[[Subject], None]:
        @functools.wraps(function)
        def check(subject: Subject) -> None:
            function(subject, given, inputs())

        return check

    return of


def promises_of_any_module(
    on_args: Callable[[Callable[[Subject, Mapping[str, Any], Any], None]], Callable[[Subject], None]],
    given: Mapping[str, Any],
    *,
    alone: str,
    unchanged: str,
    inputs_unchanged: Callable[[Subject], None] | None = None,
) -> tuple[Row, ...]:
    """From `batch-of-one-equals-batch-of-many` to `exported`.

    Args:
        on_args: gives a function of `running` the inputs of the kind.
        given: what the surrounding model decides, for checks that need no inputs.
        alone, unchanged: the promises of a batch of one and of inputs, in the kind's words.
        inputs_unchanged: another check of the inputs than that of `running`.
    """
    return (
        ("batch-of-one-equals-batch-of-many", alone, on_args(running.batch_of_one_equals_batch_of_many)),
        ("permutation", "Permuting the batch permutes the output.", on_args(running.permutation)),
        ("save-and-load", "State dict and config rebuild it to the last bit.", on_args(running.save_and_load)),
        (
            "config-round-trip",
            "Its saved config survives JSON and saves itself again.",
            lambda subject: running.config_round_trip(subject, given),
        ),
        (
            "unknown-key-refused",
            "An unknown config key is refused.",
            lambda subject: running.unknown_key_refused(subject, given),
        ),
        (
            "half-precision",
            "Finite as a bfloat16 module, which gives bfloat16, and under autocast.",
            on_args(running.half_precision),
        ),
        ("deterministic", "The same seed gives the same numbers, in eval and in training.", on_args(running.deterministic)),
        ("inputs-unchanged", unchanged, inputs_unchanged or on_args(running.inputs_unchanged)),
        ("compiled", "torch.compile gives the same numbers.", on_args(running.compiled)),
        ("exported", "torch.export gives the same numbers.", on_args(running.exported)),
    )
