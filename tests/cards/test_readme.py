"""What a README says of a licence is read from anybody's file, and shown on a terminal."""

from __future__ import annotations

import pytest

from affectzoo.cards.model_card import model_card
from affectzoo.cards.readme import Said, read_readme
from affectzoo.config import ModelConfig

CONFIG = ModelConfig.parse({"streams": {"visual": "timm/resnet18"}, "targets": ["valence"]})


@pytest.mark.parametrize(
    ("front", "said"),
    [
        ("license: mit", Said("mit")),
        ("license: other\nlicense_name: mine", Said("mine")),
        ("license: mit\nlicense_name: mine", Said("mit")),
        ("caution: knows drawn faces only", Said("", "knows drawn faces only")),
        ('caution: "a\\e[31mb\\nc"', Said("", "a[31mb c")),
        ("license: [mit]\ncaution: 3", Said()),
        ("- a", Said()),
        ("license: [", Said()),
        ("caution: " + "long " * 1000, Said("", ("long " * 1000)[:500])),
    ],
)
def test_what_is_said_is_taken_as_plain_text_or_not_at_all(tmp_path, front, said):
    (tmp_path / "README.md").write_text(f"---\n{front}\n---\n# A model\n")
    assert read_readme(tmp_path / "README.md") == said


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe", b"---\nlicense: mit\n---\n" + b"x" * 2_000_000])
def test_no_readme_says_nothing(tmp_path, content):
    if content is not None:
        (tmp_path / "README.md").write_bytes(content)
    assert read_readme(tmp_path / "README.md") == Said()


def test_our_own_readmes_are_read_back(tmp_path):
    text = model_card(CONFIG, name="a/b", licence="CC-BY-NC-SA-4.0", parameters=1, caution='Beware: drawn "faces"')
    (tmp_path / "README.md").write_text(text)
    assert read_readme(tmp_path / "README.md") == Said("cc-by-nc-sa-4.0", 'Beware: drawn "faces"')
