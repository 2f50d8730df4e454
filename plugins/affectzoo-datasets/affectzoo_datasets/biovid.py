"""BioVid heat pain database, part A: faces under heat stimuli of no pain (BL1) and four levels of pain (PA1 to PA4)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from affectzoo import Clip, Corpus, DatasetCard, Protocol, TargetConfig, read_rows, unusable
from affectzoo.errors import ConfigError, DataError
from affectzoo_datasets.delivered import VIDEO, files_under

CLASSES = ("BL1", "PA1", "PA2", "PA3", "PA4")

#: The subject's name holds date, sex (w is woman) and age: 071309_w_21.
_SAMPLE = re.compile(r"(?P<subject>\d{6}_(?P<sex>[mw])_(?P<age>\d+))-(?P<level>BL1|PA[1-4])-\d+")
_SUBJECT = re.compile(r"\d{6}_[mw]_\d+")
_EXAMPLE = "071309_w_21-BL1-081"
_REGRESSION = (
    "Kächele et al. 2016, Methods for person-centered continuous pain intensity assessment from bio-physiological channels"
)
_TWO_CLASSES = "Werner et al. 2017, Automatic pain assessment with facial activity descriptors"


def _protocol(name: str, folds: Any, **given: Any) -> Protocol:
    divided = "leave one subject out" if folds == "loso" else f"{folds} folds by subject"
    usual: dict[str, Any] = {
        "summary": f"level 0 to 4 of each clip, {divided}: MAE, RMSE, ICC(3,1) and PCC over all folds together",
        "targets": ("biovid",),
        "metrics": ("mae", "rmse", "icc31", "pcc"),
        "source": _REGRESSION,
        "options": {"classes": CLASSES},
    }
    return Protocol(name=name, folds=folds, of="clips", **(usual | given))


class BioVid(Corpus):
    """BioVid part A.

    The name of a video says everything: subject, sex, age and level. Where `samples.csv` is there, each row needs a video
    and each video a row. The target `biovid` is the level as a number, `biovid-class` the same as a class; as each subject
    has as many clips of one class as of another, the unweighted average recall of the latter is the accuracy of papers.

    Args:
        root: the folder that holds `video`, or `PartA`.
        classes: only these; `["BL1", "PA4"]` is the usual task of two classes.

    Raises:
        ConfigError: fewer than two classes, or an unknown one.
    """

    extra: Mapping[str, type] = {"class_name": str, "sex": str, "age": int}
    protocols = (
        _protocol("biovid-loso", "loso"),
        _protocol("biovid-5fold", 5, source=f"{_REGRESSION}, with fewer folds"),
        _protocol(
            "biovid-bl1-pa4",
            "loso",
            summary="BL1 against PA4, leave one subject out: unweighted average recall (accuracy, as classes are balanced), "
            "the mean over subjects",
            targets=("biovid-class",),
            metrics=("uar",),
            average="folds",
            source=_TWO_CLASSES,
            options={"classes": ["BL1", "PA4"]},
        ),
    )
    card = DatasetCard(
        title="BioVid heat pain database, part A",
        licence="non-commercial research under a signed agreement; not redistributable",
        source="http://www.nit.ovgu.de/BioVid.html",
        how_to_obtain="a signed agreement with the universities of Magdeburg and Ulm; the page says how",
        layout=f"video/071309_w_21/{_EXAMPLE}.mp4 and, beside video or in starting_point, samples.csv with the columns "
        "class_name and sample_name; all of it under root or root/PartA",
        citation="S. Walter, S. Gruss, H. Ehleiter, J. Tan, H. C. Traue, P. Werner, A. Al-Hamadi, S. Crawcour, "
        "A. O. Andrade, G. Moreira da Silva: The BioVid heat pain database. IEEE CYBCONF 2013, 128-131",
        protocol="No official split: 87 subjects, 5 classes of 20 clips of 5.5 s each (8,700 clips); leave one subject out, "
        "or k folds by subject",
        metric="accuracy of BL1 against PA4; MAE, RMSE, ICC(3,1) and PCC of the level",
        checked="a miniature of the documented layout, not the corpus; subjects.csv and the biosignals are not read",
    )

    def __init__(self, root: str | Path, *, classes: Sequence[str] = CLASSES) -> None:
        super().__init__(root)
        unknown = sorted(set(classes) - set(CLASSES))
        if isinstance(classes, str) or unknown or len(set(classes)) < 2:
            raise ConfigError(f"classes is {classes!r}; give a list of at least two of {', '.join(CLASSES)}")
        self.classes = tuple(name for name in CLASSES if name in classes)
        self.targets = (
            TargetConfig.model_validate("biovid"),
            TargetConfig(name="biovid-class", kind="categorical", classes=self.classes),
        )

    def scan(self) -> Iterator[Clip]:
        base = self.root / "PartA" if (self.root / "PartA").is_dir() else self.root
        folder = base / "video" if (base / "video").is_dir() else base
        videos: dict[str, list[Path]] = defaultdict(list)
        for path in (path for path in files_under(folder) if path.suffix.lower() in VIDEO):
            videos[path.stem].append(path)
        places = [place / "samples.csv" for place in (base, base / "starting_point", self.root / "starting_point")]
        table = next((path for path in places if path.is_file()), None)
        if not videos:
            raise DataError(f"{folder} holds no videos; it should look so: {self.card.layout}")
        rows: Mapping[str, str] = {}
        wrong: list[Clip] = []
        if table is not None:
            rows, wrong = _samples(table)
        for sample in sorted(videos):
            yield from self._clips(sample, videos[sample], table, rows)
        for sample in sorted(set(rows) - set(videos)):
            if rows[sample] in self.classes or rows[sample] not in CLASSES:
                yield unusable(sample, f"{table} lists it, but there is no {sample}.mp4 in {folder}")
        yield from wrong

    def _clips(self, sample: str, paths: Sequence[Path], table: Path | None, rows: Mapping[str, str]) -> Iterator[Clip]:
        name = _SAMPLE.fullmatch(sample)
        if name is None:
            for path in paths:
                yield unusable(path.relative_to(self.root).as_posix(), f"its name is not like {_EXAMPLE}.mp4")
            return
        level = name["level"]
        if level not in self.classes:
            return
        clip = Clip(
            clip_id=sample,
            subject=name["subject"],
            video=str(paths[0]),
            scores={"biovid": float(CLASSES.index(level)), "biovid-class": level},
            extra={"class_name": level, "sex": name["sex"], "age": int(name["age"])},
        )
        if table is not None and sample not in rows:
            clip = clip.without(f"{table} does not list it")
        elif table is not None and rows[sample] != level:
            clip = clip.without(f"{table} says that its class is {rows[sample]!r}, its name {level}")
        folder = paths[0].parent.name
        if folder != name["subject"] and _SUBJECT.fullmatch(folder):
            clip = replace(clip, notes=(f"it is in the folder of another subject, {folder}",))
        yield clip
        for path in paths[1:]:
            yield unusable(path.relative_to(self.root).as_posix(), f"there is already a video {paths[0]}; remove one")


def _samples(path: Path) -> tuple[dict[str, str], list[Clip]]:
    """Sample -> its class, and rows that cannot be used; cells are divided by tabs, semicolons or commas.

    Raises:
        DataError: no such table.
    """
    with path.open("rb") as file:
        header = file.readline()
    delimiter = max("\t;,", key=lambda mark: header.count(mark.encode()))
    lines, columns = read_rows(path, delimiter=delimiter)
    for column in ("class_name", "sample_name"):
        if column not in columns:
            raise DataError(f"{path} has no column {column}; it has {', '.join(columns) or 'none'}")
    rows: dict[str, str] = {}
    wrong: list[Clip] = []
    for where, cells in lines:
        sample = cells["sample_name"]
        place = f"{path.name}, {where.rpartition(', ')[2]}"
        if not _SAMPLE.fullmatch(sample):
            wrong.append(unusable(place, f"{where}: sample_name is {sample!r}, not like {_EXAMPLE}"))
        elif sample in rows:
            wrong.append(unusable(place, f"{where}: {sample} is already in an earlier row"))
        else:
            rows[sample] = cells["class_name"]
    return rows, wrong
