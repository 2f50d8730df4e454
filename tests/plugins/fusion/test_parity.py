"""JCA gives the numbers of the authors' published module."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from affectzoo_fusion.joint_cross_attention import JointAttention, JointCrossAttention

ROOT = Path(__file__).parents[3]
SHARED = ROOT / os.environ.get("AFFECTZOO_TEST_DATA", "../shared") / "parity" / "jca_tbiom.safetensors"
SMALL = Path(__file__).parent / "fixtures" / "jca_tbiom_small.safetensors"
TARGETS = ("valence", "arousal")

#: The authors' names -> ours.
NAMES = {
    "encoder1": "project.layers.audio",
    "encoder2": "project.layers.visual",
    "affine_a": "attention.audio.W_j",
    "affine_v": "attention.visual.W_j",
    "W_ca": "attention.audio.W_c",
    "W_cv": "attention.visual.W_c",
    "W_a": "attention.audio.W",
    "W_v": "attention.visual.W",
    "W_ha": "attention.audio.W_h",
    "W_hv": "attention.visual.W_h",
}


def regress(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    for layer in ("0", "2"):
        x = torch.nn.functional.linear(x, state[f"{name}.{layer}.weight"], state[f"{name}.{layer}.bias"])
    return x.squeeze(-1)


@pytest.mark.skipif(not SHARED.exists(), reason="the shared test data are not here")
@pytest.mark.parametrize("order", [("audio", "visual"), ("visual", "audio")])
def test_jca_equals_the_authors_module(order: tuple[str, str]) -> None:
    numbers = load_file(SHARED)
    state = {key.removeprefix("state."): value for key, value in numbers.items() if key.startswith("state.")}
    model = JointCrossAttention(dict.fromkeys(order, 512), 16, output="visual-residual").eval()
    ours = {f"{NAMES[key.split('.')[0]]}.{key.split('.')[1]}": state[key] for key in state if key.split(".")[0] in NAMES}
    model.load_state_dict(ours, strict=True)
    with torch.no_grad():
        fused = model({name: numbers[name] for name in order})
    assert fused.shape == (3, 16, model.out_dim) == (3, 16, 640)
    for target in TARGETS:
        torch.testing.assert_close(regress(state, f"{target[0]}regressor", fused), numbers[target], atol=1e-5, rtol=0)


@pytest.mark.skipif(not SHARED.exists(), reason="the shared test data are not here")
def test_the_small_fixture_holds_the_shared_numbers() -> None:
    shared, small = load_file(SHARED), load_file(SMALL)
    for target in TARGETS:
        torch.testing.assert_close(small[f"{target}.expected"], shared[target][:1], atol=0, rtol=0)


def test_joint_attention_equals_the_authors_module_on_the_small_fixture() -> None:
    small = load_file(SMALL)
    attention = JointAttention(16, 256, 32)
    attention.load_state_dict({f"{name}.weight": small[name] for name in ("W_j", "W_c", "W", "W_h")}, strict=True)
    with torch.no_grad():
        attended = attention(small["x_visual"], torch.cat([small["x_audio"], small["x_visual"]], dim=-1))
    for target in TARGETS:
        output = small[f"{target}.raw"] + attended @ small[f"{target}.regressor"]
        torch.testing.assert_close(output, small[f"{target}.expected"], atol=1e-5, rtol=0)
