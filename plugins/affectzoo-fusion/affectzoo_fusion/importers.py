"""The fusion of JCA as its authors released it: `jointcam_model.pt` (Praveen et al. 2023, IEEE T-BIOM, arXiv 2209.09068).

Repository praveena2j/Joint-Cross-Attention-for-Audio-Visual-Fusion, `models/cam.py`: 16 sub-sequences of 32 frames, 512
features of each modality, one regressor on [visual features, attended visual features] for each target.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from affectzoo import AffectModel, Imported, create_model, load_state, read_state_dict
from affectzoo.errors import CheckpointError

_LENGTH, _SECONDS, _FEATURES = 16, 32 / 30, 512
_MODALITIES = ("audio", "visual")

#: The authors' layer -> ours.
_LAYERS = {
    "encoder1": "fusion.project.layers.audio",
    "encoder2": "fusion.project.layers.visual",
    "affine_a": "fusion.attention.audio.W_j",
    "affine_v": "fusion.attention.visual.W_j",
    "W_a": "fusion.attention.audio.W",
    "W_v": "fusion.attention.visual.W",
    "W_ca": "fusion.attention.audio.W_c",
    "W_cv": "fusion.attention.visual.W_c",
    "W_ha": "fusion.attention.audio.W_h",
    "W_hv": "fusion.attention.visual.W_h",
    "vregressor.0": "head.regressors.valence.0",
    "vregressor.2": "head.regressors.valence.3",
    "aregressor.0": "head.regressors.arousal.0",
    "aregressor.2": "head.regressors.arousal.3",
}
_WITH_BIAS = ("encoder1", "encoder2", "vregressor.0", "vregressor.2", "aregressor.0", "aregressor.2")
_NAMES = {f"{layer}.weight": f"{ours}.weight" for layer, ours in _LAYERS.items()} | {
    f"{layer}.bias": f"{_LAYERS[layer]}.bias" for layer in _WITH_BIAS
}

_NOTES = (
    "Valence and arousal are what the regressors give: the authors clip them to -1..1 and smooth them over 20 and 50 frames "
    "afterwards.",
    "The attention of the audio branch is in the checkpoint, but nothing reads its output; it stays frozen.",
    "Where a face or a sound is missing, the authors repeat the last frame or fill in zeros; here such a step is masked.",
)
_NO_BACKBONES = (
    "The checkpoint holds the fusion alone: the model takes 512 features of each modality for each of 16 steps of 32/30 s. "
    "Import it with backbones=FOLDER, an imported TSAV checkpoint, to predict files."
)
_BACKBONES = (
    "The authors' backbones were those of TSAV (TSAV_Sub4_544k.pth.tar), frozen, not trained with the fusion; their first "
    "visual layer was cut to RGB, and a fourth channel in {folder} is set to zero to the same effect.",
    "They are not part of the released file, and the code at hand leaves open how the visual feature map was pooled for it: "
    "here it is averaged to 512, as TSAV does. The published results were not reproduced.",
)
_CAUTION = "jca-tbiom stands on backbones that were not released with it; its published results do not hold for other ones."


def convert(source: Path, *, backbones: str | Path | None = None) -> Imported:
    """`jointcam_model.pt`: joint cross-attention and two regressors, valence and arousal.

    Args:
        source: the checkpoint.
        backbones: a saved affectzoo model whose streams `audio` and `visual` have 512 features each; its backbones and
            their weights become part of the model. None: the streams take precomputed features, `[B, 16, 1, 512]`.

    Raises:
        CheckpointError: the checkpoint is damaged or of another network, or `backbones` are not of this kind.
    """
    source = Path(source)
    tensors = _renamed(read_state_dict(source), source)
    given = None if backbones is None else _read_backbones(Path(backbones))
    features = {"name": "features", "config": {"channels": _FEATURES}}
    streams = {name: features if given is None else _stream(given, name) for name in _MODALITIES}
    model = create_model(
        streams=streams,
        fusion={"name": "joint-cross-attention", "config": {"output": "visual-residual", "dim": 128, "hidden": 32}},
        targets=["valence", "arousal"],
        sequence={"seconds": _SECONDS, "length": _LENGTH},
        head={"hidden": 128, "activation": "none", "dropout": 0.6},
    ).eval()
    if given is not None:
        for name in _MODALITIES:
            load_state(model.backbones[name], given.backbones[name].state_dict(), source=str(backbones))
    kept = {name: tensor for name, tensor in model.state_dict().items() if name.startswith("backbones.")}
    load_state(model, {**kept, **tensors}, source=source)
    # The folder's own name: where it lies on this machine is nobody's business in a card.
    folder = "" if backbones is None else Path(backbones).resolve().name
    about = (_NO_BACKBONES,) if given is None else tuple(note.format(folder=folder) for note in _BACKBONES)
    return Imported(
        model=model,
        summary="valence and arousal by joint cross-attention of 16 steps, "
        + ("from precomputed features" if given is None else f"with the backbones of {folder}"),
        notes=(*_NOTES, *about),
        caution=_CAUTION,
    )


def _renamed(tensors: Mapping[str, Tensor], source: Path) -> dict[str, Tensor]:
    """Our names for the authors', all of them and no other."""
    for name in _NAMES:
        if name not in tensors:
            raise CheckpointError(f"{source} is not the released JCA fusion: it has no {name!r}")
    for name in tensors:
        if name not in _NAMES:
            raise CheckpointError(
                f"{source} is not the released JCA fusion: it holds {name!r}, which that network does not have"
            )
    return {_NAMES[name]: tensor for name, tensor in tensors.items()}


def _read_backbones(folder: Path) -> AffectModel:
    model = AffectModel.from_folder(folder)
    dims = {name: model.feature_dims.get(name) for name in _MODALITIES}
    for name, dim in dims.items():
        if dim != _FEATURES:
            has = "has no such stream" if dim is None else f"gives {dim}"
            raise CheckpointError(
                f"{folder} cannot be the backbones of jca-tbiom: it takes {_FEATURES} {name} features, the folder {has}"
            )
    return model


def _stream(given: AffectModel, name: str) -> dict[str, Any]:
    """The config of a stream with a given backbone, fed what lies in 32/30 s."""
    stream = given.config.streams[name].to_json()
    backbone, wanted = stream["backbone"], stream["input"]
    if backbone["config"].get("fourth_channel") is not None:
        # Zero in normalised units: the layer then computes what it would without its weights for that channel.
        backbone["config"]["fourth_channel"] = 0.0
    if wanted["kind"] == "log-mel":
        wanted["frames"] = round(_SECONDS * wanted["sample_rate"]) // wanted["hop_length"] + 1
    elif wanted["kind"] == "waveform":
        wanted["samples"] = round(_SECONDS * wanted["sample_rate"])
    return {"backbone": backbone, "input": wanted}
