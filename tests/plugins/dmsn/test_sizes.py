"""Parameters and operations, counted on the meta device, against what the papers and the authors' network say."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import affectzoo


@cache
def size(name: str) -> tuple[float, float]:
    """Million parameters, and GMAC at 16 x 112 x 112 (a multiply-accumulate counts as two FLOPs there)."""
    with torch.device("meta"):
        network = affectzoo.create_backbone(name).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            assert network(torch.empty(1, 3, 16, 112, 112)).shape == (1, network.feature_dim)
    return sum(p.numel() for p in network.parameters()) / 1e6, counter.get_total_flops() / 2e9


def test_dmsn_c_has_the_papers_size():
    parameters, operations = size("dmsn-c-50")
    assert parameters == pytest.approx(22.1, rel=0.03)
    assert operations == pytest.approx(11.29, rel=0.03)


@pytest.mark.parametrize("name", ["dmsn-a-50", "dmsn-b-50"])
def test_a_and_b_cost_no_more_than_c(name):
    for value, limit in zip(size(name), size("dmsn-c-50"), strict=True):
        assert value <= 1.05 * limit


def test_msn_69_has_the_size_of_the_released_network():
    assert size("msn-69")[0] == pytest.approx(76.9, rel=0.01)
    with torch.device("meta"):
        model = affectzoo.create_model(visual="msn-69", targets=["bdi-ii"], head={"hidden": 512})
    assert model.parameter_count() / 1e6 == pytest.approx(77.4, rel=0.01)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("msn-69", [[8, 28, 28], [8, 28, 28], [4, 14, 14], [2, 7, 7]]),
        ("dmsn-c-50", [[8, 28, 28], [4, 14, 14], [2, 7, 7], [1, 4, 4]]),
    ],
)
def test_time_and_space_after_each_stage(name, expected):
    found: list[list[int]] = []
    with torch.device("meta"), torch.no_grad():
        network = affectzoo.create_backbone(name).eval()
        for stage in network.get_submodule("stages").children():
            stage.get_submodule(str(len(stage) - 1)).register_forward_hook(lambda _, __, y: found.append(list(y.shape[2:])))
        network(torch.empty(1, 3, 16, 112, 112))
    assert found == expected


def test_dmsn_decomposes_msn_into_a_third():
    assert size("msn-69")[0] / size("dmsn-c-50")[0] > 3.3  # the paper says 3.51 times


@pytest.mark.parametrize("letter", "abc")
def test_the_small_networks_fit_into_6_mb_at_half_precision(letter):
    parameters, _ = size(f"dmsn-{letter}-18")
    assert parameters < 3.0
    assert 2 * parameters < 6


@pytest.mark.parametrize("name", ["dmsn-a-50", "dmsn-b-50", "dmsn-c-50", "dmsn-a-18", "dmsn-b-18", "dmsn-c-18", "msn-69"])
def test_the_line_in_the_list_says_the_size_that_was_counted(name):
    assert f"{size(name)[0]:.1f} M parameters" in affectzoo.info(name, kind="backbone").summary
