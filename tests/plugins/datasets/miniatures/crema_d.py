"""CREMA-D in small: sound, picture and the table of actors, as in the repository."""

from __future__ import annotations

from pathlib import Path

from tests.plugins.datasets.miniatures.ravdess import put, write_tone, write_video

ACTORS = {1001: (51, "Male"), 1002: (21, "Female"), 1040: (42, "Male"), 1076: (25, "Female")}
EMOTIONS = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "c6" * 32 + "\nsize 72862\n"


def write_crema_d(root: Path, *, video: bool = True) -> int:
    """Six utterances of each actor, one of them misnamed as it was published; how many clips there are."""
    tone = write_tone(root / ".source.wav")
    film = write_video(root / ".source.flv") if video else None
    for actor in ACTORS:
        for emotion in EMOTIONS:
            name = f"{actor}_ITH_{emotion}_XX"
            misnamed = name == "1040_ITH_SAD_XX"
            put(tone, root / "AudioWAV" / f"{name[:-1] if misnamed else name}.wav")
            if film is not None:
                put(film, root / "VideoFlash" / f"{name}.flv")
    write_demographics(root, *((actor, *ACTORS[actor]) for actor in ACTORS))
    return len(ACTORS) * len(EMOTIONS)


def write_demographics(root: Path, *actors: tuple[int, int | str, str], newline: str = "\n") -> None:
    """Quoted as R writes it."""
    lines = ['"ActorID","Age","Sex","Race","Ethnicity"']
    lines += [f'{actor},{age},"{sex}","African American","Not Hispanic"' for actor, age, sex in actors]
    text = "".join(line + newline for line in lines)
    (root / "VideoDemographics.csv").write_text(text, encoding="utf-8", newline="")
