"""A tiny experiment on rendered clips, and the runs that several tests look at."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from affectzoo.config import ExperimentConfig

_NETWORK = {"channels": [4, 4, 8, 8], "stem_width": 4}
_EXPERIMENT: dict[str, Any] = {
    "name": "tiny",
    "model": {
        "sequence": {"seconds": 0.5, "length": 2},
        "streams": {
            "visual": {
                "backbone": {"name": "timm/resnet10t", "config": {"frames": 2, "image_size": 32, "model_args": _NETWORK}}
            },
            "audio": {
                "backbone": {
                    "name": "spectrogram/resnet10t",
                    "config": {
                        "log_mel": {
                            "sample_rate": 8000,
                            "n_fft": 256,
                            "win_length": 200,
                            "hop_length": 80,
                            "n_mels": 32,
                            "frames": 50,
                        },
                        "model_args": _NETWORK,
                    },
                }
            },
        },
        "fusion": "joint-cross-attention",
        "head": {"hidden": 8, "dropout": 0.2},
        "targets": ["valence", "arousal"],
    },
    "data": {
        "name": "rendered",
        "config": {"identities": {"train": 2, "val": 1, "test": 1}, "clips_per_identity": 1, "duration_s": 2.5},
    },
    "train": {"epochs": 2, "batch_size": 2, "window_hop": 1, "modality_dropout": 0.2},
}
#: Of both streams: each alone takes what acts on it.
_CHANGES: dict[str, Any] = {"flip": 0.5, "time_masks": 1, "time_width": 0.1}


@pytest.fixture(scope="session")
def rendered_cache(tmp_path_factory) -> Path:
    """Rendered rows, shared by all runs."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def experiment_data(rendered_cache) -> Callable[..., dict[str, Any]]:
    """The experiment as a mapping, with top-level keys replaced."""

    def make(**changes: Any) -> dict[str, Any]:
        data = copy.deepcopy(_EXPERIMENT)
        data["data"]["config"]["cache_dir"] = str(rendered_cache)
        return {**data, **changes}

    return make


@pytest.fixture(scope="session")
def experiment_file(experiment_data, tmp_path_factory) -> Path:
    """The experiment with a pretrain stage, as a YAML file that writes beside itself."""
    folder = tmp_path_factory.mktemp("experiment")
    data = experiment_data(output=str(folder / "runs"), pretrain={"epochs": 1, "batch_size": 2, "augment": _CHANGES})
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def make_experiment(experiment_data) -> Callable[..., ExperimentConfig]:
    """The experiment, parsed, with top-level keys replaced."""
    return lambda **changes: ExperimentConfig.parse(experiment_data(**changes))
