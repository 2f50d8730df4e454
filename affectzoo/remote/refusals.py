"""What the Hub's client raises, as one sentence that says what to do. The client's type stays: both kinds of handler work."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from affectzoo.errors import AffectzooError, DownloadError

#: Tokens of the Hub have 34 letters and digits, those of a login by browser more; a repository may well be called `hf_toy`.
_TOKEN = re.compile(r"\b(hf|api_org)_(oauth_[\w.-]+|[A-Za-z0-9]{8,})")
_FULL = {errno.ENOSPC, errno.EDQUOT}
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}


@contextmanager
def hub_errors(wanted: str, *, doing: str = "fetched from", token: str | None = None) -> Iterator[None]:
    """Give whatever the Hub's client raises inside the block one sentence; affectzoo's own errors pass.

    What is raised is a `DownloadError` and an instance of the client's own class at once, with its attributes (`response`,
    `errno`, ...); `str()` of it is the sentence. No token stands in it.

    Args:
        wanted: how the sentence names it, as the user wrote it: `org/name` or `org/name@revision`.
        doing: what was being done, such that `could not be DOING the Hub` reads well.
        token: never to be shown, whatever it looks like.
    """
    try:
        yield
    except AffectzooError:
        raise
    except Exception as error:
        sentence = without_token(_sentence(error, without_token(wanted, token), doing), token)
        # A header that cannot be sent is quoted by the client, token and all: such a cause is not shown either.
        shown = error if without_token(str(error), token) == str(error) else None
        raise refusal(error, sentence) from shown


def refusal(error: Exception, sentence: str) -> DownloadError:
    """`sentence` as a `DownloadError` that is also of `error`'s class and has its attributes."""
    return _beside(type(error), sentence, vars(error), getattr(error, "errno", None))


def without_token(text: str, token: str | None = None) -> str:
    """`text` without the token given, without that of the environment, and without anything that looks like one."""
    for known in (token, os.environ.get("HF_TOKEN")):
        if known:
            text = text.replace(known, "hf_...")
    return _TOKEN.sub(r"\1_...", text)


def is_out_of_reach(error: BaseException) -> bool:
    """Whether the Hub gave no answer that concerns the question: no connection, a trouble of its own, too many requests."""
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, HfHubHTTPError):
        return error.response.status_code >= 500 or error.response.status_code == 429
    # Every other error of the HTTP library (httpx or httpx2, by the client's release) concerns the way there.
    return isinstance(error, HfHubHTTPError.__bases__[0] | ConnectionError | TimeoutError) or _is_no_hub(error)


class _ClientError(DownloadError):
    """Made beside the client's class; shows the sentence alone, whatever the other class makes of its arguments."""

    def __init__(self, sentence: str) -> None:
        self.args = (sentence,)

    def __str__(self) -> str:
        return str(self.args[0])

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _beside, (type(self).__bases__[1], self.args[0], vars(self), getattr(self, "errno", None))


@cache
def _class_beside(kind: type[Exception]) -> type[_ClientError]:
    return type(kind.__name__, (_ClientError, kind), {"__module__": kind.__module__})


def _beside(kind: type[Exception], sentence: str, attributes: dict[str, Any], number: int | None) -> DownloadError:
    error = _class_beside(kind)(sentence)
    vars(error).update(attributes)
    if number is not None:
        error.errno = number  # pyright: ignore[reportAttributeAccessIssue]
    return error


def _sentence(error: BaseException, wanted: str, doing: str) -> str:
    from huggingface_hub import errors

    failed = f"{wanted} could not be {doing} the Hub"
    if isinstance(error, errors.HfHubHTTPError):
        return _answered(error, wanted, failed)
    if isinstance(error, errors.HFValidationError):
        return f"{wanted!r} is not a name that the Hub allows; write org/name: letters, digits, '-', '_' and '.'"
    if isinstance(error, errors.OfflineModeIsEnabled):
        return f"{failed}: HF_HUB_OFFLINE is set; unset it, then try again"
    # The client hides the reason behind an error of its own where nothing is cached, or a download is forced.
    reason = error.__cause__
    if isinstance(error, errors.LocalEntryNotFoundError):
        absent = f"{wanted} is not cached and the Hub cannot be reached"
        if reason is None or isinstance(reason, errors.OfflineModeIsEnabled):
            return f"{absent}; connect once, without HF_HUB_OFFLINE and local_files_only"
        return f"{absent}; check the connection, then try again" if _no_connection(reason) else _sentence(reason, wanted, doing)
    if type(error) is ValueError and reason is not None:
        return _sentence(reason, wanted, doing)
    if isinstance(error, OSError) and error.errno in _FULL:
        return f"{failed}: the disk is full; make room, or set HF_HOME to a folder on another disk"
    if isinstance(error, OSError) and error.errno in _READ_ONLY:
        place = error.filename or "the cache"
        return f"{failed}: {place} may not be used; set HF_HOME (or cache_dir) to a folder of yours"
    if _no_connection(error):
        return f"{failed}, which cannot be reached; check the connection, then try again"
    if _is_no_hub(error):
        return f"{failed}: no Hub answers there; check HF_ENDPOINT, and whether this network wants a login first"
    if is_out_of_reach(error) or "Consistency check failed" in str(error):
        return f"{failed}: the transfer was interrupted; nothing of it is kept, try again"
    said = (str(error).strip() or "no message").split("\n")[0]
    return f"{failed}: {type(error).__name__}: {said}"


def _no_connection(error: BaseException) -> bool:
    return _is_called(error, "ConnectError", "ConnectTimeout", "ProxyError", "ConnectionRefusedError")


def _is_no_hub(error: BaseException) -> bool:
    """An address that is none, or a page where JSON was due."""
    return _is_called(error, "UnsupportedProtocol", "InvalidURL", "JSONDecodeError")


def _is_called(error: BaseException, *names: str) -> bool:
    # By name: the classes are those of httpx or httpx2, by the client's release.
    return any(kind.__name__ in names for kind in type(error).__mro__)


def _answered(error: Any, wanted: str, failed: str) -> str:
    """What the Hub answered."""
    from huggingface_hub import errors

    response = error.response
    status = response.status_code
    said = (error.server_message or "").strip().split("\n")[0].rstrip(".")
    quoted = f" ({said})" if said else ""
    if isinstance(error, errors.GatedRepoError):
        return f"{wanted} is gated; ask for access on its page, then log in with `hf auth login`"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"{wanted} does not exist on the Hub, or is private; check the name, or log in with `hf auth login`"
    if isinstance(error, errors.DisabledRepoError):
        return f"{wanted} has been disabled on the Hub; nobody can read it"
    if isinstance(error, errors.RevisionNotFoundError):
        repo, _, revision = wanted.partition("@")
        which = f"revision {revision!r}" if revision else "such revision"
        return f"{repo} has no {which}; leave it out, or give a branch, tag or commit"
    if isinstance(error, errors.EntryNotFoundError):  # of the Hub: the cache's own has no response
        name = str(response.request.url.path).partition("/resolve/")[2].partition("/")[2]
        return f"{wanted} on the Hub holds no {name or 'such file'}; check the name and the revision"
    if status == 401:
        return f"{failed}: it does not accept the token, or wants one; log in again with `hf auth login`, or set HF_TOKEN"
    if status == 403:
        return f"{failed}: this login has no right to it{quoted}; use a token that has, or ask the owner"
    if status == 409:
        return f"{failed}: it is in conflict with what is there{quoted}; look at its page, then try again"
    if status == 412:
        return f"{failed}: somebody changed it meanwhile; nothing was changed, try again"
    if status == 429:
        pause = response.headers.get("Retry-After", "")
        wait = f"wait {pause} s" if pause.isdigit() else "wait a few minutes"
        return f"{failed}: too many requests; {wait}, then try again, logged in if you are not"
    if status >= 500:
        return f"{failed}, which has trouble of its own (error {status}); try again later"
    return f"{failed}: it answered {status}{quoted}"
