"""TSAV, an entry to ABAW 2020 (Kuhnke et al. 2020, "Two-Stream Aural-Visual Affect Analysis in the Wild").

arXiv 2002.03399; repository kuhnkeF/ABAW2020TNT. R(2+1)D-18 sees eight face crops and a drawing of the landmarks, ResNet-18
hears a log-mel spectrogram; one linear layer on both predicts seven expressions, valence, arousal and eight action units.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from affectzoo import Imported, create_model, load_state, read_state_dict
from affectzoo_backbones.importers.parts import linear, split

_KIND = "a TSAV checkpoint"
_PREFIXES = ("audio_model.resnet.", "video_model.r2plus1d.", "fc.1.")

#: Rows of the last layer, in its order.
EXPRESSIONS = ("neutral", "anger", "disgust", "fear", "happiness", "sadness", "surprise")
ACTION_UNITS = ("au1", "au2", "au4", "au6", "au12", "au15", "au20", "au25")
_OUTPUTS = len(EXPRESSIONS) + 2 + len(ACTION_UNITS)

#: The drawing's channel where nothing is drawn: black, by the authors' mean and deviation of that channel.
_BLANK = (0.0 - 0.5) / 0.225
#: Eight frames, every sixth of 30 in a second.
_SECONDS = 8 * 6 / 30
#: Columns of the spectrogram of that stretch: one each 441 samples at 44.1 kHz, and one more, for the first is centred on 0.
_COLUMNS = 161

_NOTES = (
    "The fourth channel of the original held a drawing of the facial landmarks (brows, eyes, nose, mouth, chin in shades of "
    "grey on black). Nothing draws it here: the channel is black, as the original's was where it found no face. Inputs with "
    "four channels are taken as they are.",
    "The original aligned faces by their landmarks to 112 x 112; here the crop is a square around the detector's box.",
    "The original predicts for the last of eight frames, every sixth at 30 frames/s; a row here stands for the 1.6 s that "
    "they span.",
    "The original heard 10 s, 5 before and 5 after the frame; here the sound is that of the same 1.6 s. It limited the "
    "spectrogram to 80 dB under its loudest place; here the floor is -100 dB.",
    "Valence and arousal are not squashed, as in the original, whose label files clip them to -1..1.",
    "An action unit's output z becomes two classes with the logits (0, z), whose probability is the sigmoid of z; the "
    "authors' label files call it present above z = 0.5.",
    "The authors restrict the weights to research.",
)
_CAUTION = (
    "tsav-abaw2020 was trained with drawn facial landmarks, aligned faces and 10 s of sound, none of which it is given here: "
    "its published results do not hold."
)


def convert(source: Path) -> Imported:
    """`TSAV_Sub4_544k.pth.tar` or another checkpoint of that network, with four input channels.

    Targets: valence, arousal, expression (7 classes) and eight action units (absent, present each).

    Raises:
        CheckpointError: damaged, or another network.
    """
    source = Path(source)
    audio, visual, last = split(read_state_dict(source), _PREFIXES, source=source, kind=_KIND)
    weight, bias = linear(last, (_OUTPUTS, 1024), source=source, kind=_KIND)
    model = create_model(
        visual={"name": "r2plus1d_18", "config": {"frames": 8, "image_size": 112, "fourth_channel": _BLANK}},
        audio={"name": "spectrogram-resnet18", "config": {"log_mel": {"frames": _COLUMNS}}},
        # Alphabetical, that is audio before visual, as in the original.
        fusion="concat",
        targets=_targets(),
        sequence={"seconds": _SECONDS, "length": 1},
        head={"hidden": None},
    ).eval()
    backbones: Any = model.backbones
    load_state(backbones["audio"].network, audio, source=source)
    load_state(backbones["visual"].network, visual, source=source)
    load_state(model.head, _head(weight, bias), source=source)
    return Imported(
        model=model,
        summary="valence, arousal, 7 expressions and 8 action units from face and sound, R(2+1)D-18 and ResNet-18",
        notes=_NOTES,
        caution=_CAUTION,
    )


def _targets() -> list[Any]:
    expression = {"name": "expression", "kind": "categorical", "classes": EXPRESSIONS}
    units = [{"name": name, "kind": "categorical", "classes": ("absent", "present")} for name in ACTION_UNITS]
    return ["valence", "arousal", expression, *units]


def _head(weight: Tensor, bias: Tensor) -> dict[str, Tensor]:
    """The rows of the last layer `[17, 1024]` as regressors: expressions, valence, arousal, action units."""
    sizes = [len(EXPRESSIONS), 1, 1, *[1] * len(ACTION_UNITS)]
    names = ("expression", "valence", "arousal", *ACTION_UNITS)
    tensors: dict[str, Tensor] = {}
    for name, rows, offset in zip(names, weight.split(sizes), bias.split(sizes), strict=True):
        if name in ACTION_UNITS:
            rows, offset = torch.cat([torch.zeros_like(rows), rows]), torch.cat([torch.zeros_like(offset), offset])
        tensors[f"regressors.{name}.1.weight"], tensors[f"regressors.{name}.1.bias"] = rows, offset
    return tensors
