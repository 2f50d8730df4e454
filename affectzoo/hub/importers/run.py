"""`affectzoo import`: somebody else's checkpoint becomes an affectzoo folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from affectzoo.errors import ConfigError, InputError
from affectzoo.hub.importers.building import MODEL, SOURCE, building
from affectzoo.hub.importers.source import Source, locate
from affectzoo.registry import Entry, ImporterSpec, registry
from affectzoo.remote.options import DownloadOptions


def import_checkpoint(
    kind: str,
    source: str | Path,
    out: str | Path,
    *,
    options: Mapping[str, Any] | None = None,
    name: str | None = None,
    dtype: str | None = None,
    digest: str = "",
    download: DownloadOptions | None = None,
    say: Callable[[str], None] | None = None,
) -> Path:
    """Convert a public checkpoint; nothing of it is run. The model is saved, loaded again and compared before it counts.

    Args:
        kind: an importer (`affectzoo list importers`).
        source: a file, a folder, an https address, or `org/name[@revision]` on the Hub.
        out: the folder to write; absent or empty.
        options: of the importer (`affectzoo info KIND`).
        name: how the card calls the model; the folder's name where it is left out.
        dtype: `float32`, `float16` or `bfloat16`; None is that of the importer's model: float32,
            whatever the file has, unless the importer says otherwise.
        digest: `git:` and a blob id, or `sha256:`, of a single file; checked before it is read.
        download: for the Hub.
        say: is given what the importer has to say, a sentence at a time.

    Returns:
        `out`, ready for `affectzoo.load`.

    Raises:
        AffectzooError: one sentence that names what is wrong and what to do. `out` is then as it was.
    """
    entry = registry().find("importer", kind)
    out = Path(out).expanduser()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} exists and is not an empty folder; choose another folder")

    from affectzoo.cards.model_card import model_card
    from affectzoo.hub.importers.convert import run_importer, save_proved
    from affectzoo.model.checkpoint import DTYPES

    if dtype is not None and dtype not in DTYPES:
        raise ConfigError(f"dtype {dtype!r} is not one of {', '.join(DTYPES)}")
    function = entry.resolve()
    with building(out, replace=False, advice="choose another folder") as scratch:
        found = locate(source, scratch / SOURCE, files=files_of(function), digest=digest, options=download)
        imported = run_importer(entry, found.path, options or {})
        assert isinstance(entry.spec, ImporterSpec)
        card = model_card(
            imported.model.config,
            name=name or out.resolve().name,
            licence=entry.spec.weights_licence or None,
            parameters=imported.model.parameter_count(),
            notes=[sentence(imported.summary), *imported.notes, converted_from(found, entry)],
            caution=imported.caution,
        )
        save_proved(
            imported.model, scratch / MODEL, card=card, dtype=dtype, where=f"importer {entry.name!r} of {entry.provider}"
        )
    for remark in (imported.summary, *imported.notes, imported.caution):
        if say is not None and remark:
            say(remark)
    return out


def files_of(function: Any) -> tuple[str, ...]:
    """The names that an importer may be given from a Hub repository: its attribute `files`; none for one that reads a file."""
    return tuple(getattr(function, "files", ()))


def converted_from(source: Source, entry: Entry) -> str:
    """Where the weights came from, for the card."""
    return f"Converted from {source.origin} by the importer `{entry.name}` of {entry.provider}."


def sentence(text: str) -> str:
    """With a full stop."""
    return text if text.endswith((".", "!", "?")) else f"{text}."
