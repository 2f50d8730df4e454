"""HSEmotion's ONNX exports: the weights find their names again, and what is not such an export is refused."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from affectzoo.errors import CheckpointError
from affectzoo_backbones.importers import hsemotion
from tests.plugins.backbones.importers.networks import efficientnet

onnx = pytest.importorskip("onnx", reason="comes with affectzoo-backbones[onnx]")


def export(network: nn.Module, path: Path, *, size: int = 224, folded: bool = True) -> Path:
    """Export as the authors did: the exporter folds batch norms unless it is told to keep the graph for training."""
    mode = torch.onnx.TrainingMode.EVAL if folded else torch.onnx.TrainingMode.PRESERVE
    image = torch.zeros(1, 3, size, size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the exporter of the authors' time
        torch.onnx.export(network, (image,), path, dynamo=False, training=mode, do_constant_folding=folded)
    return path


@pytest.fixture(scope="module")
def b0() -> nn.Module:
    return efficientnet()


@pytest.fixture(scope="module")
def exported(b0, tmp_path_factory) -> Path:
    return export(b0, tmp_path_factory.mktemp("onnx") / "enet.onnx")


def test_a_folded_export_gives_what_the_network_gives(b0, exported):
    nodes = {node.op_type for node in onnx.load(exported).graph.node}
    assert "BatchNormalization" not in nodes, "the exporter folds no more: this would test nothing"
    check_same(b0, exported, 224)


def test_a_larger_network_is_told_from_the_smaller(tmp_path):
    network = efficientnet("tf_efficientnet_b2", 8)
    model = check_same(network, export(network, tmp_path / "b2.onnx", size=260), 260)
    assert model.config.streams["visual"].backbone.name == "timm/tf_efficientnet_b2"


def test_batch_norms_that_were_left_in_are_taken_as_they_are(b0, tmp_path):
    path = export(b0, tmp_path / "enet.onnx", folded=False)
    assert "BatchNormalization" in {node.op_type for node in onnx.load(path).graph.node}
    imported = hsemotion.convert(path)
    network = imported.model.get_submodule("backbones.visual.network").state_dict()
    assert all(torch.equal(network[name], tensor) for name, tensor in b0.state_dict().items() if name in network)
    assert not any("folded" in note for note in imported.notes)


def test_folded_batch_norms_are_said(exported):
    assert any("folded" in note for note in hsemotion.convert(exported).notes)


def test_equal_tensors_that_are_stored_once_are_found(tmp_path):
    # As timm makes it: every bias zero, every statistic alike.
    network = timm.create_model("tf_efficientnet_b0", num_classes=7).eval()
    path = export(network, tmp_path / "enet.onnx")
    assert "Identity" in {node.op_type for node in onnx.load(path).graph.node}
    check_same(network, path, 224)


def check_same(network: nn.Module, path: Path, size: int):
    """Import `path` and compare its outputs with the network's."""
    model = hsemotion.convert(path).model
    image = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        given, expected = model({"visual": image[None, :, :, None]})[0], network(image)
    # Folding multiplies in another order than the batch norm does.
    torch.testing.assert_close(given, expected, rtol=1e-5, atol=1e-5)
    return model


def altered(exported: Path, tmp_path: Path, change) -> Path:
    """A copy of an export after `change(graph)`."""
    model = onnx.load(exported)
    change(model.graph)
    onnx.save(model, tmp_path / "altered.onnx")
    return tmp_path / "altered.onnx"


def nodes(graph, kind: str) -> list:
    return [node for node in graph.node if node.op_type == kind]


def swap_squeezes(graph) -> None:
    """Exchange the weights of two convolutions of one shape, whose names are known."""
    squeezes = {node.input[1]: node for node in nodes(graph, "Conv")}
    first, second = (squeezes[f"blocks.4.{i}.se.conv_reduce.weight"] for i in (1, 2))
    first.input[1], second.input[1] = second.input[1], first.input[1]


def drop_convolution(graph) -> None:
    last = nodes(graph, "Conv")[-1]
    next(node for node in graph.node if last.output[0] in node.input).input[0] = last.input[0]
    graph.node.remove(last)


def drop_bias(graph) -> None:
    del nodes(graph, "Conv")[0].input[2]


def outside(graph) -> None:
    tensor = graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    tensor.ClearField("raw_data")


def quantise(graph) -> None:
    wanted = nodes(graph, "Conv")[0].input[1]
    stored = next(tensor for tensor in graph.initializer if tensor.name == wanted)
    shape = tuple(stored.dims)
    stored.CopyFrom(onnx.helper.make_tensor(wanted, onnx.TensorProto.INT8, shape, bytes(32 * 27), raw=True))


def shorten(graph) -> None:
    graph.initializer[0].raw_data = graph.initializer[0].raw_data[:-4]


def compute_weight(graph) -> None:
    nodes(graph, "Conv")[0].input[1] = graph.input[0].name


def blank_weight(graph) -> None:
    nodes(graph, "Conv")[0].input[1] = ""


def second_linear(graph) -> None:
    graph.node.append(nodes(graph, "Gemm")[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (swap_squeezes, "stands in the place of 'blocks.4.1.se.conv_reduce.weight'"),
        (drop_convolution, "80 convolutions, not 81"),
        (drop_bias, "'conv_stem' must have a batch norm or a bias"),
        (outside, "keeps its weights in other files"),
        (quantise, "is int8, not float"),
        (shorten, "is damaged"),
        (compute_weight, "is computed, not stored"),
        (blank_weight, "lacks an input"),
        (second_linear, "has 2 linear layers"),
        (lambda graph: nodes(graph, "Conv")[0].ClearField("input"), "lacks an input"),
        (lambda graph: graph.ClearField("node"), "has 0 linear layers"),
    ],
)
def test_another_graph_is_refused_in_one_sentence(exported, tmp_path, change, message):
    path = altered(exported, tmp_path, change)
    with pytest.raises(CheckpointError, match=message) as caught:
        hsemotion.convert(path)
    assert "\n" not in str(caught.value)


def test_batch_norms_of_another_epsilon_are_refused(b0, tmp_path):
    def change(graph) -> None:
        next(a for a in nodes(graph, "BatchNormalization")[0].attribute if a.name == "epsilon").f = 1e-5

    path = altered(export(b0, tmp_path / "enet.onnx", folded=False), tmp_path, change)
    with pytest.raises(CheckpointError, match=r"after 'conv_stem' has epsilon 1e-05, not 0\.001"):
        hsemotion.convert(path)


@pytest.mark.parametrize(
    ("architecture", "outputs", "message"),
    [
        ("tf_efficientnet_b0", 1000, "has 1000 outputs"),
        ("mobilenetv3_large_100", 8, "another network"),
        ("resnet10t", 8, "1280 or 1408 features"),
        ("efficientnet_b0", 8, "padded on all sides"),
    ],
)
def test_another_network_is_refused(tmp_path, architecture, outputs, message):
    network = timm.create_model(architecture, num_classes=outputs).eval()
    with pytest.raises(CheckpointError, match=message):
        hsemotion.convert(export(network, tmp_path / "other.onnx", size=64))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 not an export", b"\x08\x08" + bytes(range(255)) * 9])
def test_what_is_no_onnx_file_is_refused(tmp_path, data):
    (tmp_path / "enet.onnx").write_bytes(data)
    with pytest.raises(CheckpointError, match=r"enet\.onnx"):
        hsemotion.convert(tmp_path / "enet.onnx")


def test_a_file_cut_short_is_refused(exported, tmp_path):
    data = exported.read_bytes()
    (tmp_path / "cut.onnx").write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match=r"cut\.onnx"):
        hsemotion.convert(tmp_path / "cut.onnx")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="No such file"):
        hsemotion.convert(tmp_path / "absent.onnx")


def test_without_the_package_the_pip_line_is_said(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(CheckpointError, match=r"pip install 'affectzoo-backbones\[onnx\]'"):
        hsemotion.convert(exported)
