"""Walking folders as they are delivered: links are followed once, what systems add is passed over, nothing is lost unsaid."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import affectzoo
from affectzoo.data.load import open_corpus
from affectzoo.errors import ConfigError, DataError
from affectzoo.train.report.protocol import protocol_of, settle
from affectzoo_datasets.delivered import files_under, names_in
from tests.plugins.datasets.miniatures.avec import write_avec2014
from tests.plugins.datasets.miniatures.biovid import write_biovid
from tests.plugins.datasets.miniatures.crema_d import write_crema_d
from tests.plugins.datasets.miniatures.faces_folder import write_classes
from tests.plugins.datasets.miniatures.ravdess import write_ravdess
from tests.plugins.datasets.miniatures.recola import write_avec
from tests.plugins.datasets.miniatures.unbc_mcmaster import write_unbc

#: Loader -> what writes its miniature, and a folder in it that the loader has to read.
WRITERS: dict[str, tuple[Any, str]] = {
    "avec2014": (write_avec2014, "Training/Freeform"),
    "biovid": (write_biovid, "PartA/video"),
    "crema-d": (write_crema_d, "AudioWAV"),
    "faces-folder": (write_classes, "happy"),
    "ravdess": (write_ravdess, "Actor_02"),
    "recola": (write_avec, "recordings_video"),
    "unbc-mcmaster": (write_unbc, "Images/042-ll042"),
}


def test_files_come_in_the_order_of_names_without_what_systems_add(tmp_path: Path) -> None:
    for name in ("b/2.txt", "a/1.txt", "__MACOSX/a/1.txt", ".git/x", "b/.DS_Store", "b/Thumbs.db", "0.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in files_under(tmp_path)]
    assert found == ["0.txt", "a/1.txt", "b/2.txt"]
    assert names_in(tmp_path) == ["0.txt", "a", "b"]
    assert names_in(tmp_path / "b") == ["2.txt"]
    assert names_in(tmp_path / "none") == []


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_archives_that_are_linked_into_one_folder_are_read_once(name: str, tmp_path: Path) -> None:
    WRITERS[name][0](tmp_path / "real")
    (tmp_path / "linked").mkdir()
    for entry in (tmp_path / "real").iterdir():
        (tmp_path / "linked" / entry.name).symlink_to(entry)
    clips = [clip.clip_id for clip in open_corpus(name, {"root": tmp_path / "real"}).clips()]
    if name != "unbc-mcmaster":  # which looks in folders of known names only
        (tmp_path / "linked" / "zz-up").symlink_to(tmp_path / "linked")
    assert [clip.clip_id for clip in open_corpus(name, {"root": tmp_path / "linked"}).clips()] == clips


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_a_folder_that_cannot_be_listed_is_said(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, folder = WRITERS[name]
    write(tmp_path)
    locked = tmp_path / folder

    def refusing(real: Any) -> Any:
        def listed(path: Any = ".") -> Any:
            if Path(os.fspath(path)) == locked:
                raise PermissionError(13, "Permission denied", str(path))
            return real(path)

        return listed

    monkeypatch.setattr(os, "scandir", refusing(os.scandir))
    monkeypatch.setattr(os, "listdir", refusing(os.listdir))
    with pytest.raises(DataError, match=f"{locked.name} cannot be listed: Permission denied"):
        open_corpus(name, {"root": tmp_path}).clips()


def test_links_to_files_that_were_not_fetched_are_listed(tmp_path: Path) -> None:
    count = write_crema_d(tmp_path, video=False)
    sound = tmp_path / "AudioWAV/1001_ITH_ANG_XX.wav"
    sound.unlink()
    sound.symlink_to(".git/annex/objects/gone")
    clips: Any = affectzoo.load_dataset("crema-d", root=str(tmp_path), cache_dir=str(tmp_path / "cache"))
    assert len(clips["all"]) == count - 1
    problems = {c.clip_id: c.problem for c in open_corpus("crema-d", {"root": tmp_path}).clips() if c.problem}
    assert list(problems) == ["AudioWAV/1001_ITH_ANG_XX.wav"]
    assert "a link to a file that is not there" in problems["AudioWAV/1001_ITH_ANG_XX.wav"]


@pytest.mark.parametrize(
    ("data", "protocol", "option", "value"),
    [
        ("avec2014", "avec2014", "tasks", ["freeform"]),
        ("avec2014", "avec2014-dev", "tasks", ["freeform"]),
        ("biovid", "biovid-loso", "classes", ["BL1", "PA4"]),
        ("biovid", "biovid-5fold", "classes", ["BL1", "PA4"]),
        ("ravdess", "ravdess", "channel", "both"),
        ("ravdess", "ravdess", "test", "1-4"),
        ("ravdess", "ravdess-8fold", "channel", "song"),
    ],
)
def test_a_protocol_does_not_stand_for_other_clips_than_it_says(data: str, protocol: str, option: str, value: Any) -> None:
    asked = affectzoo.config.DataConfig(name=data, config={"root": ".", option: value})
    with pytest.raises(ConfigError, match=f"{option} is .*; leave {option} out"):
        settle(asked, protocol_of(data, protocol))
