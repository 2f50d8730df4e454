"""`affectzoo.load`: a model in one line."""

from __future__ import annotations

from pathlib import Path

from affectzoo.hub.resolve import resolve
from affectzoo.model.affect_model import AffectModel
from affectzoo.remote.options import DownloadOptions


def load(
    name: str | Path,
    *,
    dtype: str | None = None,
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
) -> AffectModel:
    """Load a pretrained model, strictly: every tensor present, no random weights, no code run.

    Args:
        name: a zoo name (`affectzoo list`), `org/repo[@revision]` on the Hub, or a folder.
        dtype: `float32`, `float16` or `bfloat16`; None keeps the saved one.
        revision, token, cache_dir, local_files_only, force_download: for the Hub.

    Returns:
        The model on the CPU in evaluation mode; `model.source` says where it came from.

    Raises:
        AffectzooError: one sentence that names what is wrong and what to do.
    """
    options = DownloadOptions(revision, token, cache_dir, local_files_only, force_download)
    found = resolve(name, options)
    model = AffectModel.from_folder(found.folder, dtype=dtype)
    model.source = f"{found.source} ({found.revision})" if found.revision else found.source
    return model
