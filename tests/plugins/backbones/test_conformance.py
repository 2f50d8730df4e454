"""Every backbone of this plugin keeps the contract, families by small members."""

from __future__ import annotations

from typing import Any

from affectzoo.testing import Check, Subject, parametrize_with_checks
from affectzoo_backbones import affectzoo_backbones

NARROW = {"model_args": {"channels": [8, 16, 24, 32]}}
CLIP = {"frames": 2, "image_size": 32}
TRANSFORMER = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
WAVEFORM = {
    "model_config": {
        **TRANSFORMER,
        "conv_dim": [8, 8],
        "conv_kernel": [10, 8],
        "conv_stride": [5, 4],
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 2,
    },
    "input_config": {"samples": 2000},
}

#: Spec -> (variant, config) of what is checked; a variant where the spec is a family.
MEMBERS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "timm/": [("resnet10t", {"image_size": 48, "frames": 3, **NARROW}), ("test_vit", {"image_size": 64, "frames": 2})],
    "spectrogram-resnet18": [("", {"log_mel": {"n_mels": 32, "frames": 32}})],
    "spectrogram/": [("resnet10t", {"log_mel": {"n_mels": 40, "frames": 50}, **NARROW})],
    "r2plus1d_18": [("", CLIP)],
    "r3d_18": [("", CLIP)],
    "mc3_18": [("", CLIP)],
    "i3d": [("", CLIP)],
    "transformers/": [
        ("wav2vec2", WAVEFORM),
        ("hubert", WAVEFORM),
        ("wavlm", WAVEFORM),
        ("audio-spectrogram-transformer", {"model_config": {**TRANSFORMER, "max_length": 64}}),
        ("videomae", {"model_config": {**TRANSFORMER, "image_size": 32, "num_frames": 4}}),
    ],
    "signal-mlp": [("", {"channels": 3, "samples": 4, "hidden": [16, 8]})],
    "features": [("", {"channels": 5})],
}
SUBJECTS = [
    Subject("backbone", spec, config, variant) for spec in affectzoo_backbones() for variant, config in MEMBERS[spec.name]
]


@parametrize_with_checks(SUBJECTS)
def test_contract(check: Check) -> None:
    check()
