"""What every download is told alike."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class DownloadOptions:
    """Given to every download alike.

    Attributes:
        revision: branch, tag or commit.
        token: of the Hub; None uses the saved login. Never printed, never saved.
        cache_dir: None is the Hub client's own.
        local_files_only: never ask the network.
        force_download: fetch again although cached.
    """

    revision: str | None = None
    token: str | None = field(default=None, repr=False)
    cache_dir: str | None = None
    local_files_only: bool = False
    force_download: bool = False
