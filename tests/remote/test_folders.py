"""No folder of this machine is told to others."""

from __future__ import annotations

import pytest

from affectzoo.remote.folders import all_without_folders, without_folders


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("/home/erika/study 7/videos", "videos"),
        ("/home/erika/videos/", "videos"),
        ("root=/home/erika/study 7/videos", "root=videos"),
        ("~/videos", "videos"),
        ("~erika/videos", "videos"),
        ("../../erika/videos", "videos"),
        (r"C:\Users\erika\videos", "videos"),
        (r"\\server\erika\videos", "videos"),
        ("file:///home/erika/labels.csv", "labels.csv"),
        ("see /home/erika/notes here", "see notes here"),
        ("[/home/erika/a, /home/erika/b]", "[a, b]"),
        ("~", ""),
        ("/", ""),
    ],
)
def test_a_path_is_its_last_part(written, told):
    assert without_folders(written) == told


@pytest.mark.parametrize(
    "written", ["timm/resnet18", "out/demo/data", "zoo/toy@v1", "https://example.org/a/b", "n/a", "", "valence", "1/2", "a..b"]
)
def test_what_is_no_path_of_this_machine_stays(written):
    assert without_folders(written) == written


def test_every_text_of_a_mapping_is_looked_at():
    given = {"a": ["/x/y", {"/home/erika/k": "~/v"}], "n": 1.5, "none": None, "yes": True}
    assert all_without_folders(given) == {"a": ["y", {"k": "v"}], "n": 1.5, "none": None, "yes": True}
