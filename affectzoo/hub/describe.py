"""What is there, in words: the names of the zoo and a description of any one component or model."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any

from affectzoo.cards.bundled import architecture_cards, card_of
from affectzoo.cards.markdown import spoken
from affectzoo.cards.sections import card_sections
from affectzoo.errors import InputError, UnknownNameError
from affectzoo.registry import KINDS, Entry, ImporterSpec, ModelSpec, registry, suggestion


@dataclass(frozen=True)
class Description:
    """Everything known about one name; `str()` of it is readable.

    Attributes:
        kind, name, summary, provider, licence, paper: from the spec.
        options: constructor argument -> its default as text (`required` where it has none); components only.
        text: the class's documentation, or the model's card.
        facts: further label -> value pairs, in order.
    """

    kind: str
    name: str
    summary: str
    provider: str
    licence: str
    paper: str
    options: dict[str, str] = field(default_factory=dict)
    text: str = ""
    facts: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"{self.name} ({self.kind}): {self.summary}"]
        pairs = {"provided by": self.provider, "licence": self.licence, "paper": self.paper, **self.facts}
        lines += [f"  {label}: {value}" for label, value in pairs.items() if value]
        if self.options:
            lines += ["  options:"] + [f"    {name} = {default}" for name, default in self.options.items()]
        return "\n".join(lines) + (f"\n\n{self.text}" if self.text else "")


def list_models() -> list[str]:
    """Names of the zoo's models, each ready for `affectzoo.load`."""
    return registry().names("model")


def info(name: str, *, kind: str | None = None) -> Description:
    """Describe a model or component by name, of the given kind (`backbone`, `block`, ...) or of the first that has it.

    Raises:
        UnknownNameError: nothing, or nothing of that kind, is called so.
        InputError: there is no such kind.
    """
    if kind is not None and kind not in KINDS:
        raise InputError(f"there is no kind {kind!r}; kinds are {', '.join(KINDS)}")
    return _describe(_called(name)[0] if kind is None else registry().find(kind, name))


def info_of_all(name: str) -> list[Description]:
    """Describe everything of that name: a model may be called like the importer that makes it.

    Raises:
        UnknownNameError: nothing is called so.
    """
    return [_describe(entry) for entry in _called(name)]


def _called(name: str) -> list[Entry]:
    found: list[Entry] = []
    for kind in KINDS:
        try:
            found.append(registry().find(kind, name))
        except UnknownNameError:
            continue
    if not found:
        for kind in KINDS:
            if refused := registry().refusal(kind, name):
                raise UnknownNameError(refused)
        known = sorted({n for kind in KINDS for n in registry().names(kind)})
        raise UnknownNameError(f"nothing is called {name!r}.{suggestion(name, known)} `affectzoo list` names everything.")
    return found


def _describe(entry: Entry) -> Description:
    spec = entry.spec
    common = (entry.kind, entry.name, spec.summary, entry.provider, spec.licence, spec.paper)
    if isinstance(spec, ModelSpec):
        facts = {
            "targets": ", ".join(spec.targets),
            "parameters": f"{spec.parameters:,}" if spec.parameters else "",
            "size": f"{spec.size_mb:.1f} MB" if spec.size_mb else "",
            "weights": f"{'bundled' if spec.is_bundled else 'downloaded when first used'}, {spec.location}",
            "digest": spec.digest,
            "converted by": f"the importer {spec.importer}" if spec.importer else "",
            "caution": spec.caution,
        }
        card = card_of(spec)
        text = "\n\n".join(filter(None, card_sections(card))) if card else ""
        return Description(*common, text=text, facts={label: value for label, value in facts.items() if value})
    target = entry.resolve()
    facts = _measure(target) if entry.kind == "backbone" and not entry.variant else {}
    if isinstance(spec, ImporterSpec):
        facts = {"reads": spec.reads, "licence of the weights": spec.weights_licence or "as its publisher says"}
    described = [card.body.strip() for card in architecture_cards() if entry.name in card.front.components]
    own = [str(target.card)] if entry.kind == "dataset" and hasattr(target, "card") else []
    text = "\n\n".join([inspect.getdoc(target) or "", *own, *described])
    return Description(*common, options=_options(entry, target), text=text, facts=facts)


#: Registry kind -> constructor arguments that the surrounding model decides.
_GIVEN = {
    "fusion": {"dims", "seq_len"},
    "temporal": {"in_dim"},
    "block": {"in_channels", "width", "stride"},
    "importer": {"source"},
}


def _options(entry: Entry, target: Any) -> dict[str, str]:
    given = _GIVEN.get(entry.kind, set()) | ({"variant"} if entry.spec.is_family else set())
    options = {}
    for name, parameter in inspect.signature(target).parameters.items():
        if name in given or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        options[name] = "required" if parameter.default is parameter.empty else repr(parameter.default)
    return options


def _measure(target: Any) -> dict[str, str]:
    """Input, features, weights and operations of a backbone with its defaults; nothing where it cannot be built so."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from affectzoo.model.optimize import example_input

    try:
        # Without memory or arithmetic, and without touching the caller's random numbers.
        with torch.random.fork_rng(devices=[]), torch.device("meta"), torch.no_grad():
            backbone = target().eval()
            x = example_input(backbone.input, 1, "meta")
            with FlopCounterMode(display=False) as counter:
                features = backbone(x)
        facts = {"input": spoken(backbone.input), "features": f"{features.shape[1]:,}"}
        facts["parameters"] = f"{sum(p.numel() for p in backbone.parameters()):,}"
    except Exception:  # required arguments, weights to fetch, operations that need values
        return {}
    if counter.get_total_flops():
        gmac = counter.get_total_flops() / 2e9  # two operations for each multiply-accumulate
        facts["GMAC"] = f"{gmac:.2f}" if gmac >= 0.1 else f"{gmac:.2g}"
        facts["GMAC"] += f" at {' x '.join(map(str, x.shape))}"
    return facts
