"""Strict, versioned configurations. No torch anywhere in this folder."""

from affectzoo.config.base import StrictConfig
from affectzoo.config.derived import DerivedTargetConfig, derivations
from affectzoo.config.inputs import AudioInput, FramesInput, LogMelInput, SignalInput, StreamInput, WaveformInput
from affectzoo.config.model import (
    SCHEMA_VERSION,
    ComponentConfig,
    HeadConfig,
    ModelConfig,
    SequenceConfig,
    StreamConfig,
)
from affectzoo.config.smoothing import SmoothingConfig
from affectzoo.config.targets import KNOWN_TARGETS, TargetConfig, target_columns
from affectzoo.config.training import DataConfig, ExperimentConfig, TrainConfig

__all__ = [
    "KNOWN_TARGETS",
    "SCHEMA_VERSION",
    "AudioInput",
    "ComponentConfig",
    "DataConfig",
    "DerivedTargetConfig",
    "ExperimentConfig",
    "FramesInput",
    "HeadConfig",
    "LogMelInput",
    "ModelConfig",
    "SequenceConfig",
    "SignalInput",
    "SmoothingConfig",
    "StreamConfig",
    "StreamInput",
    "StrictConfig",
    "TargetConfig",
    "TrainConfig",
    "WaveformInput",
    "derivations",
    "target_columns",
]
