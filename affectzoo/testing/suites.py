"""Which checks a component gets, by the type of its spec, and a pytest test of each."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from affectzoo.errors import ConfigError
from affectzoo.registry import KINDS, ComponentSpec, registry, suggestion
from affectzoo.testing.check import Check, CheckFailed, Subject
from affectzoo.testing.hook_module import HOOK_CHECK, declaring_module

#: Registry kind -> the module whose `CHECKS` (name, promise, function) are made of it; `HOOK_CHECK` joins them for every kind.
_SUITES = {
    "backbone": "affectzoo.testing.backbones",
    "block": "affectzoo.testing.blocks",
    "dataset": "affectzoo.testing.datasets",
    "detector": "affectzoo.testing.detectors",
    "fusion": "affectzoo.testing.fusions",
    "temporal": "affectzoo.testing.temporals",
}


def checks(
    spec: ComponentSpec | Subject | str,
    *,
    kind: str = "",
    config: Mapping[str, Any] | None = None,
    variant: str = "",
    only: Iterable[str] | None = None,
) -> list[Check]:
    """The checks of one component; call each, or read its `name` and `promise`.

    The plugin need not be installed, unless its component is called by name. Where no imported module declares the spec through
    a hook, as for a component of this session, the check of the hook module is not among them.

    Args:
        spec: as the plugin's hook returns it, or the name of a component that is installed or of this session; a `Subject`
            brings its own config and variant.
        kind: what a name is the name of, such as `fusion`.
        config: keywords of the constructor, over its defaults: small widths make quick checks.
        variant: what follows the prefix of a family, such as `resnet18` of `timm/`; a name says it itself.
        only: names of checks; None for all.

    Raises:
        ConfigError: a kind without checks, a family without a variant, or no check of such a name.
        PluginError: the spec itself is unusable.
        UnknownNameError, NameCollisionError: a name that leads to no component, or to several.
    """
    if isinstance(spec, Subject):
        if config is not None or variant:
            raise ConfigError(f"{spec.name}: a Subject has its own config and variant; give them there")
        subject = spec
    elif isinstance(spec, str):
        if kind not in _SUITES or variant:
            raise ConfigError(
                f"{spec!r} is a name: say the whole of it, and what it names as kind={' or '.join(map(repr, _SUITES))}"
            )
        entry = registry().find(kind, spec)
        subject = Subject(kind, entry.spec, dict(config or {}), entry.variant)  # pyright: ignore[reportArgumentType]
    else:
        subject = Subject(_kind_of(spec), spec, dict(config or {}), variant)
    wrong = {kind or subject.kind, subject.kind} - {_kind_of(subject.spec)}
    if wrong:
        raise ConfigError(f"{subject.name!r} has the spec of a {_kind_of(subject.spec)}, not of a {wrong.pop()}")
    subject.spec.validate()
    if subject.spec.is_family and not subject.variant:
        raise ConfigError(f"{subject.name!r} is a family of components; say which one to check, as variant=")
    rows = list(importlib.import_module(_SUITES[subject.kind]).CHECKS)
    if declaring_module(subject) is not None:
        rows.append(HOOK_CHECK)
    known = [name for name, _, _ in rows]
    chosen = known if only is None else [only] if isinstance(only, str) else list(only)
    for name in chosen:
        if name not in known:
            raise ConfigError(_no_such_check(name, subject.name, known))
    return [Check(name, promise, subject, function) for name, promise, function in rows if name in chosen]


def parametrize_with_checks(
    specs: Iterable[ComponentSpec | Subject],
    *,
    expected_failures: Mapping[str, str | Mapping[str, str]] | None = None,
) -> Callable[[Any], Any]:
    """A pytest decorator: one test for each check of each component, to be called in the test's body.

        @parametrize_with_checks([SPEC])
        def test_contract(check: Check) -> None:
            check()

    Args:
        specs: as for `checks`, but no names: tests are collected before a plugin need be installed.
        expected_failures: check -> reason, or component -> {check: reason}: strict, so that a check which holds again fails.

    Raises:
        ConfigError: no list of specs, or an expected failure of something that is not checked, or without a reason.
    """
    import pytest

    if isinstance(specs, ComponentSpec | Subject):
        raise ConfigError(f"parametrize_with_checks takes a list of specs; put {specs.name!r} into one")
    made = [check for spec in specs for check in checks(spec)]
    if not made:
        raise ConfigError("parametrize_with_checks was given no spec: nothing would be checked")
    reasons = _reasons(made, expected_failures or {})
    parameters = []
    for check in made:
        reason = reasons.get((check.subject.name, check.name))
        marks = () if reason is None else pytest.mark.xfail(reason=reason, strict=True, raises=CheckFailed)
        parameters.append(pytest.param(check, id=f"{check.subject.name}-{check.name}", marks=marks))
    return pytest.mark.parametrize("check", parameters)


def _kind_of(spec: ComponentSpec) -> str:
    for kind, (_, spec_type) in KINDS.items():
        if kind in _SUITES and isinstance(spec, spec_type):
            return kind
    raise ConfigError(f"there are no checks for {type(spec).__name__}, only for the specs of {', '.join(_SUITES)}")


def _reasons(made: list[Check], expected: Mapping[str, str | Mapping[str, str]]) -> dict[tuple[str, str], str]:
    """(component, check) -> why it fails."""
    found = {}
    for key, value in expected.items():
        everywhere = not isinstance(value, Mapping)
        if not everywhere and key not in {check.subject.name for check in made}:
            raise ConfigError(f"expected_failures names {key!r}, which is none of the components that are checked")
        candidates = made if everywhere else [check for check in made if check.subject.name == key]
        for name, reason in ({key: value} if everywhere else value).items():
            rows = [check for check in candidates if check.name == name]
            if not isinstance(reason, str) or not reason.strip():
                raise ConfigError(f"expected_failures: say why {name!r} is expected to fail, instead of {reason!r}")
            if not rows:
                where = "these components" if everywhere else key
                raise ConfigError(f"expected_failures: {_no_such_check(name, where, sorted({c.name for c in candidates}))}")
            found |= {(check.subject.name, check.name): reason for check in rows}
    return found


def _no_such_check(name: str, component: str, known: list[str]) -> str:
    return f"{component}: there is no check {name!r}.{suggestion(name, known)} The checks are {', '.join(known)}."
