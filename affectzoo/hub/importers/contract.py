"""What an importer gives back.

An importer is a function `convert(source: Path, **options) -> Imported`, named by an `ImporterSpec`. `source` is a file, or a
folder where the importer reads several files; it runs nothing of what it reads (`affectzoo.read_state_dict`), fills the
model strictly (`affectzoo.load_state`) and raises `CheckpointError` in one sentence where the file is not of its kind. Its
attribute `files` names what may be fetched from a Hub repository; a pickle among them only where there are no safetensors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from affectzoo.model.affect_model import AffectModel


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A converted checkpoint.

    Attributes:
        model: with every weight from the checkpoint; in evaluation mode, on the CPU.
        summary: one line: what it predicts, from what.
        notes: sentences on what differs from the original or had to be decided (order of outputs, ranges, margins).
        caution: one sentence shown whenever the model is used, empty where there is nothing to warn of.
    """

    model: AffectModel
    summary: str
    notes: tuple[str, ...] = ()
    caution: str = ""
