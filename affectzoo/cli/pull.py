"""`affectzoo pull`: a model's files onto this machine, checked; what it is and where it lies."""

from __future__ import annotations

from pathlib import Path

from affectzoo.cli.console import out as console, remark
from affectzoo.errors import RegistryError


def pull_model(
    name: str,
    *,
    out: Path | None = None,
    revision: str | None = None,
    cache_dir: Path | None = None,
    local_files_only: bool = False,
    force: bool = False,
) -> None:
    """Fetch a model, check its config and every header, load it strictly where its plugins are there, and describe it.

    The token of the saved login or of `HF_TOKEN` is used; none is ever an argument, which other users of a machine can see.
    """
    from affectzoo.hub.pull import copy_model
    from affectzoo.hub.resolve import resolve
    from affectzoo.model.affect_model import AffectModel
    from affectzoo.model.checkpoint import check_header, read_config, weight_files
    from affectzoo.remote.options import DownloadOptions

    options = DownloadOptions(
        revision=revision,
        cache_dir=None if cache_dir is None else str(cache_dir),
        local_files_only=local_files_only,
        force_download=force,
    )
    found = resolve(name, options)
    config = read_config(found.folder)
    weights = weight_files(found.folder)
    for path in weights:
        check_header(path)
    try:
        AffectModel.from_folder(found.folder)
    except RegistryError as error:
        remark(f"not loaded: {error}")
    folder = found.folder if out is None else copy_model(found, out)
    facts = {
        "folder": str(folder),
        "commit": found.revision,
        "size": f"{sum(path.stat().st_size for path in weights) / 1e6:.1f} MB",
        "licence": found.said.licence or "not said",
        "targets": ", ".join(target.name for target in config.predicted_targets),
        "caution": found.said.caution,
    }
    for label, value in facts.items():
        if value:  # never wrapped: a folder is there to be copied
            console.print(f"{label:9}{value}", markup=False, soft_wrap=True)
