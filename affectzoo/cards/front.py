"""The front matter of a card, strict: what must be said about a model, or about an architecture without weights."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from affectzoo.config import StrictConfig

Sentence = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Licence = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Value(StrictConfig):
    """One number: the mean over the seeds and their standard deviation; `sd` is None for a single seed."""

    mean: float
    sd: float | None = None


class Metric(StrictConfig):
    """A row of numbers and how they were come by.

    Attributes:
        metric: what was computed, over what: `CCC over all sub-sequences of the split`.
        dataset: what on; a corpus' registry name where there is one.
        split: which part, in words.
        subjects: how many people it has, None where that is not known.
        seeds: how many trainings the mean is over.
        values: target (or name of the score) -> number.
        protocol: name of a protocol of the dataset, where one was followed.
        command: reproduces the numbers. Exactly one of `command` and `reported_by` is given.
        commit: of this repository at which `command` gave them.
        reported_by: who published the numbers, where they were not measured here: a citation or an address.
        looks: how often the split was scored with models of this experiment until then, this time included; None where nobody
            counted.
    """

    metric: Sentence
    dataset: Sentence
    split: Sentence
    subjects: Annotated[int, Field(gt=0)] | None = None
    seeds: Annotated[int, Field(gt=0)] = 1
    values: dict[str, Value] = Field(min_length=1)
    protocol: str = ""
    command: str = ""
    commit: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{7,40})?$")] = ""
    reported_by: str = ""
    looks: Annotated[int, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _has_a_source(self) -> Metric:
        if bool(self.command.strip()) == bool(self.reported_by.strip()):
            raise ValueError(f"metric {self.metric!r} needs a command that reproduces it, or reported_by; not both")
        return self


class Licences(StrictConfig):
    """SPDX identifiers. Never defaulted."""

    code: Licence
    weights: Licence


class Use(StrictConfig):
    """What the model is for and what it must not be used for."""

    intended: Sentence
    forbidden: Sentence


class ModelFront(StrictConfig):
    """The front matter of a zoo model's card.

    Attributes:
        name: in the zoo; summary: one line.
        task: what a value means and how often there is one.
        targets: names, in the order of the model's config, the derived ones last.
        components: place in the model (`visual`, `audio`, `fusion`, `temporal.visual`, ...) -> registry name.
        inputs: modality -> the fields of its declared input that a reader needs, as in the model's config.
        parameters: trainable weights; size_mb: of the file, MB (10^6 bytes).
        weights: as `ModelSpec.location`; importer, digest: as there.
        data: what it was trained on; people: whether that shows or sounds like people, and is not drawn.
        metrics: may be empty where `not_measured` says why.
        limits: sentences. citation: BibTeX.
        caution: one sentence shown whenever the model is used.
    """

    kind: Literal["model"] = "model"
    name: Sentence
    summary: Sentence
    task: Sentence
    paper: str = ""
    targets: tuple[Sentence, ...] = Field(min_length=1)
    components: dict[str, Sentence]
    inputs: dict[str, dict[str, str | int | float]]
    parameters: Annotated[int, Field(gt=0)]
    size_mb: Annotated[float, Field(gt=0)]
    weights: Sentence
    importer: str = ""
    digest: str = ""
    licence: Licences
    data: Sentence
    people: bool = True
    metrics: tuple[Metric, ...] = ()
    not_measured: str = ""
    limits: tuple[Sentence, ...] = Field(min_length=1)
    use: Use
    citation: Sentence
    caution: str = ""

    @model_validator(mode="after")
    def _measured_or_said(self) -> ModelFront:
        if not self.metrics and not self.not_measured:
            raise ValueError("metrics is empty; not_measured must say why")
        return self


class Counted(StrictConfig):
    """Numbers that belong to an architecture, such as its size or its speed, and the command that gives them.

    Attributes:
        metric: what was counted or measured, with its unit.
        values: name of a network or of a quantity -> number; reported: the paper's, where it has them.
    """

    metric: Sentence
    values: dict[str, float] = Field(min_length=1)
    reported: dict[str, float] = Field(default_factory=dict)
    command: Sentence


class CodeLicence(StrictConfig):
    """SPDX identifier. Never defaulted."""

    code: Licence


class ArchitectureFront(StrictConfig):
    """The front matter of a card about networks without weights.

    Attributes:
        source: where the original code is, or that there is none.
        reconstruction: what had to be decided because nobody published it.
        components: their registry names.
    """

    kind: Literal["architecture"]
    name: Sentence
    summary: Sentence
    paper: Sentence
    source: Sentence
    reconstruction: Sentence
    components: tuple[Sentence, ...] = Field(min_length=1)
    licence: CodeLicence
    metrics: tuple[Counted, ...]
