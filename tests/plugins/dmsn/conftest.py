"""No network, one thread, the same random numbers: for every test of the DMSN plugin."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

import affectzoo
from affectzoo.registry import registry

#: A trunk of two stages that is built and run in milliseconds.
TINY = {"layers": [2, 1], "widths": [8, 16], "downsample_stages": [2], "stem_width": 8, "frames": 4, "image_size": 16}


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(_: socket.socket, address: Any) -> None:
        raise AssertionError(f"a network tried to connect to {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    # What a test registers is gone after it.
    monkeypatch.setitem(registry()._entries, "block", list(registry()._entries["block"]))
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def tiny() -> dict[str, Any]:
    """The keywords of a tiny trunk, to change at will."""
    return dict(TINY)


@pytest.fixture
def trunk(awake) -> Callable[..., affectzoo.Backbone]:
    """A function that builds a tiny trunk in evaluation mode; its keywords override the tiny ones."""
    return lambda **config: awake(affectzoo.create_backbone("dmsn", **{**TINY, **config})).eval()


@pytest.fixture
def awake() -> Callable[[torch.nn.Module], Any]:
    """A function that takes a network as training leaves it: no batch norm at zero, where a block's body would not show."""

    def wake(network: torch.nn.Module) -> torch.nn.Module:
        for part in network.modules():
            if isinstance(part, torch.nn.BatchNorm3d) and not part.weight.any():
                torch.nn.init.ones_(part.weight)
        return network

    return wake
