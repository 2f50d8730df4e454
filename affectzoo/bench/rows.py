"""The rows of a comparison: which fusions under which names, each with its own options."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from affectzoo.config import ComponentConfig
from affectzoo.errors import AffectzooError, ConfigError
from affectzoo.registry import registry
from affectzoo.train.experiment import apply_override

#: What an override of one fusion's own options begins with: `fusions.leader-follower.leader=gaze`.
OPTIONS = "fusions."
#: A name of a row stands in paths, tables and options.
_ROW = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Candidate:
    """What one row is about: a fusion under the row's name, or one modality `alone` without any."""

    kind: Literal["fusion", "alone"]
    name: str

    @property
    def key(self) -> str:
        """Where its runs are; no two have the same."""
        return f"{self.kind}/{self.name}"

    @property
    def called(self) -> str:
        """For people: `concat`, or `visual alone`."""
        return self.name if self.kind == "fusion" else f"{self.name} alone"


def rows_of(given: Sequence[str]) -> dict[str, str]:
    """Row -> registry name of its fusion, of `NAME` and `ROW=NAME`.

    A distribution before a name is dropped where the name alone is enough, so that one fusion is not two rows.

    Raises:
        ConfigError: a row without a name, or with that of another fusion, or one that is given twice.
        UnknownNameError, NameCollisionError: a fusion that nobody provides, or several do.
    """
    rows: dict[str, str] = {}
    for text in given:
        row, equals, name = text.partition("=") if "=" in text else ("", "", text)
        row, name = row.strip(), _shortest(name.strip())
        if equals and not _ROW.fullmatch(row):
            raise ConfigError(f"{text}: a row is called by letters, digits, '.', '_' and '-', as in mine-2={name}")
        if equals and row != name and row in registry().names("fusion"):
            raise ConfigError(f"{text}: {row} is a fusion itself, so no row of {name} can be called so; choose another name")
        row = row or name
        if row in rows:
            raise ConfigError(f"the fusion {row} is given twice; give it once, or a second row another name: {row}-2={name}")
        rows[row] = name
    return rows


def _shortest(name: str) -> str:
    entry = registry().find("fusion", name)
    try:
        registry().find("fusion", entry.name)
    except AffectzooError:  # several provide it
        return name
    return entry.name


def every_fusion(say: Callable[[str], None]) -> list[str]:
    """All that are registered, but for families, of which `say` is told."""
    names = registry().names("fusion")
    for family in [name for name in names if name.endswith("/")]:
        say(f"{family} is a family of fusions: name those of it that should take part")
    return [name for name in names if not name.endswith("/")]


def components(own: ComponentConfig | None, rows: Mapping[str, str], options: Sequence[str]) -> dict[str, ComponentConfig]:
    """Row -> its fusion with the options of `fusions.row.key=value`.

    Args:
        own: the experiment's own fusion, whose options its row keeps.
        rows: row -> fusion.
        options: of single rows.

    Raises:
        ConfigError: an option of no row.
    """
    found: dict[str, dict[str, Any]] = {row: {"name": name, "config": {}} for row, name in rows.items()}
    if own is not None and (kept := _shortest(own.name)) in rows:
        found[kept] = {**own.to_json(), "name": kept}
    for option in options:
        # A name may have a dot in it, and be the beginning of another.
        meant = [row for row in rows if option.startswith(f"{OPTIONS}{row}.")]
        if not meant:
            raise ConfigError(
                f"{option} is an option of no fusion that takes part; say {OPTIONS}NAME.key=value of {', '.join(rows)}"
            )
        row = max(meant, key=len)
        found[row] = apply_override(found[row], f"config.{option.removeprefix(f'{OPTIONS}{row}.')}")
    return {row: ComponentConfig.parse(given, where=f"{OPTIONS}{row}") for row, given in found.items()}


def called(candidate: Candidate, run: Mapping[str, Any]) -> str:
    """One run for people: `concat, seed 0, fold 3`."""
    return f"{candidate.called}, seed {run['seed']}" + (f", fold {run['fold']}" if "fold" in run else "")


def reason(error: BaseException) -> str:
    """One sentence; of an error that is not ours its kind too, and its traceback on standard error."""
    if isinstance(error, AffectzooError):
        return str(error)
    traceback.print_exception(error)
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0] if text else 'no message'}"
