"""A file from a plain address is there whole and is the one that was meant, or is not there and one sentence says why."""

from __future__ import annotations

import hashlib
import subprocess

import pytest
from huggingface_hub import constants

from affectzoo.errors import DownloadError, InputError
from affectzoo.remote.address import digest_of, fetch, shown
from tests.remote.file_server import FileServer, corrupted, cut_without_length, endless, reset, silent, status, truncated

DATA = bytes(range(256)) * 2000
SHA256 = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
GIT = f"git:{hashlib.sha1(b'blob %d' % len(DATA) + bytes(1) + DATA).hexdigest()}"


@pytest.fixture(autouse=True)
def online(monkeypatch):
    """The tests' process is offline; these talk to this machine alone."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture(scope="module")
def server():
    with FileServer() as running:
        running.files["/models/net.pt"] = DATA
        yield running


@pytest.mark.parametrize("digest", [SHA256, GIT])
def test_a_file_is_fetched_once_under_its_own_name_and_without_a_token(server, tmp_path, digest, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    server.log.clear()
    path = fetch(f"{server.url}/models/net.pt?download=1", tmp_path / "new", digest=digest)
    assert path == tmp_path / "new" / "net.pt"
    assert path.read_bytes() == DATA
    ((_, headers),) = server.log
    assert "hf_secret" not in str(headers)
    assert [p.name for p in path.parent.iterdir()] == ["net.pt"]


def test_the_digest_of_git_is_what_git_says(tmp_path):
    (tmp_path / "file").write_bytes(DATA)
    said = subprocess.run(["git", "hash-object", "file"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert digest_of(tmp_path / "file", "git") == f"git:{said.strip()}" == GIT
    assert digest_of(tmp_path / "file") == SHA256


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (status(404), r"does not exist \(HTTP 404\); check the address"),
        (status(403), r"is not given to everybody \(HTTP 403\)"),
        (status(429, Retry_After="7"), r"too often \(HTTP 429\); try again in 7 s"),
        (status(503), r"cannot be served at the moment \(HTTP 503\); try again later"),
        (status(204), r"was answered with HTTP 204"),
        (truncated, r"broke off after [\d,]+ bytes \(.*\); try again"),
        (cut_without_length, rf"not the file that was meant: its digest is sha256:\w{{64}}, not {SHA256}; it was deleted"),
        (reset, r"broke off after [\d,]+ bytes \(.*\); try again"),
        (silent, r"broke off after [\d,]+ bytes \(.*\); try again"),
        (corrupted, rf"not the file that was meant: its digest is sha256:\w{{64}}, not {SHA256}; it was deleted"),
    ],
    ids=lambda value: getattr(value, "__name__", "") if callable(value) else "",
)
def test_a_fault_leaves_nothing_behind_and_a_second_try_works(server, tmp_path, fault, says):
    url = f"{server.url}/models/net.pt"
    server.faults["/models/net.pt"] = [fault]
    with pytest.raises(DownloadError, match=says) as caught:
        fetch(url, tmp_path, digest=SHA256, timeout_s=0.4)
    assert "\n" not in str(caught.value)
    assert url in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    assert fetch(url, tmp_path, digest=SHA256, timeout_s=5).read_bytes() == DATA


def test_a_fault_leaves_the_file_that_was_there(server, tmp_path):
    (tmp_path / "net.pt").write_bytes(b"mine")
    server.faults["/models/net.pt"] = [corrupted]
    with pytest.raises(DownloadError):
        fetch(f"{server.url}/models/net.pt", tmp_path, digest=SHA256)
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"mine"]


def test_a_file_that_is_too_large_is_refused_by_its_length_or_while_it_comes(server, tmp_path):
    url = f"{server.url}/models/net.pt"
    with pytest.raises(DownloadError, match="is larger than 1,000 bytes and is not fetched"):
        fetch(url, tmp_path, digest=SHA256, limit_bytes=1000)
    server.faults["/models/net.pt"] = [endless]
    with pytest.raises(DownloadError, match="is larger than 5,000,000 bytes"):
        fetch(url, tmp_path, digest=SHA256, limit_bytes=5_000_000)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("data", "content_type", "says"),
    [
        (b"\n<!DOCTYPE html>\n<p>Sign in</p>", "application/octet-stream", "is a web page, not a file"),
        (b"<p>Sign in</p>", "text/html; charset=utf-8", "is a web page, not a file"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
            "text/plain",
            "is a Git LFS pointer, not the file",
        ),
        (b"", "application/octet-stream", "is empty"),
    ],
)
def test_what_a_helpful_host_sends_instead_of_the_file_is_recognised(server, tmp_path, data, content_type, says):
    server.files["/odd.pt"], server.types["/odd.pt"] = data, content_type
    # Told before the digest is looked at, which would only say that the file is another.
    with pytest.raises(DownloadError, match=says):
        fetch(f"{server.url}/odd.pt", tmp_path, digest=SHA256)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("page", "file"),
    [
        ("https://github.com/o/r/blob/main/a/net.pt", "https://github.com/o/r/raw/main/a/net.pt"),
        ("https://huggingface.co/o/r/blob/main/net.pt", "https://huggingface.co/o/r/resolve/main/net.pt"),
        ("https://gitlab.com/o/r/-/blob/main/net.pt", "https://gitlab.com/o/r/-/raw/main/net.pt"),
    ],
)
def test_a_page_about_a_file_is_answered_with_the_address_of_the_file(tmp_path, page, file):
    with pytest.raises(DownloadError, match="is a page about the file; its own address is ") as caught:
        fetch(page, tmp_path)
    assert str(caught.value).endswith(file)


def test_plain_http_needs_a_digest(server, tmp_path):
    server.log.clear()
    with pytest.raises(DownloadError, match="comes over plain http"):
        fetch(f"{server.url}/models/net.pt", tmp_path)
    assert server.log == []


def test_a_redirect_is_followed_and_a_circle_is_not(server, tmp_path):
    server.faults["/old.pt"] = [status(302, Location="/models/net.pt")]
    assert fetch(f"{server.url}/old.pt", tmp_path, digest=SHA256).name == "old.pt"
    server.faults["/round.pt"] = [status(302, Location="/round.pt")] * 50
    with pytest.raises(DownloadError, match="cannot be reached"):
        fetch(f"{server.url}/round.pt", tmp_path, digest=SHA256)


def test_offline_means_no_request(server, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    server.log.clear()
    with pytest.raises(DownloadError, match="cannot be fetched offline; unset HF_HUB_OFFLINE"):
        fetch(f"{server.url}/models/net.pt", tmp_path, digest=SHA256)
    assert server.log == []


def test_nobody_at_the_address_is_one_sentence(tmp_path):
    with pytest.raises(DownloadError, match=r"http://127.0.0.1:9/net.pt cannot be reached \(.+\); check the connection"):
        fetch("http://127.0.0.1:9/net.pt", tmp_path, digest=SHA256)


@pytest.mark.parametrize("url", ["net.pt", "ftp://a/net.pt", "https://", "https:///net.pt", "https://[1::2/net.pt"])
def test_what_is_not_an_address_is_refused(tmp_path, url):
    with pytest.raises(InputError, match="is not an address"):
        fetch(url, tmp_path)


@pytest.mark.parametrize("digest", ["sha256:00", "md5:" + "0" * 32, "sha256:" + "A" * 64, "git:" + "0" * 64])
def test_a_digest_of_another_form_is_refused_before_any_request(server, tmp_path, digest):
    server.log.clear()
    with pytest.raises(InputError, match="must be git: and 40, or sha256: and 64 hex digits"):
        fetch(f"{server.url}/models/net.pt", tmp_path, digest=digest)
    assert server.log == []


@pytest.mark.parametrize("last", ["%2e%2e", "..%2f..", "a%5cb", "", "c%3Ab"])
def test_no_address_leads_out_of_the_folder(server, tmp_path, last):
    server.files[f"/x/{last}"] = DATA
    path = fetch(f"{server.url}/x/{last}", tmp_path / "in", digest=SHA256)
    assert path.parent == tmp_path / "in"
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_messages_hold_neither_password_nor_query():
    assert shown("https://me:secret@host.org:8/a/net.pt?token=secret#x") == "https://host.org:8/a/net.pt"
