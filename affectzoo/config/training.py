"""The configuration of one experiment: model, data, training."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, field_validator

from affectzoo.config.augment import AugmentConfig, Level, PartOf, Share
from affectzoo.config.base import StrictConfig
from affectzoo.config.inputs import Positive
from affectzoo.config.model import Modality, ModelConfig


class DataConfig(StrictConfig):
    """A dataset by registry name and its own options."""

    name: str
    config: dict[str, JsonValue] = Field(default_factory=dict)


class DistilConfig(StrictConfig):
    """Learning from other models, too (Hinton, Vinyals and Dean, 2015, arXiv 1503.02531).

    The loss becomes `(1 - weight) * loss + weight * distance`, the distance of each target from the mean of the teachers on the
    same inputs, over the steps that count. Of a categorical target it is `temperature^2 * KL` between the class probabilities
    at that temperature, of a continuous or ordinal one the squared distance where the range is 2 wide; `TrainConfig.weights`
    weigh both parts.

    Attributes:
        teachers: run folders, saved models, zoo names or `org/repo[@revision]`, with the inputs, sequence and targets of the
            model that is trained.
        weight: share of the distance; 1 leaves the labels out.
        temperature: above 1, the teachers' small probabilities say more.
    """

    teachers: Annotated[tuple[str, ...], Field(min_length=1)]
    weight: Annotated[float, Field(gt=0, le=1)] = 0.5
    temperature: Annotated[float, Field(gt=0)] = 1.0


class TrainConfig(StrictConfig):
    """How to train.

    Attributes:
        epochs: passes over the training split.
        epoch_steps: optimiser steps that count as an epoch of a training split that is streamed; None else.
        batch_size: windows of L sub-sequences, per process; accumulate: batches to one optimiser step.
        lr, weight_decay: of AdamW.
        warmup: share of all steps in which the learning rate rises linearly; then a half cosine falls to zero.
        clip_norm: largest gradient norm; None does not clip.
        loss: of continuous and ordinal targets: `ccc` (1 - CCC over all valid steps of the batch), `mse`, `l1` or `smooth-l1`
            with every range scaled to that of -1..1. Categorical targets take cross-entropy.
        ordinal_loss: of ordinal targets: `regress` takes `loss`, `thresholds` a logistic loss at every step between levels.
        class_balance: weigh classes by one over their frequency in the training split.
        logit_adjustment: so many times the logarithm of each class's frequency in the training split is added to its logit
            while training (Menon et al. 2021, arXiv 2007.07314); at 1 the model predicts as if all were equally frequent.
            Where `sampling` draws classes, their frequency is the one with which it draws them.
        weights: target -> weight of its loss; 1 where it is not named.
        weighting: `fixed`, or `uncertainty` (a learnt weight for each target besides).
        modality_dropout: share of training windows that lose one whole modality (multimodal models only).
        time_masking: share of the sub-sequences of each modality that are masked, each drawn by itself.
        augment: random changes to the inputs of training windows.
        mixup: a of the Beta(a, a) from which the weight of each training window is drawn that is mixed with another one of
            its batch, inputs or features and labels alike (Zhang et al., 2018, arXiv 1710.09412); 0 mixes none. It comes after
            `augment` and before `modality_dropout` and `time_masking`. `affectzoo.train.augment.mixup` says what becomes of
            steps that only one of the two has.
        label_smoothing: share of the labels of a categorical target that is spread over all classes.
        distil: learn from other models, too; None learns from labels alone.
        calibrate: when training has ended, fit the temperature of each categorical target on the validation split (Guo et al.,
            2017, arXiv 1706.04599) and save it with the model.
        window_hop: steps between training windows; None is L (no overlap).
        sampling: which windows an epoch has. `windows`: each once. `clips`, `subjects`, `classes`: as many as have a valid
            label, equally many from every clip, subject, or class of the one categorical target (a window's class is the
            most frequent one of its valid steps). A window comes again only once all of its group had their turn, so that
            short groups repeat and long ones are spread over several epochs; windows without a valid label are left out.
        sampling_exponent: with `sampling` other than `windows`, groups are drawn in proportion to their number of windows to
            this power: 0 all alike, 0.5 by its square root (Mahajan et al. 2018, arXiv 1805.00932).
        workers: processes that read data.
        patience: epochs without a better validation score before stopping; None runs all.
        ema: decay of an exponential moving average of the weights, which is what is validated and saved; None keeps none. It
            begins lower, at `min(ema, (1 + n) / (10 + n))` after n steps, so that the first weights are soon forgotten.
        freeze: parts that are not trained, by the beginning of their names: `backbones.visual`, `fusion`.
        activation_checkpointing: backbones compute their activations again in the backward pass: less memory, more time.
        compile: run the model through `torch.compile`.
        checkpoint_steps: optimiser steps between checkpoints; None writes one at the end of each epoch.
        keep_checkpoints: how many of the last are kept.
    """

    epochs: Positive = 10
    epoch_steps: Positive | None = None
    batch_size: Positive = 16
    accumulate: Positive = 1
    lr: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    warmup: Share = 0.1
    clip_norm: Annotated[float, Field(gt=0)] | None = 1.0
    loss: Literal["ccc", "mse", "l1", "smooth-l1"] = "ccc"
    ordinal_loss: Literal["regress", "thresholds"] = "regress"
    class_balance: bool = False
    logit_adjustment: Level = 0.0
    weights: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    weighting: Literal["fixed", "uncertainty"] = "fixed"
    modality_dropout: Share = 0.0
    time_masking: Annotated[float, Field(ge=0, lt=1)] = 0.0
    augment: AugmentConfig = AugmentConfig()
    mixup: Annotated[float, Field(ge=0)] = 0.0
    label_smoothing: PartOf = 0.0
    distil: DistilConfig | None = None
    calibrate: bool = False
    window_hop: Positive | None = None
    sampling: Literal["windows", "clips", "subjects", "classes"] = "windows"
    sampling_exponent: Annotated[float, Field(ge=0, lt=1)] = 0.0
    workers: Annotated[int, Field(ge=0)] = 0
    patience: Positive | None = None
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    freeze: tuple[str, ...] = ()
    activation_checkpointing: bool = False
    compile: bool = False
    checkpoint_steps: Positive | None = None
    keep_checkpoints: Positive = 2


class ExperimentConfig(StrictConfig):
    """One run: `name` and `output` say where it goes, `seed` decides every random draw.

    Attributes:
        init: weights to start from: a zoo name, `org/repo[@revision]` on the Hub or a folder; None starts from random ones.
            Or modality -> such a model, whose stream of that name gives its backbone: component, input and weights. Temporal
            encoders, fusion, head and the streams of other modalities then start anew. In an experiment file `model.streams`
            may leave such a stream out, or its backbone and input; null takes a modality out of the mapping.
        new_parts: parts that start from random weights all the same, by the beginning of their names: `head`. Without it
            every tensor of `init` must fit.
        model: may be left out where `init` is given: then it is the model's of that name.
        pretrain: None trains everything together. Else each stream is first trained alone with these settings; then the
            backbones are frozen and the fusion and head are trained on their features, as in the JCA paper (section 4.2).
        precision: `no` (float32), `bf16` or `fp16` autocast, as accelerate calls them.
        tracker: `tensorboard`, `trackio` or `wandb` besides `metrics.jsonl`; the package of that name must be installed.
    """

    name: str
    output: str = "runs"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    init: str | dict[Modality, str] | None = None
    new_parts: tuple[str, ...] = ()
    model: ModelConfig
    data: DataConfig
    pretrain: TrainConfig | None = None
    train: TrainConfig = TrainConfig()
    precision: Literal["no", "bf16", "fp16"] = "no"
    tracker: Literal["tensorboard", "trackio", "wandb"] | None = None

    @field_validator("init", mode="before")
    @classmethod
    def _one_or_by_modality(cls, value: Any) -> Any:
        if isinstance(value, dict):
            value = {name: model for name, model in value.items() if model is not None}
        names = list(value.values()) if isinstance(value, dict) else [value]
        if value is not None and not (names and all(isinstance(name, str) and name for name in names)):
            raise ValueError("a model is meant (a zoo name, org/repo or a folder), or a mapping from modality to one")
        return value

    @field_validator("precision", mode="before")
    @classmethod
    def _no_is_a_word(cls, value: Any) -> Any:
        return "no" if value is False else value  # YAML 1.1 reads a bare no as false

    @property
    def init_models(self) -> tuple[str, ...]:
        """The models that `init` names, each once."""
        if self.init is None:
            return ()
        return (self.init,) if isinstance(self.init, str) else tuple(dict.fromkeys(self.init.values()))
