"""README.md of a model on the Hub: of any model from its config, of a zoo model from its card."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from affectzoo.cards import markdown
from affectzoo.cards.bundled import Card
from affectzoo.cards.front import Metric
from affectzoo.cards.hub_metadata import metadata
from affectzoo.cards.markdown import code, section
from affectzoo.cards.sections import card_sections, parts
from affectzoo.cards.statement import with_statement
from affectzoo.config import ComponentConfig, ModelConfig, derivations

_NO_LICENCE = (
    "None was stated. Without one nobody but who made these weights may use, copy or change them: "
    "ask them, or, if they are yours, state one."
)


def model_card(
    config: ModelConfig,
    *,
    name: str,
    licence: str | None,
    parameters: int,
    metrics: Sequence[Metric] = (),
    tags: Sequence[str] = (),
    training: str = "",
    bases: Sequence[str] = (),
    data: str = "",
    notes: Sequence[str] = (),
    caution: str = "",
) -> str:
    """The README of a saved model, with metadata and model-index.

    Args:
        config: the model's.
        name: what `affectzoo.load` takes: `org/name` or a folder.
        licence: SPDX identifier of the weights; None: the metadata has none and the text says what that means.
        parameters: number of trainable weights.
        metrics: measured or reported numbers, each with its source.
        tags: for the Hub, besides the targets and components.
        training: how it was trained, Markdown.
        bases: what it was trained from; each `org/name[@revision]` becomes a `base_model` of the metadata, so a folder is
            given in words.
        data: what it was trained on, Markdown.
        notes: sentences on what a user must know.
        caution: one sentence shown whenever the model is used.
    """
    components = _components(config)
    head = metadata(
        name=name,
        licence=licence,
        streams=config.streams,
        targets=[target.name for target in config.predicted_targets],
        tags=[*(component.name for component in components.values()), *tags],
        metrics=metrics,
        bases=bases,
        caution=caution,
    )
    kinds = {stream.input.kind for stream in config.streams.values() if stream.input}
    streams = [
        (code(modality), code(stream.backbone.name), markdown.spoken(stream.input) if stream.input else "")
        for modality, stream in config.streams.items()
    ]
    sections = [
        section("Load it", _loading(name, kinds), _needs(config)),
        section("What it takes", markdown.table(("stream", "backbone", "input"), streams), _sequence(config)),
        section("What it gives", markdown.targets_table(config.predicted_targets), _made(config), _rows(config)),
        section("Parts", parts({place: component.name for place, component in components.items()}, parameters)),
        section("Results", markdown.metrics_table(metrics) or "Nothing was measured."),
        section("Training", training, f"It began from {' and '.join(map(markdown.one_line, bases))}." if bases else ""),
        section("Data", data),
        section("Notes", markdown.listed(notes)),
        section("Licence", f"Weights: {code(licence)}." if licence else _NO_LICENCE),
    ]
    return _page(head, name, caution, sections)


def zoo_card(card: Card) -> str:
    """The README of a zoo model: its card, with metadata that the Hub understands."""
    front = card.front
    head = metadata(
        name=front.name,
        licence=front.licence.weights,
        streams=front.inputs,
        targets=front.targets,
        tags=front.components.values(),
        metrics=front.metrics,
        caution=front.caution,
    )
    kinds = {str(declared.get("kind")) for declared in front.inputs.values()}
    sections = [markdown.sentence(front.summary), section("Load it", _loading(front.name, kinds)), *card_sections(card)]
    return _page(head, front.name, front.caution, sections)


def _page(head: str, name: str, caution: str, sections: Sequence[str]) -> str:
    warning = f"> **{markdown.one_line(caution)}**" if caution else ""
    text = "\n\n".join(part for part in (f"# {markdown.one_line(name)}", warning, *sections) if part)
    return f"---\n{head}\n---\n\n{with_statement(text)}"


def _components(config: ModelConfig) -> dict[str, ComponentConfig]:
    """Place in the model -> component."""
    found = {modality: stream.backbone for modality, stream in config.streams.items()}
    found |= {f"temporal.{modality}": stream.temporal for modality, stream in config.streams.items() if stream.temporal}
    return found | ({"fusion": config.fusion} if config.fusion else {})


def _loading(name: str, kinds: Collection[str]) -> str:
    # JSON's text is Python's too, whatever quotes or backslashes the name holds.
    quoted = json.dumps(markdown.one_line(name), ensure_ascii=False)
    lines = ["import affectzoo", "", f"model = affectzoo.load({quoted})"]
    # What sensors or feature extractors gave is no media file.
    if "signal" not in kinds:
        lines.append(f'timeline = affectzoo.predict(model, "clip.{"mp4" if "frames" in kinds else "wav"}")')
    return "\n".join(["```python", *lines, "```"])


def _needs(config: ModelConfig) -> str:
    """What must be installed or registered before it can be loaded."""
    used = list(_provided(config.to_json()))
    own = sorted({name for name, distribution in used if distribution == "session"})
    installed = sorted({distribution for _, distribution in used} - {"session", "affectzoo"})
    sentences = [f"It needs {', '.join(map(code, ['affectzoo', *installed]))}."]
    if own:
        sentences.append(
            f"{', '.join(map(code, own))} came from a script: run the code that registers it before you load the model."
        )
    return " ".join(sentences)


def _provided(value: Any) -> Iterator[tuple[str, str]]:
    """Name and distribution of every component, those inside the config of another (the block of a backbone) too."""
    if isinstance(value, dict):
        name, distribution = value.get("name"), value.get("distribution")
        if isinstance(name, str) and isinstance(distribution, str):
            yield name, distribution
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _provided(item)


def _sequence(config: ModelConfig) -> str:
    length, seconds = config.sequence.length, config.sequence.seconds
    steps = f"{length} sub-sequences" if length > 1 else "one sub-sequence"
    return f"A window is {steps} of {seconds:.4g} s. The config holds the whole preprocessing; nothing is guessed."


def _made(config: ModelConfig) -> str:
    """What is done to the network's outputs before they are predictions."""
    sentences = [f"{words[0].upper()}{words[1:]}" for words in derivations(config.derived)]
    if config.smoothing is not None:
        sentences.insert(0, f"Predictions are smoothed along time ({config.smoothing.words(config.sequence.seconds)})")
    return " ".join(map(markdown.sentence, sentences))


def _rows(config: ModelConfig) -> str:
    if config.head.pool is None:
        return "One value for each sub-sequence."
    return f"One score for each recording: the {config.head.pool} over its sub-sequences."
