"""A miniature of the UNBC-McMaster archive as it is delivered: small images of whole frames, labels in one file each.

| sequence               | images | awkward                                   |
|------------------------|--------|-------------------------------------------|
| 042-ll042/ll042t1aaaff | 6      | none                                      |
| 042-ll042/ll042t2aaaff | 4      | no VAS; image 2 is missing                |
| 043-jh043/jh043t1aeaff | 5      | PSPI of frame 5 is missing                |
| 047-jl047/jl047t1aaunaff | 3    | a byte order mark and CRLF, no blanks     |

FACS labels, landmarks and files of the system lie beside.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

#: Sequence -> PSPI of its frames, from 1.
PSPI = {
    "042-ll042/ll042t1aaaff": (0, 0, 2, 5, 15, 1),
    "042-ll042/ll042t2aaaff": (0, 1, 1, 0),
    "043-jh043/jh043t1aeaff": (0, 0, 3, 4, 4),
    "047-jl047/jl047t1aaunaff": (0, 6, 0),
}
#: Sequence -> VAS, OPR, AFF, SEN.
WHOLE = {
    "042-ll042/ll042t1aaaff": (7.5, 4, 8, 9),
    "042-ll042/ll042t2aaaff": (None, 1, 2, 3),
    "043-jh043/jh043t1aeaff": (0, 0, 0, 0),
    "047-jl047/jl047t1aaunaff": (10, 5, 14, 14),
}
KINDS = ("VAS", "OPR", "AFF", "SEN")
_MISSING_IMAGE = ("042-ll042/ll042t2aaaff", 2)
_MISSING_PSPI = ("043-jh043/jh043t1aeaff", 5)


def write_unbc(root: Path) -> Path:
    """Write the miniature under `root`, and return it."""
    for sequence, values in PSPI.items():
        name = sequence.split("/")[1]
        for number, value in enumerate(values, start=1):
            if (sequence, number) != _MISSING_IMAGE:
                write_image(image_path(root, sequence, number))
            if (sequence, number) != _MISSING_PSPI:
                _write(pspi_path(root, sequence, number), value, plain=name.startswith("jl"))
            _write(root / "Frame_Labels/FACS" / sequence / f"{name}{number:03d}_facs.txt", value)
            _write(root / "AAM_landmarks" / sequence / f"{name}{number:03d}_aam.txt", value)
        for kind, value in zip(KINDS, WHOLE[sequence], strict=True):
            if value is not None:
                _write(whole_path(root, sequence, kind), value, plain=name.startswith("jl"))
    for place in (root / "Images/.DS_Store", root / "Images/042-ll042/Thumbs.db"):
        place.write_bytes(b"")
    return root


def image_path(root: Path, sequence: str, number: int) -> Path:
    """Where the image of a frame is."""
    return root / "Images" / sequence / f"{sequence.split('/')[1]}{number:03d}.png"


def pspi_path(root: Path, sequence: str, number: int) -> Path:
    """Where the PSPI of a frame is."""
    return root / "Frame_Labels/PSPI" / sequence / f"{sequence.split('/')[1]}{number:03d}_facs.txt"


def whole_path(root: Path, sequence: str, kind: str) -> Path:
    """Where a score of a sequence is."""
    return root / "Sequence_Labels" / kind / f"{sequence}.txt"


def write_image(path: Path) -> None:
    """A frame of nothing much."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ok, png = cv2.imencode(".png", np.full((24, 32, 3), 120, np.uint8))
    assert ok
    # cv2.imwrite fails without a word where a path is not ASCII on some systems.
    path.write_bytes(png.tobytes())


def _write(path: Path, value: float, *, plain: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = f"\ufeff{value:g}\r\n" if plain else f"   {value:.7e}\n"
    path.write_text(text, encoding="utf-8", newline="")
