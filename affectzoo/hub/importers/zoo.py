"""Zoo models whose weights are somebody else's file: fetched and converted once, then a cached affectzoo folder."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from affectzoo.errors import ConfigError, DownloadError, InputError, PluginError, UnknownNameError
from affectzoo.registry import Entry, ModelSpec, registry
from affectzoo.remote.options import DownloadOptions

if TYPE_CHECKING:
    from affectzoo.hub.importers.contract import Imported

CACHE_VARIABLE = "AFFECTZOO_CACHE"

_ADVICE = f"set {CACHE_VARIABLE} to a folder of yours"


def imported_folder(spec: ModelSpec, options: DownloadOptions) -> Path:
    """The converted model of a zoo entry with an importer; no request and no torch where it is cached.

    Processes that want the same model wait for the one that is making it. What an interrupted one left is never loaded.

    Raises:
        InputError: a revision, which a pinned model does not have; or the cache cannot be written.
        DownloadError: the file cannot be had, is not the pinned one, or is not cached and the network may not be used.
        CheckpointError, PluginError: it could not be converted.
    """
    if options.revision:
        raise InputError(f"{spec.name} is pinned by its card and has no revision {options.revision!r}; leave it out")
    entry = _importer_of(spec)
    final = cache_folder(options.cache_dir) / _key(spec, entry)
    if _is_whole(final) and not options.force_download:
        return final
    _refuse_offline(spec, options)
    with _alone(final):
        if options.force_download or not _is_whole(final):  # another process may have made it meanwhile
            _make(spec, entry, final, options)
    return final


def _importer_of(spec: ModelSpec) -> Entry:
    try:
        return registry().find("importer", spec.importer)
    except UnknownNameError as error:
        raise PluginError(
            f"{spec.name} is converted by the importer {spec.importer!r}, which no loaded plugin has; `affectzoo plugins` says "
            "which are not loaded and why, and the first-party ones come with `pip install affectzoo[zoo]`"
        ) from error


def cache_folder(cache_dir: str | None = None) -> Path:
    """Where converted models are kept: `cache_dir`, `$AFFECTZOO_CACHE`, or `affectzoo` in the user's cache folder."""
    if cache_dir:
        root = Path(cache_dir)
    elif os.environ.get(CACHE_VARIABLE):
        root = Path(os.environ[CACHE_VARIABLE])
    else:
        root = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "affectzoo"
    return root.expanduser() / "imported"


def _key(spec: ModelSpec, entry: Entry) -> str:
    """The model, its exact file, and the release that converts it: another one of any of them is another folder."""
    pin = spec.digest.partition(":")[2] or spec.location.partition("@")[2] or "unpinned"
    name = re.sub(r"[^\w.+-]", "--", f"{spec.name}-{pin[:12]}")
    return f"{name}-{entry.distribution}-{entry.version}"


def _is_whole(folder: Path) -> bool:
    """Whether it is there; it comes by one rename, so that it is there whole."""
    return (folder / "config.json").is_file()


def _refuse_offline(spec: ModelSpec, options: DownloadOptions) -> None:
    from huggingface_hub import constants

    if not (options.local_files_only or constants.HF_HUB_OFFLINE):
        return
    if options.force_download:
        raise InputError(f"{spec.name} cannot be fetched again without the network; leave out force_download, or go online")
    if spec.is_address:
        raise DownloadError(
            f"{spec.name} is not cached and local_files_only or HF_HUB_OFFLINE forbids the network; "
            f"connect once, or choose a bundled model (`affectzoo list` names them)"
        )


@contextmanager
def _alone(final: Path) -> Iterator[None]:
    """No other process makes this folder inside the block."""
    from huggingface_hub.utils import WeakFileLock

    from affectzoo.hub.importers.building import remove_leftovers

    with ExitStack() as stack:
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(WeakFileLock(final.with_name(f".{final.name}.lock")))
        except OSError as error:
            raise InputError(f"{final.parent} cannot be written: {error.strerror or error}; {_ADVICE}") from error
        remove_leftovers(final)
        yield


def _make(spec: ModelSpec, entry: Entry, final: Path, options: DownloadOptions) -> None:
    from affectzoo.cards.statement import with_statement
    from affectzoo.hub.importers.building import MODEL, SOURCE, building
    from affectzoo.hub.importers.convert import run_importer, save_proved
    from affectzoo.hub.importers.run import converted_from, files_of
    from affectzoo.hub.importers.source import from_address, from_hub
    from affectzoo.remote.address import shown

    card = _zoo_card(spec)  # first: nothing is fetched for a model whose card is broken
    location = spec.location.partition("://")[2]
    place = shown(spec.location) if spec.is_address else f"{location} on the Hub"
    size = f"{spec.size_mb:.1f} MB, " if spec.size_mb else ""
    print(f"affectzoo: {spec.name} comes from {place} ({size}licence {spec.licence}); converted into {final}", file=sys.stderr)
    function = entry.resolve()
    with building(final, replace=True, advice=_ADVICE) as scratch:
        if spec.is_address:
            source = from_address(spec.location, scratch / SOURCE, spec.digest)
        else:
            repo, _, revision = location.partition("@")
            source = from_hub(repo, revision or None, files_of(function), options)
        imported = run_importer(entry, source.path, {})
        origin = f"## Where these weights came from\n\n{converted_from(source, entry)}\n"
        page = with_statement(f"{card or _own_card(spec, imported)}\n{origin}")
        where = f"importer {entry.name!r} of {entry.provider}"
        save_proved(imported.model, scratch / MODEL, card=page, dtype=None, where=where)


def _zoo_card(spec: ModelSpec) -> str:
    """The README made of the zoo's card; empty where the plugin ships none."""
    from affectzoo.cards.bundled import Card, card_text, parse_card
    from affectzoo.cards.model_card import zoo_card

    if not spec.card:
        return ""
    card = parse_card(card_text(spec), spec.card)
    if not isinstance(card, Card):
        raise ConfigError(f"{spec.card} is the card of an architecture, not of the model {spec.name}")
    return zoo_card(card)


def _own_card(spec: ModelSpec, imported: Imported) -> str:
    """A README from what the importer says."""
    from affectzoo.cards.model_card import model_card

    return model_card(
        imported.model.config,
        name=spec.name,
        licence=spec.licence,
        parameters=imported.model.parameter_count(),
        notes=imported.notes,
        caution=spec.caution or imported.caution,
    )
