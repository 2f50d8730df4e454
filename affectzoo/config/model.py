"""The configuration of a model: everything needed to rebuild it, and nothing that is guessed."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, StringConstraints, field_validator, model_validator

from affectzoo.config.base import StrictConfig
from affectzoo.config.derived import DerivedTargetConfig
from affectzoo.config.inputs import StreamInput
from affectzoo.config.smoothing import SmoothingConfig
from affectzoo.config.targets import NAME_PATTERN, TargetConfig

#: A modality names modules and tensors, so it holds no dot.
Modality = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]

#: Raised by one whenever a saved config changes meaning; older files are migrated by a named function each.
SCHEMA_VERSION = 1


class ComponentConfig(StrictConfig):
    """A component by registry name, with the distribution that provided it and its own config.

    A bare string is read as the name. `distribution` is `session` for a component registered in a script or notebook.
    """

    name: str
    distribution: str | None = None
    version: str | None = None
    config: dict[str, JsonValue] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, data: Any) -> Any:
        return {"name": data} if isinstance(data, str) else data


class StreamConfig(StrictConfig):
    """One modality: a backbone, what it is fed, and an optional temporal encoder.

    `input` may be left out when a model is created: then the backbone's own declaration is taken and saved.
    """

    backbone: ComponentConfig
    input: StreamInput | None = None
    temporal: ComponentConfig | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_backbone(cls, data: Any) -> Any:
        # A backbone's name, or a backbone as `{"name": ..., "config": ...}`, stands for the stream it makes.
        alone = isinstance(data, str) or (isinstance(data, dict) and "name" in data and "backbone" not in data)
        return {"backbone": data} if alone else data


class SequenceConfig(StrictConfig):
    """The time axis: a model window is `length` sub-sequences of `seconds` each."""

    seconds: Annotated[float, Field(gt=0, le=60)] = 32 / 30
    length: Annotated[int, Field(gt=0, le=4096)] = 16


class HeadConfig(StrictConfig):
    """One small regressor per target on the fused features.

    Attributes:
        hidden: width of the hidden layer; None is a single linear layer.
        activation: between the two layers; `none` is the JCA authors' choice.
        dropout: on the hidden layer (on the input where `hidden` is None).
        pool: how the sub-sequences of a recording become its score: `mean`, `median` or `last` of what is predicted for
            each, over those that hold anything. A forward pass pools its window of L; prediction pools the whole recording,
            for each face. None: every sub-sequence is a prediction of its own.
    """

    hidden: Annotated[int, Field(gt=0, le=65536)] | None = 128
    activation: Literal["none", "relu", "gelu", "tanh"] = "none"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    pool: Literal["mean", "median", "last"] | None = None


class ModelConfig(StrictConfig):
    """A whole model.

    Attributes:
        streams: modality (`visual`, `audio`, ...) -> its stream; null removes one.
        targets: what the network outputs and is trained on.
        derived: what prediction computes from the class probabilities of a target, as further columns.
        smoothing: of predictions along time, of classes their probabilities; before anything is derived or scored. Training
            and evaluation are without it.
    """

    schema_version: int = SCHEMA_VERSION
    sequence: SequenceConfig = SequenceConfig()
    streams: dict[Modality, StreamConfig]
    fusion: ComponentConfig | None = None
    head: HeadConfig = HeadConfig()
    targets: tuple[TargetConfig, ...]
    derived: tuple[DerivedTargetConfig, ...] = ()
    smoothing: SmoothingConfig | None = None
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"

    @field_validator("schema_version")
    @classmethod
    def _known_schema(cls, value: int) -> int:
        if value != SCHEMA_VERSION:
            raise ValueError(
                f"schema version {value} is not the version {SCHEMA_VERSION} that this affectzoo reads; "
                "upgrade affectzoo, or save the model again with a matching release"
            )
        return value

    @field_validator("streams", mode="before")
    @classmethod
    def _drop_null_streams(cls, value: Any) -> Any:
        return {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _consistent(self) -> ModelConfig:
        if not self.streams:
            raise ValueError("a model needs at least one stream")
        if len(self.streams) > 1 and self.fusion is None:
            raise ValueError(f"streams {', '.join(self.streams)} need a fusion; `affectzoo list fusions` names them")
        if len(self.streams) == 1 and self.fusion is not None:
            raise ValueError("one modality needs no fusion: set fusion to null")
        names = [target.name for target in self.targets]
        if not names or len(set(names)) != len(names):
            raise ValueError("targets must be named, each once")
        for target in self.derived:
            target.check(self.targets)
        derived = [target.name for target in self.derived]
        if len(set(derived)) != len(derived):
            raise ValueError("derived targets must be named each once")
        if self.smoothing is not None and self.smoothing.reach(self.sequence.seconds) < 1:
            step_s = self.sequence.seconds
            raise ValueError(
                f"smoothing {self.smoothing} smooths nothing over sub-sequences of {step_s:.4g} s; give at least "
                f"{self.smoothing.least_s(step_s):.4g} seconds"
            )
        return self

    @property
    def predicted_targets(self) -> tuple[TargetConfig, ...]:
        """What a timeline has columns of: the targets, then the derived ones."""
        return (*self.targets, *(target.as_target() for target in self.derived))
