"""What a check is: a name, what it protects, and a function that raises `CheckFailed`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from affectzoo.registry import ComponentSpec


def first_line(error: BaseException) -> str:
    """Type and first line of what was raised; the rest, and where it was raised, stand in the cause."""
    return f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}"


class CheckFailed(AssertionError):  # noqa: N818 - pytest and people read it as a failed check, not as an error
    """A component breaks its contract; the message says with which input, what came out and what should have."""


@dataclass(frozen=True)
class Subject:
    """A component under test.

    Attributes:
        kind: registry kind, such as `fusion`.
        spec: as its plugin declares it.
        config: keywords of its constructor, over its defaults.
        variant: what follows the family's prefix; empty for a spec that is no family.
    """

    kind: str
    spec: ComponentSpec
    config: Mapping[str, Any] = field(default_factory=dict)
    variant: str = ""

    @property
    def name(self) -> str:
        return self.spec.name + self.variant

    def build(self, **given: Any) -> Any:
        """A new one, built as the core builds it from a config: arguments checked, contract checked, config saved.

        Args:
            given: what the surrounding model decides: `dims` and `seq_len` of a fusion, `in_dim` of a temporal encoder, ...
        """
        from affectzoo.config import ComponentConfig
        from affectzoo.model.build import build_entry
        from affectzoo.registry import SESSION, Entry, registry

        entry = Entry(self.kind, self.spec, "under-test", "", variant=self.variant)
        if self.spec.target.startswith(f"{SESSION}:"):
            entry = registry().find(self.kind, self.name, SESSION)
        return build_entry(entry, ComponentConfig(name=self.name, config=dict(self.config)), **given)


@dataclass(frozen=True)
class Check:
    """One promise of a contract, about one component.

    Attributes:
        name: such as `batch-of-one-equals-batch-of-many`; the same for every component of the kind.
        promise: what holds, one sentence.
        subject: what it is about.
        function: raises `CheckFailed` where it does not hold.
    """

    name: str
    promise: str
    subject: Subject
    function: Callable[[Subject], None]

    def __call__(self) -> None:
        """Raise `CheckFailed`, component and check in front, where the promise does not hold or anything else is raised."""
        try:
            self.function(self.subject)
        except CheckFailed as error:
            raise CheckFailed(f"{self}: {str(error).removeprefix(f'{self.subject.name}: ')}") from error
        except (Exception, SystemExit) as error:  # a component that calls sys.exit must not end the list of checks
            raise CheckFailed(f"{self}: {first_line(error)}") from error

    def __str__(self) -> str:
        return f"{self.subject.name}: {self.name}"
