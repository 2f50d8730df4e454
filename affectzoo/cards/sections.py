"""A model's card for people: what its front matter says, in sentences and tables, around its body."""

from __future__ import annotations

import re
from collections.abc import Mapping

from affectzoo.cards import markdown
from affectzoo.cards.bundled import Card
from affectzoo.cards.markdown import code, section


def card_sections(card: Card) -> list[str]:
    """Introduction, what it takes and gives, numbers, limits, use, licences, the rest of the body with the statement."""
    front = card.front
    introduction, rest = _split(card.body)
    inputs = [
        (code(stream), ", ".join(f"{key} {value}" for key, value in given.items())) for stream, given in front.inputs.items()
    ]
    return [
        introduction,
        section("What it takes", markdown.table(("stream", "input"), inputs)),
        section("What it gives", f"{', '.join(map(code, front.targets))}: {markdown.sentence(front.task)}"),
        section("Parts", parts(front.components, front.parameters)),
        section("Trained on", markdown.sentence(front.data)),
        section("Measured", markdown.metrics_table(front.metrics), front.not_measured),
        section("Limits", markdown.listed(front.limits)),
        section(
            "Use", f"Intended: {markdown.sentence(front.use.intended)}", f"Not for: {markdown.sentence(front.use.forbidden)}"
        ),
        section("Licence", f"Weights: {code(front.licence.weights)}. Code: {code(front.licence.code)}."),
        section("Citation", f"```bibtex\n{front.citation.strip()}\n```"),
        rest,
    ]


def parts(components: Mapping[str, str], parameters: int) -> str:
    """Place in the model and registry name, and the number of weights."""
    return markdown.facts({**{place: code(name) for place, name in components.items()}, "parameters": f"{parameters:,}"})


def _split(body: str) -> tuple[str, str]:
    """What stands before the first section, without the title, and the sections."""
    introduction, heading, rest = re.sub(r"\A# .*\n", "", body).strip().partition("\n## ")
    return introduction.strip(), (heading + rest).strip()
