"""The weights of a checkpoint: as torch would read them, from whatever form they were saved in."""

from __future__ import annotations

import argparse
import pickle
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import affectzoo
from affectzoo.errors import CheckpointError

FORMATS = {"zip": True, "legacy": False}


@pytest.fixture(params=list(FORMATS))
def save(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Saves in one of torch's two formats, and gives the path."""

    def write(value: Any, **options: Any) -> Path:
        path = tmp_path / "saved.pt"
        torch.save(value, path, _use_new_zipfile_serialization=FORMATS[request.param], **options)
        return path

    return write


class Network(nn.Module):
    """Modules in modules, buffers that are and are not saved, one that is None, a tied weight, and things that are none."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        self.rnn = nn.LSTM(4, 3, bidirectional=True)
        self.head = nn.Linear(4, 4)
        self.tied = nn.Linear(4, 4)
        self.tied.weight = self.head.weight
        self.register_buffer("steps", torch.arange(5).expand(2, 5))
        self.register_buffer("scratch", torch.zeros(3), persistent=False)
        self.register_buffer("nothing", None)
        self.register_parameter("absent", None)
        self.device = torch.device("cpu")
        self.kind = torch.float16
        self.activation = torch.nn.functional.relu
        self.size = torch.Size([1, 2])


def assert_same(found: dict[str, Tensor], expected: Any) -> None:
    """Names and their order, dtypes, shapes, strides, and every bit."""
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        assert found[name].shape == tensor.shape, name
        assert found[name].stride() == tensor.stride(), name
        assert found[name].untyped_storage().device.type == "cpu"
        raw, other = (
            torch.atleast_1d(one.detach()).contiguous().view(torch.uint8) for one in (found[name], tensor)
        )  # NaN equals NaN so
        assert torch.equal(raw, other), name
        assert not found[name].requires_grad


TENSORS: dict[str, Tensor] = {
    **{
        str(dtype).removeprefix("torch."): torch.arange(-3, 4).to(dtype)
        for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16)
    },
    "int8": torch.tensor([-128, 127], dtype=torch.int8),
    "uint8": torch.tensor([0, 255], dtype=torch.uint8),
    "bool": torch.tensor([True, False, True]),
    "complex64": torch.tensor([1 + 2j, -3j]),
    "complex128": torch.tensor([1 + 2j], dtype=torch.complex128),
    "not numbers": torch.tensor([float("nan"), float("inf"), -0.0]),
    "scalar": torch.tensor(3.5),
    "empty": torch.empty(0),
    "empty with sizes": torch.empty(2, 0, 3),
    "transposed": torch.arange(6.0).reshape(2, 3).T,
    "channels last": torch.randn(1, 2, 3, 4).to(memory_format=torch.channels_last),
    "every second": torch.arange(10.0)[::2],
    "expanded": torch.arange(3.0).expand(4, 3),
}


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_tensors_of_every_kind_are_as_torch_reads_them(save: Any, protocol: int) -> None:
    path = save(TENSORS, pickle_protocol=protocol)
    assert_same(affectzoo.read_state_dict(path), torch.load(path, weights_only=protocol < 4))


def test_a_whole_module_gives_what_its_state_dict_gives(save: Any) -> None:
    network = Network().half()
    assert_same(affectzoo.read_state_dict(save(network)), network.state_dict())


def test_the_versions_that_a_state_dict_carries_do_not_disturb(save: Any) -> None:
    state = Network().state_dict()
    assert isinstance(state, OrderedDict)
    assert hasattr(state, "_metadata")
    assert_same(affectzoo.read_state_dict(save(state)), state)


@pytest.mark.parametrize("whole", [False, True])
def test_the_prefix_of_data_parallel_is_dropped(save: Any, whole: bool) -> None:
    network = Network()
    parallel = nn.DataParallel(network)
    path = save(parallel if whole else parallel.state_dict())
    assert_same(affectzoo.read_state_dict(path), network.state_dict())


@pytest.mark.parametrize("wrap", [lambda network: network, nn.DataParallel, lambda network: {"epoch": 3, "model": network}])
def test_the_classes_of_a_whole_module_are_told_under_the_names_of_its_tensors(save: Any, wrap: Any) -> None:
    network = Network()
    expected = {name: f"{type(m).__module__}.{type(m).__qualname__}" for name, m in network.named_modules() if name}
    classes = affectzoo.read_module_classes(save(wrap(network)))
    assert {name: kind for name, kind in classes.items() if name} == expected


def test_a_state_dict_tells_no_classes(save: Any) -> None:
    assert affectzoo.read_module_classes(save(Network().state_dict())) == {}


def test_a_prefix_that_not_every_name_has_is_part_of_the_names(save: Any) -> None:
    state = {"module.weight": torch.ones(2), "other": torch.zeros(1)}
    assert_same(affectzoo.read_state_dict(save(state)), state)
    # Once, not as often as it stands there.
    assert list(affectzoo.read_state_dict(save({"module.module.weight": torch.ones(2)}))) == ["module.weight"]


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model", "net", "ema"])
@pytest.mark.parametrize("whole", [False, True])
def test_training_checkpoints_hold_the_weights_under_a_key(save: Any, key: str, whole: bool) -> None:
    network = Network()
    optimizer = torch.optim.AdamW(network.parameters())
    network.head(torch.randn(2, 4)).sum().backward()
    optimizer.step()
    checkpoint = {
        "epoch": 3,
        "best": np.float64(0.61),
        "scores": np.arange(3.0),
        "history": defaultdict(list, ccc=[0.1, np.float32(0.2)]),
        "seen": {1, 2},
        "args": argparse.Namespace(lr=1e-3, name="x"),
        "optimizer": optimizer.state_dict(),
        "rng": torch.get_rng_state(),
        key: network if whole else network.state_dict(),
    }
    assert_same(affectzoo.read_state_dict(save(checkpoint)), network.state_dict())


def test_keys_are_looked_through_in_turn_and_deeper(save: Any) -> None:
    first, second = torch.tensor([1.0]), torch.tensor([2.0])
    assert affectzoo.read_state_dict(save({"ema": {"w": second}, "net": {"w": first}}))["w"] == 1
    assert affectzoo.read_state_dict(save({"state_dict": {}, "ema": {"w": second}}))["w"] == 2
    assert affectzoo.read_state_dict(save({"model": {"state_dict": {"w": first}}}))["w"] == 1


def test_what_shares_memory_in_the_file_shares_it_here(save: Any) -> None:
    base = torch.arange(12.0)
    found = affectzoo.read_state_dict(save({"all": base, "part": base[4:8], "tied": base}))
    found["all"][5] = 100
    assert found["part"][1] == 100
    assert found["tied"][5] == 100


def test_a_small_part_of_a_storage_does_not_keep_all_of_it(save: Any) -> None:
    base = torch.arange(10_000.0)
    found = affectzoo.read_state_dict(save({"part": base[100:110], "tied": base[100:110]}))
    assert torch.equal(found["part"], base[100:110])
    assert found["part"].untyped_storage().nbytes() == 40


def test_only_the_weights_are_read_into_memory(save: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save({"state_dict": {"w": torch.ones(3)}, "optimizer": {"moments": torch.ones(1000)}})
    asked: list[int] = []
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda size, **named: asked.append(size) or empty(size, **named))
    affectzoo.read_state_dict(path)
    assert asked == [12]


def test_arrays_of_a_plain_pickle_are_weights_too(tmp_path: Path) -> None:
    path = tmp_path / "weights.pkl"
    weights = {"w": np.arange(6, dtype=">f4").reshape(2, 3).T, "n": np.array(3), "name": "x", "text": np.array(["a"])}
    for protocol in range(6):
        path.write_bytes(pickle.dumps({"state_dict": weights}, protocol))
        found = affectzoo.read_state_dict(path)
        assert list(found) == ["w", "n"]
        assert torch.equal(found["w"], torch.arange(6.0).reshape(2, 3).T)
        assert found["n"] == 3


def test_safetensors_are_known_by_name_and_by_content(tmp_path: Path) -> None:
    tensors = {"w": torch.ones(2, dtype=torch.bfloat16)}
    for name in ("model.safetensors", "model.pt"):
        save_file(tensors, tmp_path / name)
        assert_same(affectzoo.read_state_dict(tmp_path / name), tensors)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"epoch": 3, "optimizer": {"lr": 0.1}}, r"epoch \(int\), optimizer \(dict\)"),
        ({}, "an empty mapping"),
        ([1, 2], "list"),
        (torch.ones(2), "tensor"),
        ({"state_dict": {"a": 1}}, r"state_dict \(dict\)"),
        ({str(n): n for n in range(40)}, "and 28 more"),
        (argparse.Namespace(a=1), r"an object of argparse\.Namespace"),
        (nn.ReLU(), r"an object of torch\.nn\.modules\.activation\.ReLU"),
    ],
)
def test_a_file_without_weights_says_what_it_holds(save: Any, value: Any, found: str) -> None:
    with pytest.raises(CheckpointError, match=f"it holds no weights but .*{found}") as caught:
        affectzoo.read_state_dict(save(value))
    assert len(str(caught.value)) < 900


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_quantised_tensors_and_other_reconstructions_are_refused_by_name(save: Any) -> None:
    quantised = torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)
    with pytest.raises(CheckpointError, match=r"storage of torch\.QInt8Storage|call torch\._utils\._rebuild_qtensor"):
        affectzoo.read_state_dict(save({"w": quantised}))
    with pytest.raises(CheckpointError, match=r"would call pathlib\.PosixPath"):
        affectzoo.read_state_dict(save({"w": torch.ones(2), "path": Path("x")}))
    with pytest.raises(CheckpointError, match="metadata"):
        affectzoo.read_state_dict(save({"w": torch.ones(2, dtype=torch.complex64).conj()}))


def test_a_module_that_stands_in_itself_or_in_very_many_places_is_refused(save: Any) -> None:
    looped = nn.Sequential(nn.Linear(1, 1))
    looped._modules["again"] = looped
    with pytest.raises(CheckpointError, match="nested deeper"):
        affectzoo.read_state_dict(save(looped))
    doubled: nn.Module = nn.Linear(1, 1)
    for _ in range(40):
        doubled = nn.Sequential(doubled, doubled)
    with pytest.raises(CheckpointError, match="or are more than"):
        affectzoo.read_state_dict(save(doubled))


def test_mappings_that_stand_in_very_many_places_end_soon(save: Any) -> None:
    doubled: dict[str, Any] = {"epoch": 1}
    for _ in range(40):
        doubled = {"state_dict": doubled, "model": doubled}
    with pytest.raises(CheckpointError, match="holds no weights"):
        affectzoo.read_state_dict(save(doubled))


def test_a_state_dict_fills_a_module_strictly(save: Any) -> None:
    network, other = Network(), Network()
    for module in (network, other):  # torch copies nothing into a view that repeats itself.
        module.register_buffer("steps", torch.arange(5))
    nn.init.ones_(other.head.weight)
    state = affectzoo.read_state_dict(save(network))
    affectzoo.load_state(other, state, source="saved.pt")
    assert_same(dict(other.state_dict()), network.state_dict())
    old = {name: tensor for name, tensor in state.items() if "num_batches_tracked" not in name}
    affectzoo.load_state(other, old, source="saved.pt")
    for change, why in (
        ({"head.bias": None}, r"saved\.pt: tensor 'head\.bias' is missing"),
        ({"more": torch.ones(1)}, r"saved\.pt: tensor 'more' is not known here"),
        ({"head.bias": torch.ones(2)}, r"tensor 'head\.bias' has shape \[2\], not \[4\]"),
    ):
        changed = {name: tensor for name, tensor in {**state, **change}.items() if tensor is not None}
        with pytest.raises(CheckpointError, match=why):
            affectzoo.load_state(other, changed, source="saved.pt")
