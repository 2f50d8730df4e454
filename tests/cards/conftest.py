"""A card that is in order, to be spoilt one piece at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from affectzoo.cards.statement import STATEMENT


@pytest.fixture
def front() -> dict[str, Any]:
    """The front matter of a model's card."""
    return {
        "kind": "model",
        "name": "toy",
        "summary": "a toy",
        "task": "valence and arousal, one value a second",
        "targets": ["valence", "arousal"],
        "components": {"visual": "timm/resnet10t"},
        "inputs": {"visual": {"kind": "frames", "frames": 4, "height": 64, "width": 64}},
        "parameters": 12,
        "size_mb": 0.1,
        "weights": "package://affectzoo.weights/toy",
        "licence": {"code": "Apache-2.0", "weights": "CC-BY-4.0"},
        "data": "rendered",
        "metrics": [
            {
                "metric": "CCC over all frames",
                "dataset": "rendered",
                "split": "test",
                "subjects": 3,
                "seeds": 2,
                "values": {"valence": {"mean": 0.5, "sd": 0.01}, "arousal": {"mean": 0.25, "sd": 0.02}},
                "command": "python benchmarks/rendered.py",
                "commit": "0123abc",
            }
        ],
        "limits": ["It is a toy."],
        "use": {"intended": "play", "forbidden": "work"},
        "citation": "@misc{toy}",
    }


@pytest.fixture
def as_card() -> Callable[..., str]:
    """The text of a card."""

    def text(front: Any, body: str = f"# Toy\n\nA rule below.\n\n---\n\n{STATEMENT}") -> str:
        return f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n\n{body}"

    return text
