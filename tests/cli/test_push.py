"""`affectzoo push` where the Hub cannot be asked; `tests/hub/test_push.py` has one that can."""

from __future__ import annotations

from pathlib import Path


def test_a_dry_run_works_without_a_network_and_says_so(affect, tiny_model: Path):
    outcome = affect("push", tiny_model, "zoo/tiny", "--dry-run", "--licence", "MIT", "--tag", "tiny")
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    assert lines[0] == "would be uploaded: README.md, config.json, model.safetensors"
    assert lines[-1] == "dry run: nothing was changed in zoo/tiny"
    assert "HF_HUB_OFFLINE" in outcome.err


def test_who_states_no_licence_hears_of_it(affect, tiny_model: Path):
    assert "say which with --licence" in affect("push", tiny_model, "zoo/tiny", "--dry-run").err


def test_a_push_that_cannot_be_is_one_sentence(affect, tiny_model: Path, tmp_path: Path):
    for arguments, says in (
        ((tiny_model, "zoo/tiny"), "zoo/tiny could not be pushed to the Hub"),
        ((tiny_model, "tiny"), "org/name"),
        ((tmp_path, "zoo/tiny"), "holds no config.json"),
        ((tmp_path / "absent", "zoo/tiny"), "is not a folder"),
    ):
        outcome = affect("push", *arguments)
        assert outcome.code == 2
        assert len(outcome.complaints) == 1
        assert says in outcome.complaints[0]
