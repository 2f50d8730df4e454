"""The page stands alone, shows what a file is called without obeying it, and says what the check says."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

import affectzoo
from affectzoo import Clip
from affectzoo.data.check.page import hours, number, page, verdict
from affectzoo.data.check.report import check
from tests.data.check.toys import MOOD, VALENCE, Toys, along, even, film

ODD = '<script>alert("ü 你")</script> & $x$'


class Balanced(HTMLParser):
    """Fails where an element is closed that is not open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag, attrs):  # noqa: ARG002
        self.seen.add(tag)
        if tag not in {"meta"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):  # noqa: ARG002
        self.seen.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def report(tmp_path):
    clips = [
        Clip(
            clip_id=f"{ODD}{k}", subject=ODD + "s" * k, split=split, video=film(tmp_path / f"{k}.mp4", even(2), shade=20 + k),
            track=along(np.sin(np.arange(20) + k), unit="frame", valid=np.arange(20) != 3),
            scores={"mood": "sad"}, notes=(ODD,),
        )
        for k, split in enumerate(("train", "train", "test"))
    ]  # fmt: skip
    clips.append(affectzoo.unusable(f"{ODD}9", ODD))
    return check(ODD, Toys(tmp_path, clips, targets=(VALENCE, MOOD), along=("valence",)))


def test_the_page_is_whole_and_loads_nothing(report):
    text = page(report)
    parser = Balanced()
    parser.feed(text)
    assert parser.open == []
    assert {"table", "svg", "details"} <= parser.seen
    assert "script" not in parser.seen
    # Names of XML vocabularies are addresses that nobody opens.
    addresses = set(re.findall(r"https?://[^\s\"'<)]+", text))
    assert all(
        address.startswith(("http://www.w3.org/", "http://purl.org/", "http://creativecommons.org/")) for address in addresses
    )
    assert not re.search(r"""(?:src|href)=["'](?!#)""", text)


def test_names_are_text(report):
    text = page(report)
    assert "<script" not in text
    assert "Toys &amp; &lt;faces&gt;" in text
    assert text.count("&lt;script&gt;alert(") > 5


def test_pictures_take_the_colour_of_the_page(report):
    text = page(report)
    assert text.count("<svg") == 4
    assert "currentColor" in text
    assert "prefers-color-scheme: dark" in text
    assert "#1a1a1b" not in text.lower()


def test_the_page_says_what_was_found(report):
    text = page(report)
    assert "4 found = 3 used + 1 left out" in text
    for found in report.findings:
        assert found.sentence in text
    assert verdict(report) == f"1 problem, {len(report.remarks)} remarks"


def test_a_corpus_without_labels_media_or_splits_has_a_page_too(tmp_path):
    report = check("bare", Toys(tmp_path, [Clip(clip_id="a", subject="s", audio="gone.wav")]), media=False)
    text = page(report)
    assert "media were not opened" in text
    assert "<svg" not in text
    assert "Labels" not in text


def test_numbers_are_short():
    assert [hours(seconds) for seconds in (5, 90, 7200)] == ["5 s", "1.5 min", "2.0 h"]
    assert [number(value) for value in (None, float("nan"), 0.12345, 12)] == ["-", "-", "0.123", "12"]
