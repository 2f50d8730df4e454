"""What a spec points at, and its arguments: for kinds that are no `nn.Module`, which `Subject.build` does not make."""

from __future__ import annotations

from typing import Any

from affectzoo.errors import ConfigError
from affectzoo.registry import SESSION, Entry, check_arguments, registry
from affectzoo.testing.check import CheckFailed, Subject

#: An option that no component has.
UNKNOWN_KEY = "key_that_nothing_takes"


def target_of(subject: Subject) -> Any:
    """The class or function behind the subject's spec."""
    if subject.spec.target.startswith(f"{SESSION}:"):
        return registry().find(subject.kind, subject.name, SESSION).resolve()
    return Entry(subject.kind, subject.spec, "under-test", "", variant=subject.variant).resolve()


def arguments_of(subject: Subject, **over: Any) -> dict[str, Any]:
    """Its full keyword arguments: `over`, over the subject's config, over the defaults.

    Raises:
        ConfigError: an unknown or a missing key.
    """
    given = {"variant": subject.variant} if subject.variant else {}
    config = {**subject.config, **over}
    return {**given, **check_arguments(target_of(subject), given, config, f"{subject.kind} {subject.name!r}")}


def unknown_key_refused(subject: Subject) -> None:
    """Raise `CheckFailed` where an option that does not exist is taken."""
    try:
        arguments_of(subject, **{UNKNOWN_KEY: 1})
    except ConfigError as error:
        if UNKNOWN_KEY in str(error):
            return
        raise
    raise CheckFailed(f"the option {UNKNOWN_KEY!r} was accepted, so a misspelt one would be ignored; name every option, no **")
