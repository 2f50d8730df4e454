"""What the Hub's client raises gains one sentence and keeps its type; no token is ever in it."""

from __future__ import annotations

import errno
import json
import pickle

import pytest
from huggingface_hub import errors
from huggingface_hub.utils import get_session, hf_raise_for_status

import affectzoo
from affectzoo.errors import AffectzooError, CheckpointError, DownloadError
from affectzoo.remote.refusals import hub_errors, is_out_of_reach, without_token

#: httpx or httpx2, by the client's release.
HTTP = __import__(type(get_session()).__module__.partition(".")[0])
TOKEN = "hf_" + "aB3" * 11 + "x"


def answer(status: int, **headers: str) -> Exception:
    """The client's error for an answer of the Hub."""
    request = HTTP.Request(
        "GET", "https://huggingface.co/zoo/toy/resolve/v1/config.json", headers={"authorization": f"Bearer {TOKEN}"}
    )
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        hf_raise_for_status(HTTP.Response(status, headers=named, request=request))
    except errors.HfHubHTTPError as error:
        return error
    raise AssertionError(status)


def because(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def refused(error: Exception, wanted: str = "zoo/toy@v1", **options: str) -> DownloadError:
    with pytest.raises(DownloadError) as caught, hub_errors(wanted, **options):
        raise error
    return caught.value


CASES = {
    "absent or private": (
        answer(404, X_Error_Code="RepoNotFound"),
        "zoo/toy@v1 does not exist on the Hub, or is private; check",
    ),
    "private, anonymous": (answer(401), "does not exist on the Hub, or is private"),
    "gated": (answer(403, X_Error_Code="GatedRepo"), "zoo/toy@v1 is gated; ask for access"),
    "no revision": (answer(404, X_Error_Code="RevisionNotFound"), "zoo/toy has no revision 'v1'; leave it out"),
    "no entry": (answer(404, X_Error_Code="EntryNotFound"), "zoo/toy@v1 on the Hub holds no config.json"),
    "disabled": (answer(403, X_Error_Message="Access to this resource is disabled."), "has been disabled"),
    "bad token": (answer(401, X_Error_Message="Invalid credentials in Authorization header"), "does not accept the token"),
    "forbidden": (answer(403, X_Error_Message="read-only token"), "has no right to it (read-only token); use a token that has"),
    "conflict": (answer(409, X_Error_Message="exists"), "is in conflict with what is there (exists)"),
    "pushed meanwhile": (answer(412), "somebody changed it meanwhile; nothing was changed, try again"),
    "too many": (answer(429, Retry_After="30"), "too many requests; wait 30 s, then try again"),
    "too many, no number": (answer(429, Retry_After="Wed, 21 Oct 2026 07:28:00 GMT"), "too many requests; wait a few minutes"),
    "trouble": (answer(503), "has trouble of its own (error 503); try again later"),
    "bad request": (answer(400, X_Error_Message="odd"), "it answered 400 (odd)"),
    "not cached": (errors.LocalEntryNotFoundError("x"), "zoo/toy@v1 is not cached and the Hub cannot be reached; connect once"),
    "not cached, offline": (
        because(errors.LocalEntryNotFoundError("x"), errors.OfflineModeIsEnabled("x")),
        "connect once, without HF_HUB_OFFLINE",
    ),
    "not cached, no connection": (
        because(errors.LocalEntryNotFoundError("x"), HTTP.ConnectError("x")),
        "is not cached and the Hub cannot be reached; check the connection",
    ),
    "not cached, trouble": (because(errors.LocalEntryNotFoundError("x"), answer(502)), "(error 502)"),
    "forced, trouble": (because(ValueError("Force download failed due to the above error."), answer(502)), "(error 502)"),
    "offline": (errors.OfflineModeIsEnabled("x"), "HF_HUB_OFFLINE is set; unset it"),
    "no connection": (HTTP.ConnectError("x"), "which cannot be reached; check the connection"),
    "an address that is none": (HTTP.UnsupportedProtocol("x"), "no Hub answers there; check HF_ENDPOINT"),
    "a page where JSON was due": (json.JSONDecodeError("x", "<html>", 0), "whether this network wants a login first"),
    "reset": (HTTP.ReadError("x"), "the transfer was interrupted; nothing of it is kept, try again"),
    "truncated": (HTTP.RemoteProtocolError("x"), "the transfer was interrupted"),
    "shorter": (OSError("Consistency check failed: file should be of size 2"), "the transfer was interrupted"),
    "full": (OSError(errno.ENOSPC, "No space left on device", "/cache/x"), "the disk is full; make room"),
    "read-only disk": (OSError(errno.EROFS, "Read-only file system", "/cache/x"), "/cache/x may not be used; set HF_HOME"),
    "read-only folder": (PermissionError(errno.EACCES, "Permission denied", "/cache/x"), "/cache/x may not be used"),
    "bad name": (errors.HFValidationError("a\nb"), "'zoo/toy@v1' is not a name that the Hub allows"),
    "anything": (RuntimeError("xet says no\nat length"), "could not be fetched from the Hub: RuntimeError: xet says no"),
    "an argument that is no text": (KeyError("sha"), "KeyError: 'sha'"),
}


@pytest.mark.parametrize(("error", "says"), CASES.values(), ids=CASES)
def test_the_type_is_kept_and_one_sentence_is_said(error, says):
    caught = refused(error)
    assert isinstance(caught, AffectzooError)
    assert isinstance(caught, type(error))
    assert type(caught).__name__ == type(error).__name__
    assert says in str(caught)
    assert "\n" not in str(caught)
    assert getattr(caught, "response", None) is getattr(error, "response", None)
    assert getattr(caught, "errno", None) == getattr(error, "errno", None)
    assert caught.__cause__ is error


@pytest.mark.parametrize(("error", "says"), CASES.values(), ids=CASES)
def test_it_comes_through_a_pickle_as_between_processes(error, says):
    again = pickle.loads(pickle.dumps(refused(error)))
    assert (type(again), isinstance(again, type(error))) == (type(refused(error)), True)
    assert says in str(again)


def test_own_errors_and_interruptions_pass_as_they_are():
    own = CheckpointError("mine")
    with pytest.raises(CheckpointError) as caught, hub_errors("zoo/toy"):
        raise own
    assert caught.value is own
    with pytest.raises(KeyboardInterrupt), hub_errors("zoo/toy"):
        raise KeyboardInterrupt


def test_what_was_being_done_is_said():
    assert str(refused(answer(503), doing="pushed to")).startswith("zoo/toy@v1 could not be pushed to the Hub, which has")


def test_a_revision_that_nobody_named_is_not_made_up():
    assert "zoo/toy has no such revision; leave it out" in str(refused(answer(404, X_Error_Code="RevisionNotFound"), "zoo/toy"))


def test_no_token_is_shown_nor_what_quotes_it(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "mine-of-the-environment")
    # As the client quotes a header that cannot be sent.
    for secret in (TOKEN, "odd\ttoken", "mine-of-the-environment", "hf_oauth_eyJhbGciOi.J9-x_y"):
        error = refused(HTTP.LocalProtocolError(f"Illegal header value b'Bearer {secret}'"), token="odd\ttoken")
        assert secret not in str(error)
        assert error.__cause__ is None
        assert error.__suppress_context__
    assert TOKEN not in str(refused(answer(403, X_Error_Message=f"token {TOKEN} is read-only")))
    assert TOKEN not in str(refused(answer(404, X_Error_Code="RepoNotFound"), f"zoo/{TOKEN}"))
    assert without_token("me/hf_toy and hf_hub_download") == "me/hf_toy and hf_hub_download"


def test_only_what_says_nothing_of_the_question_is_out_of_reach():
    unanswered = {"too many", "too many, no number", "trouble", "no connection", "reset", "truncated", "offline"}
    unanswered |= {"an address that is none", "a page where JSON was due"}
    assert {name for name, (error, _) in CASES.items() if is_out_of_reach(error)} == unanswered
    assert is_out_of_reach(TimeoutError())
    assert is_out_of_reach(refused(answer(503)))


def test_plugins_have_it_under_a_public_name():
    assert affectzoo.hub_errors is hub_errors
