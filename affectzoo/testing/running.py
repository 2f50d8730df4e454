"""What the checks of several kinds share: seeded modules and inputs, comparisons, and the promises that any module keeps.

A module's positional arguments are a tuple of tensors, mappings of tensors and None, the batch first in each tensor.
`given` is what the surrounding model decides, as `Subject.build` takes it.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor
from torch.nn.parameter import is_lazy

from affectzoo.config import ComponentConfig
from affectzoo.errors import CheckpointError, ConfigError
from affectzoo.model.checkpoint import dtype_of, storable
from affectzoo.testing.check import CheckFailed, Subject, first_line
from affectzoo.testing.targets import UNKNOWN_KEY

#: Float32 results of the same equations in another order or blocking of the sums differ by a few units in the last place.
CLOSE = {"atol": 1e-5, "rtol": 1e-4}
EXACT = {"atol": 0.0, "rtol": 0.0}

#: A parameter below this throughout, such as a gate that starts at zero, would hide what is behind it from every check.
_FAINT = 0.01
#: Passes until every parameter is reached: chance leaves layers out in training, a half of them where it goes far.
_ATTEMPTS = 16


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """The CPU generator at `seed`, and afterwards as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def draw(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal float32 numbers, the same at every call."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def each(function: Callable[[Tensor], Any], tree: Any) -> Any:
    """`function` of every tensor in nested tuples, lists and mappings; everything else as it is."""
    if isinstance(tree, Tensor):
        return function(tree)
    if isinstance(tree, Mapping):
        return {key: each(function, value) for key, value in tree.items()}
    return type(tree)(each(function, value) for value in tree) if isinstance(tree, tuple | list) else tree


def described(tree: Any) -> str:
    """Types and shapes of the tensors in `tree`, for a message; they are drawn from seed 0, as the weights are."""
    return f"{each(_Shown, tree)} of seed 0"


class _Shown:
    """A tensor as its type and shape."""

    def __init__(self, x: Tensor) -> None:
        self.text = f"{str(x.dtype).removeprefix('torch.')}{list(x.shape)}"

    def __repr__(self) -> str:
        return self.text


def expect(holds: object, message: str) -> None:
    """Raise `CheckFailed` unless it holds."""
    if not holds:
        raise CheckFailed(message)


def same(actual: Any, expected: Any, claim: str, *, atol: float, rtol: float) -> None:
    """Raise `CheckFailed`, with the claim and the largest difference, unless both hold equal numbers; NaN equals nothing."""
    try:
        torch.testing.assert_close(actual, expected, atol=atol, rtol=rtol)
    except (AssertionError, TypeError) as error:
        raise CheckFailed(f"{claim}: {' '.join(str(error).split())}") from error


def finite(tree: Any, claim: str) -> None:
    """Raise `CheckFailed` where a tensor holds NaN or infinity."""

    def look(x: Tensor) -> None:
        bad = int((~x.isfinite()).sum())
        expect(not bad, f"{claim}: {bad} of {x.numel()} values are not finite")

    each(look, tree)


def built(subject: Subject, given: Mapping[str, Any], seed: int = 0) -> Any:
    """A new component in eval mode, its weights drawn under `seed`, none of them faint throughout."""
    with seeded(seed):
        module = subject.build(**given).eval()
        for name, parameter in module.named_parameters():
            if is_lazy(parameter):
                raise CheckFailed(f"{name} has no shape before the first forward pass; give its layer all its widths")
            if parameter.requires_grad and not (parameter.abs() > _FAINT).any():
                parameter.data.add_(0.1 * torch.randn_like(parameter))
        return module


def rebuilt(subject: Subject, module: Any, given: Mapping[str, Any], seed: int = 0) -> Any:
    """As `built`, from the config that `module` saves, through JSON."""
    text = json.dumps(module.component.to_json())
    saved = ComponentConfig.parse(json.loads(text), where=subject.name)
    return built(replace(subject, config=saved.config), given, seed)


@contextmanager
def telling(claim: str) -> Iterator[None]:
    """`CheckFailed`, with the claim in front, for what is raised within."""
    try:
        yield
    except Exception as error:
        raise CheckFailed(f"{claim}: {first_line(error)}") from error


def run(module: Callable[..., Any], args: tuple[Any, ...], **keywords: Any) -> Any:
    """The output without gradients, from a copy of the arguments: what a module does to them stays in this call."""
    with torch.no_grad():
        return module(*copy.deepcopy(args), **keywords)


def batch_of_one_equals_batch_of_many(subject: Subject, given: Mapping[str, Any], args: tuple[Any, ...]) -> None:
    module = built(subject, given)
    whole = run(module, args)
    for i in range(_batch(args)):
        one = run(module, each(lambda x, i=i: x[i : i + 1], args))
        same(
            one, each(lambda x, i=i: x[i : i + 1], whole), f"row {i} of {described(args)} alone, and within its batch", **CLOSE
        )


def permutation(subject: Subject, given: Mapping[str, Any], args: tuple[Any, ...]) -> None:
    module = built(subject, given)
    with seeded(1):
        orders = [list(reversed(range(_batch(args)))), torch.randperm(_batch(args)).tolist()]
    whole = run(module, args)
    for order in orders:
        turned = run(module, each(lambda x, order=order: x[order], args))
        expected = each(lambda x, order=order: x[order], whole)
        same(turned, expected, f"{described(args)} with its rows in the order {order}", **CLOSE)


def _batch(args: tuple[Any, ...]) -> int:
    sizes: list[int] = []
    each(lambda x: sizes.append(len(x)), args)
    return sizes[0]


def gradients_reach_every_parameter(subject: Subject, given: Mapping[str, Any], passes: Sequence[tuple[Any, ...]]) -> None:
    """In training mode, by any one of the passes: some parameters act on some inputs, or some times, only."""
    module = built(subject, given).train()
    reached: set[str] = set()
    trainable = {name: p for name, p in module.named_parameters() if p.requires_grad}
    for attempt in range(_ATTEMPTS):
        for args in passes:
            module.zero_grad(set_to_none=True)
            with seeded(2 + attempt):
                output = module(*copy.deepcopy(args))
            if not output.requires_grad:
                continue
            # A plain sum would leave nothing to learn after a normalisation.
            (output * draw(*output.shape, seed=3)).sum().backward()
            gradients = {name: p.grad for name, p in trainable.items() if p.grad is not None}
            for name, gradient in gradients.items():
                finite(gradient, f"the gradient of {name} for {described(args)}")
            reached |= {name for name, gradient in gradients.items() if gradient.any()}
        if len(reached) == len(trainable):
            return
    without = ", ".join(name for name in trainable if name not in reached)
    raise CheckFailed(f"no gradient reaches {without}; use it, drop it, or freeze it with requires_grad_(False)")


def save_and_load(subject: Subject, given: Mapping[str, Any], args: tuple[Any, ...]) -> None:
    module = built(subject, given)
    with seeded(1):
        run(module.train(), args)  # what training changes besides the weights must be saved too
    other = rebuilt(subject, module.eval(), given, seed=2)
    try:
        state = storable(module.state_dict())
        if any(tensor.is_floating_point() for tensor in state.values()):
            dtype_of(state)
    except CheckpointError as error:
        raise CheckFailed(f"a model with it cannot be saved: {error}") from error
    try:
        other.load_state_dict(load(save(state)), strict=True)
    except RuntimeError as error:
        raise CheckFailed(f"its state_dict does not fit what its config builds: {' '.join(str(error).split())}") from error
    claim = f"{described(args)} after saving and loading; all that makes the numbers must be a parameter, a buffer or config"
    same(run(other, args), run(module, args), claim, **EXACT)


def config_round_trip(subject: Subject, given: Mapping[str, Any]) -> None:
    module = built(subject, given)
    saved, again = module.component.config, rebuilt(subject, module, given).component.config
    expect(again == saved, f"what its saved config {saved} builds saves another config: {again}")


def unknown_key_refused(subject: Subject, given: Mapping[str, Any]) -> None:
    try:
        built(replace(subject, config={**subject.config, UNKNOWN_KEY: 1}), given)
    except ConfigError as error:
        if UNKNOWN_KEY in str(error):
            return
        raise
    raise CheckFailed(f"the config key {UNKNOWN_KEY!r} was accepted; a misspelt option would be ignored")


def half_precision(subject: Subject, given: Mapping[str, Any], args: tuple[Any, ...]) -> None:
    module = built(subject, given)
    low_args = each(lambda x: x.bfloat16() if x.is_floating_point() else x, args)
    claim = f"the bfloat16 module on {described(low_args)}"
    with telling(f"{claim} (what forward makes must have the dtype of its input)"):
        low = run(copy.deepcopy(module).bfloat16(), low_args)
    finite(low, claim)
    each(lambda x: expect(x.dtype is torch.bfloat16, f"the bfloat16 module gives {x.dtype} for {described(low_args)}"), low)
    claim = f"under autocast to bfloat16, {described(args)}"
    with telling(claim), torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = run(module, args)
    finite(mixed, claim)


def deterministic(subject: Subject, given: Mapping[str, Any], args: tuple[Any, ...]) -> None:
    used = built(subject, given)
    run(used, _others(args))
    claim = f"{described(args)} in eval mode, from one that was given other inputs before, and from a new one"
    same(run(used, args), run(built(subject, given), args), claim, **EXACT)

    def trained() -> Any:
        fresh = built(subject, given, seed=3).train()
        with seeded(4):
            return run(fresh, args)

    claim = f"{described(args)} twice in training mode, built and run under the same torch.manual_seed"
    same(trained(), trained(), claim, **EXACT)


def inputs_unchanged(subject: Subject, given: Mapping[str, Any], args: tuple[Any, ...], **keywords: Any) -> None:
    for training in (False, True):
        module, handed = built(subject, given).train(training), copy.deepcopy(args)
        with torch.no_grad():
            module(*handed, **keywords)
        same(handed, args, f"the inputs {described(args)} after the forward pass, train={training}", **EXACT)


def compiled(subject: Subject, given: Mapping[str, Any], args: tuple[Any, ...]) -> None:
    """Backend `eager`: what can go wrong in a component is its capture; generating kernels would take many seconds."""
    module = built(subject, given)
    torch.compiler.reset()  # or a class compiled often already would silently run uncompiled
    faster = torch.compile(module, backend="eager")
    try:
        for inputs in (args, _others(args)):
            claim, expected = f"{described(inputs)} under torch.compile", run(module, inputs)
            with telling(claim):
                numbers = run(faster, inputs)
            same(numbers, expected, claim, **CLOSE)
    finally:
        torch.compiler.reset()


def exported(subject: Subject, given: Mapping[str, Any], args: tuple[Any, ...]) -> None:
    """Non-strict: Python is run, not parsed, as exporters to other runtimes do it."""
    module = built(subject, given)
    with telling(f"torch.export with {described(args)} (no branch and no size may depend on what a tensor holds)"):
        program = torch.export.export(module, copy.deepcopy(args), strict=False).module()
    for inputs in (args, _others(args)):  # other numbers too: nothing of the example may be baked in
        same(run(program, inputs), run(module, inputs), f"{described(inputs)} through torch.export", **CLOSE)


def _others(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Rows in another order and halved: other values of the same shapes and kinds."""
    return each(lambda x: x.flip(0) / 2 if x.is_floating_point() else x.flip(0), args)
