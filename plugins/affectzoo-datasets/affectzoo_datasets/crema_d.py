"""CREMA-D: 91 actors speak twelve sentences in six emotions; a file's name is its label."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from affectzoo import Clip, Corpus, DatasetCard, Protocol, TargetConfig, read_rows, unusable
from affectzoo.errors import DataError
from affectzoo_datasets.delivered import files_under

#: As in the names -> class.
EMOTIONS = {"ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
SENTENCES = ("IEO", "TIE", "IOM", "IWW", "TAI", "MTI", "IWL", "ITH", "DFA", "ITS", "TSI", "WSI")
LEVELS = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified"}
DEMOGRAPHICS_FILE = "VideoDemographics.csv"
SOURCE = "https://doi.org/10.1109/TAFFC.2014.2336244"

#: Clips that the corpus' users reported (its issues 8 and 13); a later copy may have them mended.
_VOID = {"1076_MTI_SAD_XX": "it is known to hold neither a voice nor a face"}
_DOUBTFUL = {
    "1076_MTI_NEU_XX": "its sound is reported to be missing or unreadable",
    "1064_TIE_SAD_XX": "its video is reported to have no duration",
    "1064_IEO_DIS_MD": "its video is reported to be a minute long and to show other emotions too",
}
_ROLES = {".wav": "audio", ".flv": "video", ".mp4": "video"}
_NAME = re.compile(r"(\d{4})_([A-Z]{3})_([A-Z]{3})_([A-Z]{1,2})")
#: A pointer of Git LFS has about 130 bytes; no clip has so few.
_SMALLEST = 200


class CremaD(Corpus):
    """Files by their names, anywhere under `root`; sound and picture of one name are one clip.

    Args:
        root: a clone of the repository, or any part of it with .wav, .flv or .mp4 files.

    Raises:
        DataError: `VideoDemographics.csv` is there and is no such table.
    """

    card = DatasetCard(
        title="CREMA-D, the Crowd-sourced Emotional Multimodal Actors Dataset",
        licence="ODbL-1.0 (database), DbCL-1.0 (contents)",
        source=SOURCE,
        how_to_obtain="git lfs clone https://github.com/CheyneyComputerScience/CREMA-D (without Git LFS media are pointers)",
        layout=f"AudioWAV/1001_DFA_ANG_XX.wav, VideoFlash/1001_DFA_ANG_XX.flv, {DEMOGRAPHICS_FILE}; AudioMP3 is not read",
        citation="Cao H, Cooper DG, Keutmann MK, Gur RC, Nenkova A, Verma R (2014). CREMA-D: Crowd-sourced Emotional "
        "Multimodal Actors Dataset. IEEE Transactions on Affective Computing 5(4): 377-390.",
        protocol="no official split; here 5 folds of whole actors. The label is the emotion that the actor was asked for, not "
        "what raters saw or heard. One clip of the 7,442 is left out, and three have a remark: reported as damaged.",
        metric="UAR",
        checked="a miniature of the documented layout, and the 91 actors of the table as published; not the media",
    )
    targets = (TargetConfig(name="emotion", kind="categorical", classes=tuple(EMOTIONS.values())),)
    extra: Mapping[str, type] = {"level": str, "sentence": str, "age": int, "sex": str, "race": str, "ethnicity": str}
    protocols = (
        Protocol(
            name="crema-d-5fold",
            summary="5 folds of whole actors, six intended emotions of whole clips, mean UAR over folds",
            source="no official split; by actor, as speaker-independent work does",
            targets=("emotion",),
            metrics=("uar", "f1"),
            of="clips",
            folds=5,
            average="folds",
        ),
    )

    def scan(self) -> Iterator[Clip]:
        """Every name once, in order; then files that belong to no clip."""
        found: dict[str, dict[str, Path]] = {}
        notes: dict[str, list[str]] = {}
        left: list[Clip] = []
        for path in files_under(self.root):
            role = _ROLES.get(path.suffix.lower())
            if role is None:
                continue
            place = path.relative_to(self.root).as_posix()
            try:
                name = _parse(path)
            except DataError as error:
                left.append(unusable(place, str(error)))
                continue
            files = found.setdefault(name, {})
            if role in files:
                left.append(unusable(place, f"the same utterance as {files[role].relative_to(self.root).as_posix()}"))
                continue
            files[role] = path
            if name != path.stem:
                notes.setdefault(name, []).append(f"{place} is named without the second X")
        actors = self._demographics()
        roles = {role for files in found.values() for role in files}
        for number, (name, files) in enumerate(sorted(found.items())):
            remarks = notes.get(name, [])
            if number == 0 and actors is None:
                remarks.append(f"{DEMOGRAPHICS_FILE} is absent, so age, sex, race and ethnicity of no actor are known")
            yield self._clip(name, files, roles, {} if actors is None else actors, remarks)
        yield from left

    def _clip(
        self, name: str, files: dict[str, Path], roles: set[str], actors: dict[str, dict[str, str]], remarks: list[str]
    ) -> Clip:
        actor, sentence, emotion, level = name.split("_")
        remarks += [f"there is no {role} file of it" for role in sorted(roles - set(files))]
        if name in _DOUBTFUL:
            remarks.append(_DOUBTFUL[name])
        person = actors.get(actor, {})
        if actors and not person:
            remarks.append(f"{DEMOGRAPHICS_FILE} has no actor {actor}")
        age = person.get("Age", "")
        if person and not age.isdecimal():
            remarks.append(f"{DEMOGRAPHICS_FILE} gives actor {actor} the age {age!r}")
        video, audio = files.get("video"), files.get("audio")
        return Clip(
            clip_id=name,
            subject=actor,
            video=None if video is None else str(video),
            audio=None if audio is None else str(audio),
            scores={"emotion": EMOTIONS[emotion]},
            extra={
                "level": LEVELS[level],
                "sentence": sentence,
                "age": int(age) if age.isdecimal() else None,
                "sex": person.get("Sex") or None,
                "race": person.get("Race") or None,
                "ethnicity": person.get("Ethnicity") or None,
            },
            notes=tuple(remarks),
            problem=_VOID.get(name, ""),
        )

    def _demographics(self) -> dict[str, dict[str, str]] | None:
        """Actor -> the row; None where there is no table."""
        path = self.root / DEMOGRAPHICS_FILE
        if not path.exists():
            return None
        rows, header = read_rows(path)
        for name in ("ActorID", "Age", "Sex", "Race", "Ethnicity"):
            if name not in header:
                raise DataError(f"{path} has no column {name!r}; fetch it again")
        return {cells["ActorID"]: cells for _, cells in rows}


def _parse(path: Path) -> str:
    """The name as it should be: `1040_ITH_SAD_X`, which was published so for years, is `1040_ITH_SAD_XX`.

    Raises:
        DataError: it is no name of this corpus, or no media file.
    """
    match = _NAME.fullmatch(path.stem)
    if not match:
        raise DataError("its name is not actor_sentence_emotion_level, as in 1001_DFA_ANG_XX")
    actor, sentence, emotion, level = match.groups()
    level = "XX" if level == "X" else level
    for what, given, known in (("sentence", sentence, SENTENCES), ("emotion", emotion, EMOTIONS), ("level", level, LEVELS)):
        if given not in known:
            raise DataError(f"its name says {what} {given}; there are {', '.join(known)}")
    if not path.exists():
        raise DataError("it is a link to a file that is not there; fetch it (`git annex get` or `datalad get`)")
    if path.stat().st_size < _SMALLEST:
        raise DataError(f"its {path.stat().st_size} bytes are no media, but a pointer of Git LFS; run `git lfs pull`")
    return f"{actor}_{sentence}_{emotion}_{level}"
