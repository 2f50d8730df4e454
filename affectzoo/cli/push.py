"""`affectzoo push`: what was uploaded, left as it was and deleted, and where it is now."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from affectzoo.cli.console import out, remark
from affectzoo.remote.upload import Plan


def push_folder(
    folder: Path,
    repo: str,
    *,
    private: bool | None,
    revision: str | None,
    create_pr: bool,
    tags: Sequence[str],
    licence: str | None,
    message: str | None,
    dry_run: bool,
) -> None:
    """Push a run or a model folder and say what became of each file; raises `AffectzooError` where nothing was pushed."""
    from affectzoo.hub.push import push

    done, remarks = push(
        folder,
        repo,
        private=private,
        revision=revision,
        create_pr=create_pr,
        tags=tags,
        licence=licence,
        message=message,
        dry_run=dry_run,
    )
    for sentence in remarks:
        remark(sentence)
    planned = isinstance(done, Plan)
    named = (("uploaded", done.uploaded), ("unchanged", done.unchanged), ("deleted", done.deleted))
    for what, names in named:
        if names:
            _tell(f"would be {what}" if planned and what != "unchanged" else what, ", ".join(names))
    if isinstance(done, Plan):
        for sentence in done.remarks:
            remark(sentence)
        out.print(f"dry run: nothing was changed in {done.repo}", markup=False, soft_wrap=True)
        return
    _tell("commit", done.commit)
    _tell("pull request" if done.pull_request else "address", done.pull_request or done.url)


def _tell(label: str, text: str) -> None:
    out.print(f"{label + ':':<19}{text}", markup=False, soft_wrap=True)
