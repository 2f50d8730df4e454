"""`affectzoo.load`: a model in one line; and a copy of its files in a folder of one's own."""

from __future__ import annotations

import filecmp
import os
import shutil
from pathlib import Path

import torch

from affectzoo.errors import InputError
from affectzoo.hub.resolve import Resolved, resolve
from affectzoo.model.affect_model import AffectModel
from affectzoo.model.checkpoint import CARD_FILE, CONFIG_FILE, INDEX_FILE, weight_files
from affectzoo.model.device import usable_device
from affectzoo.remote.options import DownloadOptions


def load(
    name: str | Path,
    *,
    dtype: str | None = None,
    device: str | torch.device | None = None,
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
) -> AffectModel:
    """Load a pretrained model, strictly: every tensor present, no random weights, no code run.

    Args:
        name: a zoo name (`affectzoo list`), `org/repo[@revision]` on the Hub, or a folder.
        dtype: `float32`, `float16` or `bfloat16`; None keeps the saved one, but on the CPU it makes float32 of float16, which
            processors compute slowly or not at all.
        device: such as `cpu` or `cuda:0`; None is the CPU.
        revision, token, cache_dir, local_files_only, force_download: for the Hub.

    Returns:
        The model in evaluation mode; `model.source` says where it came from, `model.revision` of which commit it is,
        `model.said` its licence and what to beware of.

    Raises:
        AffectzooError: one sentence that names what is wrong and what to do. What the Hub's client raised keeps its type.
    """
    place = usable_device(device or "cpu")
    found = resolve(name, DownloadOptions(revision, token, _text(cache_dir), local_files_only, force_download))
    model = AffectModel.from_folder(found.folder, dtype=dtype)
    if dtype is None and model.config.dtype == "float16" and place.type == "cpu":
        model = model.float()
    model.source = f"{found.source} ({found.revision})" if found.revision else found.source
    model.revision = found.revision
    model.said = found.said
    return model.to(place)


def copy_model(found: Resolved, folder: Path) -> Path:
    """Copy a model's files into a folder that does not exist yet, is empty, or holds just this model. Returns the folder.

    Raises:
        InputError: the folder holds something else, or cannot be written.
        CheckpointError: the model's weights are incomplete.
    """
    names = [CONFIG_FILE, *(path.name for path in weight_files(found.folder))]
    names += [name for name in (INDEX_FILE, CARD_FILE) if (found.folder / name).is_file()]
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; give a folder to copy into")
    if folder.is_dir() and any(folder.iterdir()):
        if _is_same(found.folder, folder, names):
            return folder
        raise InputError(f"{folder} is not empty and holds something other than {found.source}; give another folder")
    # Beside it: surely the same file system, so that it is renamed whole.
    final = folder.absolute()
    temporary = final.with_name(f".{final.name}.{os.getpid()}.part")
    try:
        temporary.mkdir(parents=True)
        for name in names:
            shutil.copyfile(found.folder / name, temporary / name)
        temporary.replace(final)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror or error}; choose another place") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _is_same(model: Path, folder: Path, names: list[str]) -> bool:
    _, different, unreadable = filecmp.cmpfiles(model, folder, names, shallow=False)
    return not different and not unreadable


def _text(path: str | Path | None) -> str | None:
    return None if path is None else str(path)
