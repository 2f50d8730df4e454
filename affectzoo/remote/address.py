"""One file from a plain address: fetched whole, checked before anybody reads it, or not there at all."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from affectzoo.errors import AffectzooError, DownloadError, InputError
from affectzoo.files import replacing

#: Larger than any checkpoint of a model that runs on one machine; an endless answer ends here.
LIMIT_BYTES = 20_000_000_000

_CHUNK_BYTES = 1 << 20
_DIGEST = re.compile(r"git:[0-9a-f]{40}|sha256:[0-9a-f]{64}")
_SCHEMES = ("https://", "http://")
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_PAGE_STARTS = (b"<!doctype html", b"<html")
#: A page that shows a file -> the address of the file itself; GitHub's `raw` follows Git LFS too.
_VIEWERS = (
    (re.compile(r"(https?://(?:www\.)?github\.com/[^/]+/[^/]+)/blob/(.+)"), r"\1/raw/\2"),
    (re.compile(r"(https?://huggingface\.co/.+?)/blob/(.+)"), r"\1/resolve/\2"),
    (re.compile(r"(https?://[^/]+/.+/-)/blob/(.+)"), r"\1/raw/\2"),
)
_RAW_GITHUB = re.compile(r"https?://raw\.githubusercontent\.com/([^/]+/[^/]+)/(.+)")


def is_address(text: str) -> bool:
    """Whether this is an address rather than a path or a name."""
    return text.lower().startswith(_SCHEMES)


def shown(url: str) -> str:
    """The address for messages and cards: without user, password and query, which may hold secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def digest_of(path: Path, kind: str = "sha256") -> str:
    """`sha256:` and 64, or `git:` and 40 hex digits: Git's id of a blob, the SHA-1 of `blob SIZE\\0` and the bytes."""
    with path.open("rb") as file:
        if kind == "sha256":
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        blob = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
        return f"git:{hashlib.file_digest(file, lambda: blob).hexdigest()}"


def check_digest_form(digest: str) -> None:
    """Raise `InputError` where this is no digest."""
    if not _DIGEST.fullmatch(digest):
        raise InputError(f"digest {digest!r} must be git: and 40, or sha256: and 64 hex digits in lower case")


def fetch(
    url: str,
    folder: Path,
    *,
    digest: str = "",
    limit_bytes: int = LIMIT_BYTES,
    timeout_s: float = 60.0,
) -> Path:
    """Fetch one file into `folder`, under the last part of its address; a progress bar on a terminal.

    The Hub client's session is used, so proxies and `HF_HUB_OFFLINE` count; no token is ever sent.

    Args:
        url: `https://...`; `http://` only with a digest.
        folder: made where it is absent.
        digest: as `digest_of` gives it; empty where nothing is known of the file.
        limit_bytes: a larger file is refused.
        timeout_s: longest silence of the server.

    Raises:
        DownloadError: the file cannot be had or is not the one that was meant. Nothing is left behind.
        InputError: an address or a digest of another form, or `folder` cannot be written.
    """
    if digest:
        check_digest_form(digest)
    _check_address(url, digest)
    path = folder / _file_name(url)
    with replacing(path) as temporary:
        with temporary.open("wb") as file, closing(_chunks(url, digest, limit_bytes, timeout_s)) as chunks:
            for chunk in chunks:
                file.write(chunk)
        if digest:
            found = digest_of(temporary, digest.partition(":")[0])
            if found != digest:
                raise DownloadError(
                    f"{shown(url)} is not the file that was meant: its digest is {found}, not {digest}; it was deleted unread"
                )
    return path


def _check_address(url: str, digest: str) -> None:
    try:
        host = urlsplit(url).hostname
    except ValueError:  # half an IPv6 host
        host = None
    if not is_address(url) or not host:
        raise InputError(f"{url!r} is not an address; it must begin with https:// and a host")
    for page, file in _VIEWERS:
        if page.fullmatch(shown(url)):
            raise DownloadError(f"{shown(url)} is a page about the file; its own address is {page.sub(file, shown(url))}")
    _check_way(url, shown(url), digest)


def _check_way(way: str, name: str, digest: str) -> None:
    if not digest and urlsplit(way).scheme != "https":
        raise DownloadError(f"{name} comes over plain http, which anybody on the way can change; give https, or a digest")


def _file_name(url: str) -> str:
    """The last part of the address; importers may read the variant of a model from it."""
    name = PurePosixPath(unquote(urlsplit(url).path)).name
    if name in ("", "..") or re.search(r"[\x00-\x1f\\:]", name):
        return "download"
    return name[-100:]


def _chunks(url: str, digest: str, limit_bytes: int, timeout_s: float) -> Generator[bytes]:
    """The bytes of the answer; whatever goes wrong on the way is one sentence."""
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    name = shown(url)
    if constants.HF_HUB_OFFLINE:
        raise DownloadError(f"{name} cannot be fetched offline; unset HF_HUB_OFFLINE, or give a file on this machine")
    # A compressed answer would have another length than the file.
    headers = {"Accept-Encoding": "identity"}
    answered, received = False, 0
    try:
        with get_session().stream("GET", url, headers=headers, timeout=timeout_s, follow_redirects=True) as response:
            answered = True
            _check_way(str(response.url), name, digest)
            _check_status(response, name)
            total = _length(response)
            _check_size(total, name, limit_bytes)
            with _progress(PurePosixPath(name).name, total) as advance:
                for chunk in response.iter_bytes(_CHUNK_BYTES):
                    if not received:
                        _check_start(chunk, response.headers.get("content-type", ""), name)
                    received += len(chunk)
                    _check_size(received, name, limit_bytes)
                    advance(len(chunk))
                    yield chunk
    except AffectzooError:
        raise
    except Exception as error:  # of the client in use: httpx, httpx2 or whatever the session was made of
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if answered:
            raise DownloadError(f"{name} broke off after {received:,} bytes ({reason}); try again") from error
        raise DownloadError(f"{name} cannot be reached ({reason}); check the connection and try again") from error
    if not received:
        raise DownloadError(f"{name} is empty; check the address")


def _check_status(response: Any, name: str) -> None:
    status = response.status_code
    if status == 200:
        return
    if status in (404, 410):
        raise DownloadError(f"{name} does not exist (HTTP {status}); check the address")
    if status in (401, 403):
        raise DownloadError(f"{name} is not given to everybody (HTTP {status}); fetch it by other means and give the file")
    if status == 429:
        wait = response.headers.get("retry-after", "")
        after = f" in {wait} s" if wait.isdigit() else " later"
        raise DownloadError(f"{name} was asked for too often (HTTP 429); try again{after}")
    if status >= 500:
        raise DownloadError(f"{name} cannot be served at the moment (HTTP {status}); try again later")
    raise DownloadError(f"{name} was answered with HTTP {status}; check the address")


def _length(response: Any) -> int | None:
    text = response.headers.get("content-length", "")
    return int(text) if text.isdigit() else None


def _check_size(size: int | None, name: str, limit_bytes: int) -> None:
    if size is not None and size > limit_bytes:
        raise DownloadError(f"{name} is larger than {limit_bytes:,} bytes and is not fetched; check the address")


def _check_start(chunk: bytes, content_type: str, name: str) -> None:
    """A host that means to be helpful answers with something else than the file, and with status 200."""
    if chunk.startswith(_LFS_POINTER):
        itself = _RAW_GITHUB.sub(r"https://media.githubusercontent.com/media/\1/\2", name)
        instead = f"the file itself is at {itself}" if itself != name else "give the address of the file itself"
        raise DownloadError(f"{name} is a Git LFS pointer, not the file; {instead}")
    if content_type.startswith("text/html") or chunk[:200].lstrip().lower().startswith(_PAGE_STARTS):
        raise DownloadError(f"{name} is a web page, not a file; give the address behind its download button")


@contextmanager
def _progress(name: str, total: int | None) -> Iterator[Callable[[int], object]]:
    """Yields a function that takes the bytes that came in; draws nothing into a file or a pipe."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    err = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(name, total=total)
        yield lambda size: bar.advance(task, size)
