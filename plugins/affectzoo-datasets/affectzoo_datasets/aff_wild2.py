"""The dataset `aff-wild2`: the valence-arousal track of the ABAW challenges."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import ClassVar, Literal, get_args

import numpy as np

from affectzoo import Clip, Corpus, DatasetCard, Protocol, TargetConfig, Track, unusable
from affectzoo.errors import ConfigError, DataError
from affectzoo_datasets.aff_wild2_files import Delivered, crop_numbers, find, merge_test_lists, read_test_list, video_of
from affectzoo_datasets.aff_wild2_labels import TARGETS, read_labels
from affectzoo_datasets.aff_wild2_submission import write_submission
from affectzoo_datasets.delivered import several

Media = Literal["auto", "cropped", "video"]


class AffWild2(Corpus):
    """Aff-Wild2, a clip for each annotated person of each video; `clip_id` is the name of the label file.

    Args:
        root: holds the annotations and the media, in any arrangement of folders.
        media: `cropped` (the folders of face crops, with the raw video for sound and time where it is there), `video` (the
            raw video alone), or `auto` (crops where there are some, else the video).
        fps: frames per second of face crops whose raw video is not there.

    Raises:
        ConfigError: an unknown `media`, or an `fps` that is not positive.
    """

    card: ClassVar[DatasetCard] = DatasetCard(
        title="Aff-Wild2, valence-arousal estimation track (ABAW)",
        licence="non-commercial research only, under the authors' end user licence agreement; not to be passed on",
        source="https://ibug.doc.ic.ac.uk/resources/aff-wild2/",
        how_to_obtain="sign the licence agreement (academics by a member of faculty) and send it to the authors from an "
        "institution's address; they answer with links to videos, face crops and annotations",
        layout="annotations VA_Estimation_Challenge/{Train_Set,Validation_Set}/NAME.txt (older: VA_Set/...), face crops "
        "cropped_aligned/NAME/00001.jpg, raw videos batch1/NAME.mp4, names of test videos *_test_set_release.txt",
        citation="Kollias and Zafeiriou 2019, Expression, Affect, Action Unit Recognition: Aff-Wild2, Multi-Task Learning and "
        "ArcFace, arXiv 1910.04855; Kollias 2022, ABAW, arXiv 2202.10659",
        protocol="trained on Train_Set, reported on Validation_Set; labels of the test set are withheld. Nobody is named: "
        "a video, or one side of a video of two people, stands for a person, so that the same person in two videos "
        "is not noticed",
        metric="CCC of valence and of arousal over all frames of the split, without those marked -5",
        checked="a miniature of the documented layout, not the corpus",
    )
    targets = tuple(TargetConfig.model_validate(name) for name in TARGETS)
    along = TARGETS
    protocols: ClassVar[tuple[Protocol, ...]] = (
        Protocol(
            name="aff-wild2",
            summary="CCC over every annotated frame of the validation set",
            source="Kollias 2022, ABAW: Valence-Arousal Estimation, Expression Recognition, Action Unit Detection and "
            "Multi-Task Learning Challenges, arXiv 2202.10659",
            targets=TARGETS,
            metrics=("ccc",),
            of="annotations",
            split="val",
        ),
    )

    def __init__(self, root: str | Path, *, media: Media = "auto", fps: float = 30.0) -> None:
        super().__init__(root)
        if media not in get_args(Media):
            raise ConfigError(f"media is {media!r}; aff-wild2 takes {', '.join(get_args(Media))}")
        if not isinstance(fps, int | float) or not 0 < fps < math.inf:
            raise ConfigError(f"fps must be a positive number, not {fps!r}")
        self.media, self.fps = media, float(fps)

    def scan(self) -> Iterator[Clip]:
        found = find(self.root)
        if not found.labels and not found.lists:
            raise DataError(
                f"{self.root} has neither label files (VA_Estimation_Challenge/Train_Set/*.txt, .../Validation_Set/*.txt) "
                "nor a list of test videos (*test_set*.txt)"
            )
        # Name -> the file that says which split it is in.
        said: dict[str, Path] = {}
        for split, path in found.labels:
            if path.stem in said:
                yield self._twin(path.stem, path, said)
                continue
            said[path.stem] = path
            yield self._clip(path.stem, split, found, labels=path)
        for path in found.lists:
            try:
                names = read_test_list(path)
            except DataError as error:
                yield unusable(path.relative_to(self.root).as_posix(), str(error))
                continue
            for name in names:
                if name not in said:
                    said[name] = path
                    yield self._clip(name, "test", found, labels=None)
                elif said[name] not in found.lists:
                    yield self._twin(name, path, said)
        shown = {*said, *map(video_of, said)}
        for name in sorted({*found.crops, *found.videos} - shown):
            place = (found.crops.get(name) or found.videos[name])[0]
            yield unusable(name, f"{place} has no label file and is in no list of test videos")

    def read(self, clip: Clip) -> Clip:
        if not clip.label_files:
            return clip
        values, notes = read_labels(Path(clip.label_files[0]))
        if clip.frames:
            numbers = crop_numbers(Path(clip.frames))
            beyond = int((numbers > len(values)).sum())
            if beyond:
                notes.append(f"{beyond} crops, up to frame {numbers[-1]}, lie beyond the last of {len(values)} labels")
        track = Track(
            times=np.arange(len(values), dtype=np.float64),
            unit="frame",
            values={target: values[:, column] for column, target in enumerate(TARGETS)},
            valid=np.asarray(np.isfinite(values).all(axis=1)),
        )
        return replace(clip, track=track, notes=(*clip.notes, *notes))

    def test_frames(self) -> dict[str, np.ndarray | None]:
        """Test videos, in the order of their list -> numbers from 1 of the frames to predict; None is every frame.

        Only a sample submission (`*test_set_sample.txt`) says which frames are asked for.

        Raises:
            DataError: there is no list of test videos, or two that contradict each other.
        """
        return self._test_frames(find(self.root))

    def write_submission(self, predictions: Mapping[str, np.ndarray], path: str | PathLike[str]) -> Path:
        """Write predictions of the test set as the challenge takes them.

        Args:
            predictions: clip id -> `[F, 2]`, valence and arousal of frames 0 to F - 1 of its video, within -1..1.
            path: a text file.

        Returns:
            `path`.

        Raises:
            DataError: there is no list of test videos.
            InputError: a video or a frame is missing or unknown, or a value is no number or out of range.
        """
        found = find(self.root)
        frames = self._test_frames(found)
        last = {name: int(crop_numbers(found.crops[name][0])[-1]) for name in frames if name in found.crops}
        return write_submission(predictions, path, frames=frames, at_least=last)

    def _test_frames(self, found: Delivered) -> dict[str, np.ndarray | None]:
        if not found.lists:
            raise DataError(f"{self.root} has no list of test videos (*test_set*.txt); put it beside the annotations")
        return merge_test_lists(found.lists)

    def _clip(self, name: str, split: str, found: Delivered, *, labels: Path | None) -> Clip:
        base = video_of(name)
        crops = found.crops.get(name, []) if self.media != "video" else []
        videos = found.videos.get(name, [])
        # The video of two people, of whom crops show the one that is meant.
        shared = not videos and base != name
        if shared:
            videos = found.videos.get(base, [])
        notes = several({"folders of crops": crops, "videos": videos})
        problem = ""
        if not crops and self.media == "cropped":
            problem = f"there is no folder of crops called {name}"
        elif not crops and not videos:
            problem = f"there is no {'video' if self.media == 'video' else 'folder of crops or video'} called {name}"
        elif not crops and shared:
            problem = f"{videos[0]} shows two people, and only a folder of crops called {name} would tell them apart"
            problem += "; media='auto' looks for one" if self.media == "video" else ""
        elif not crops and name in found.of_two:
            notes.append(f"{videos[0]} shows another person too, and only crops would tell them apart")
        elif not videos:
            notes.append(f"there is no video called {base}: no sound, and {self.fps:g} frames per second are assumed")
        return Clip(
            clip_id=name,
            subject=name,
            split=split,
            video=str(videos[0]) if videos else None,
            frames=str(crops[0]) if crops else None,
            fps=self.fps if crops and not videos else None,
            label_files=() if labels is None else (str(labels),),
            notes=tuple(notes),
            problem=problem,
        )

    def _twin(self, name: str, path: Path, said: Mapping[str, Path]) -> Clip:
        """A name for the second time."""
        place = path.relative_to(self.root).as_posix()
        return unusable(f"{name} ({place})", f"{name} is in {said[name]} already, which counts; remove one of the two")
