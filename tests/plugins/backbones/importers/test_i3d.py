"""`i3d-kinetics`: the original layout, written out here on the checkpoint's own names, gives the same numbers."""

from __future__ import annotations

import json
import os

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from affectzoo.errors import CheckpointError
from affectzoo_backbones.i3d import I3D
from affectzoo_backbones.importers.i3d import convert


def same(x: Tensor, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> Tensor:
    """Zeros around `x` as the original adds them: by the remainder of the size, more behind than before."""
    padding: list[int] = []
    for size, k, s in reversed(list(zip(x.shape[2:], kernel, stride, strict=True))):
        total = max(k - (s if size % s == 0 else size % s), 0)
        padding += [total // 2, total - total // 2]
    return functional.pad(x, padding)


def original(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """Logits `[N, 400]` of `[N, 3, T, H, W]`: pooled 2 x 7 x 7 with stride 1, classified, averaged over time."""

    def unit(x: Tensor, name: str, kernel: int = 1, stride: int = 1) -> Tensor:
        x = same(x, (kernel, kernel, kernel), (stride, stride, stride))
        x = functional.conv3d(x, state[f"{name}.conv3d.weight"], stride=stride)
        mean, variance, weight, bias = (
            state[f"{name}.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return functional.relu(functional.batch_norm(x, mean, variance, weight, bias, eps=1e-3))

    def pool(x: Tensor, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> Tensor:
        return functional.max_pool3d(same(x, kernel, stride), kernel, stride)

    def mixed(x: Tensor, name: str) -> Tensor:
        one, two = unit(x, f"{name}.b1a"), unit(x, f"{name}.b2a")
        pooled = pool(x, (3, 3, 3), (1, 1, 1))
        branches = [unit(x, f"{name}.b0"), unit(one, f"{name}.b1b", 3), unit(two, f"{name}.b2b", 3)]
        return torch.cat([*branches, unit(pooled, f"{name}.b3b")], dim=1)

    x = pool(unit(x, "Conv3d_1a_7x7", 7, 2), (1, 3, 3), (1, 2, 2))
    x = pool(unit(unit(x, "Conv3d_2b_1x1"), "Conv3d_2c_3x3", 3), (1, 3, 3), (1, 2, 2))
    x = pool(mixed(mixed(x, "Mixed_3b"), "Mixed_3c"), (3, 3, 3), (2, 2, 2))
    for letter in "bcdef":
        x = mixed(x, f"Mixed_4{letter}")
    x = mixed(mixed(pool(x, (2, 2, 2), (2, 2, 2)), "Mixed_5b"), "Mixed_5c")
    x = functional.avg_pool3d(x, (2, 7, 7), stride=1)
    x = functional.conv3d(x, state["logits.conv3d.weight"], state["logits.conv3d.bias"])
    return x.squeeze(4).squeeze(3).mean(dim=2)


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """Random weights under the public names, with `num_batches_tracked` left out as in 2017."""
    torch.manual_seed(1)
    tensors = I3D().state_dict()
    for name, tensor in tensors.items():
        if name.endswith(("running_mean", "bn.bias")):
            tensor.normal_(0.0, 0.1)
        elif name.endswith(("running_var", "bn.weight")):
            tensor.uniform_(0.5, 1.5)
        elif name.endswith("conv3d.weight"):
            torch.nn.init.kaiming_normal_(tensor)
    tensors = {name: t for name, t in tensors.items() if not name.endswith("num_batches_tracked")}
    return {**tensors, "logits.conv3d.weight": 0.03 * torch.randn(400, 1024, 1, 1, 1), "logits.conv3d.bias": torch.randn(400)}


def test_logits_are_the_originals_at_16_frames_of_224(state, tmp_path):
    # The old format is what the public file has.
    torch.save(state, tmp_path / "rgb_imagenet.pt", _use_new_zipfile_serialization=False)
    imported = convert(tmp_path / "rgb_imagenet.pt")
    declared = imported.model.config.streams["visual"].input
    assert declared is not None
    assert declared.to_json() == {
        "kind": "frames",
        "frames": 16,
        "height": 224,
        "width": 224,
        "colour": "rgb",
        "margin": 0.0,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
    }
    assert imported.model.columns[:2] == ("action.0", "action.1")
    x = torch.rand(1, 3, 16, 224, 224, generator=torch.Generator().manual_seed(2)) * 2 - 1
    with torch.no_grad():
        expected = original(state, x)
        ours = imported.model({"visual": x.unsqueeze(1)}).squeeze(1)
    assert expected.shape == ours.shape == (1, 400)
    assert (expected - state["logits.conv3d.bias"]).std() > 1e-2  # the pictures matter
    # Single precision over 22 layers, in another order of sums.
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)
    assert "full-frame" in " ".join(imported.notes)


def test_it_takes_exactly_the_public_checkpoints_tensors(shared, tmp_path):
    listing = json.loads((shared / "checkpoints" / "i3d_rgb_imagenet.json").read_text())["tensors"]
    tensors = {name: torch.zeros(shape, dtype=torch.float32 if shape else torch.int64) for name, shape in listing.items()}
    torch.save(tensors, tmp_path / "rgb_imagenet.pt")
    assert convert(tmp_path / "rgb_imagenet.pt").model.parameter_count() == 12_287_264 + 400 * 1025


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"logits.conv3d.bias": None}, "its last layer holds weight"),
        ({"logits.conv3d.weight": (157, 1024, 1, 1, 1)}, r"is \[157, 1024, 1, 1, 1\]"),
        ({"Conv3d_1a_7x7.conv3d.weight": (64, 2, 7, 7, 7)}, r"has shape \[64, 2, 7, 7, 7\]"),
        ({"Mixed_5c.b0.bn.bias": None}, r"'Mixed_5c\.b0\.bn\.bias' is missing"),
        ({"fc.weight": (10, 10)}, r"'fc\.weight' is not known"),
    ],
)
def test_another_network(state, tmp_path, change, says):
    changed = {**state, **{name: None if shape is None else torch.zeros(shape) for name, shape in change.items()}}
    torch.save({name: tensor for name, tensor in changed.items() if tensor is not None}, tmp_path / "flow.pt")
    with pytest.raises(CheckpointError, match=says) as caught:
        convert(tmp_path / "flow.pt")
    assert "flow.pt" in str(caught.value)


def test_a_truncated_file(state, tmp_path):
    torch.save(state, tmp_path / "rgb_imagenet.pt", _use_new_zipfile_serialization=False)
    whole = (tmp_path / "rgb_imagenet.pt").read_bytes()
    (tmp_path / "rgb_imagenet.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="rgb_imagenet"):
        convert(tmp_path / "rgb_imagenet.pt")


def test_a_malicious_pickle_is_refused_and_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "run"),)

    torch.save({"logits.conv3d.weight": Evil()}, tmp_path / "evil.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match="evil"):
        convert(tmp_path / "evil.pt")
    assert not (tmp_path / "run").exists()
