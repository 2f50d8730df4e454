"""The configuration of one experiment: model, data, training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from affectzoo.config.base import StrictConfig
from affectzoo.config.inputs import Positive
from affectzoo.config.model import ModelConfig

Share = Annotated[float, Field(ge=0, le=1)]


class DataConfig(StrictConfig):
    """A dataset by registry name and its own options."""

    name: str
    config: dict[str, JsonValue] = Field(default_factory=dict)


class TrainConfig(StrictConfig):
    """How to train.

    Attributes:
        epochs: passes over the training split.
        batch_size: windows of L sub-sequences, per process.
        lr, weight_decay: of AdamW.
        warmup: share of all steps in which the learning rate rises linearly; then a half cosine falls to zero.
        clip_norm: largest gradient norm; None does not clip.
        loss: of continuous and ordinal targets: `ccc` (1 - CCC over all valid steps of the batch, mean over targets), or `mse`
            with every range scaled to that of -1..1. Categorical targets take cross-entropy.
        modality_dropout: share of training windows that lose one whole modality (multimodal models only).
        horizontal_flip: share of training windows whose face crops are mirrored.
        window_hop: steps between training windows; None is L (no overlap).
        workers: processes that read data.
        patience: epochs without a better validation score before stopping; None runs all.
    """

    epochs: Positive = 10
    batch_size: Positive = 16
    lr: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    warmup: Share = 0.1
    clip_norm: Annotated[float, Field(gt=0)] | None = 1.0
    loss: Literal["ccc", "mse"] = "ccc"
    modality_dropout: Share = 0.0
    horizontal_flip: Share = 0.0
    window_hop: Positive | None = None
    workers: Annotated[int, Field(ge=0)] = 0
    patience: Positive | None = None


class ExperimentConfig(StrictConfig):
    """One run: `name` and `output` say where it goes, `seed` decides every random draw.

    Attributes:
        pretrain: None trains everything together. Else each stream is first trained alone with these settings; then the
            backbones are frozen and the fusion and head are trained on their features, as in the JCA paper (section 4.2).
        precision: `no` (float32), `bf16` or `fp16` autocast, as accelerate calls them.
    """

    name: str
    output: str = "runs"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    model: ModelConfig
    data: DataConfig
    pretrain: TrainConfig | None = None
    train: TrainConfig = TrainConfig()
    precision: Literal["no", "bf16", "fp16"] = "no"
