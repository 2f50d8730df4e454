"""What will be removed is said once, with the release that removes it, where its user sees it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from affectzoo.deprecations import AffectzooDeprecationWarning, deprecated


@pytest.fixture(autouse=True)
def _nothing_said_yet():
    deprecated.cache_clear()


def old_way():
    deprecated("old_way()", "new_way()", "0.4")


def test_it_is_said_once_with_the_release_and_what_to_use_instead(recwarn):
    for _ in range(3):
        old_way()
    (warning,) = recwarn.list
    assert str(warning.message) == "old_way() is deprecated and will be removed in affectzoo 0.4; use new_way() instead"
    assert warning.category is AffectzooDeprecationWarning


def test_it_points_to_the_line_that_must_change():
    with pytest.warns(AffectzooDeprecationWarning) as caught:
        old_way()
    assert caught[0].filename == __file__


def test_users_see_it_without_asking():
    code = "from affectzoo.deprecations import deprecated\ndef old(): deprecated('old', 'new', '0.4')\nold(); old()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr.count("will be removed in affectzoo 0.4") == 1


def test_the_command_line_shows_it_as_a_sentence(monkeypatch, capsys):
    from affectzoo import cli

    # The caller of what is deprecated is a command.
    code = compile("old_way()", cli.__file__, "exec")
    monkeypatch.setattr("affectzoo.cli.app.app", lambda: exec(code, {"old_way": old_way}))
    cli.main()
    said = " ".join(capsys.readouterr().err.split())
    assert said == "Note: old_way() is deprecated and will be removed in affectzoo 0.4; use new_way() instead"
