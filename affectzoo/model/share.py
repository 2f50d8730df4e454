"""A model in memory onto the Hub: saved as ever, with a card, in one commit."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affectzoo.cards.model_card import model_card
from affectzoo.cards.validate import validate_readme
from affectzoo.errors import CheckpointError, ConfigError, InputError
from affectzoo.model.origin import Origin, zoo_origin
from affectzoo.remote.folders import all_without_folders
from affectzoo.remote.upload import Pushed, upload

if TYPE_CHECKING:
    from affectzoo.config import ModelConfig
    from affectzoo.model.affect_model import AffectModel


def push_model(
    model: AffectModel,
    repo: str,
    *,
    private: bool | None = None,
    revision: str | None = None,
    create_pr: bool = False,
    tags: Sequence[str] = (),
    licence: str | None = None,
    card: str | None = None,
    token: str | None = None,
    message: str | None = None,
) -> Pushed:
    """See `AffectModel.push_to_hub`."""
    if card is not None and (tags or licence):
        raise InputError("card is the whole README: write tags and licence into it, or leave it out")
    check_shareable(model)
    if card is None:
        base, notes = _began_from(model, repo)
        card = model_card(
            model.config,
            name=loaded_as(repo, revision, create_pr),
            licence=licence,
            parameters=model.parameter_count(),
            tags=tags,
            bases=[base] if base else [],
            notes=notes,
            # What must be known whenever it is used holds for the next repository too.
            caution=model.said.caution,
        )
    check_readme(card)
    with tempfile.TemporaryDirectory() as name:
        folder = model.save_pretrained(name, card=card)
        return upload(
            {path.name: path for path in folder.iterdir()},
            repo,
            message=message or f"Push {repo.rpartition('/')[2]}",
            private=private,
            revision=revision,
            create_pr=create_pr,
            token=token,
        )


def _began_from(model: AffectModel, repo: str) -> tuple[str, list[str]]:
    """What the model was loaded from, and what is owed for it. A folder is a name on this machine only: it is not told."""
    source, licence = model.source, model.said.licence
    if model.revision:
        if source.partition(" ")[0].partition("@")[0] == repo:
            return "", [f"It was made from commit {model.revision} of this repository; the card of that one says more."]
        return source, Origin(source, licence).notes()
    if source and zoo_origin(source) is not None and not Path(source).exists():
        return source, Origin(source, licence).notes()
    return "", Origin("the model that it was loaded from", licence).notes() if licence else []


def loaded_as(repo: str, revision: str | None, create_pr: bool) -> str:
    """What `affectzoo.load` will take; a pull request is read once it is merged."""
    return repo if revision in (None, "main") or create_pr else f"{repo}@{revision}"


def check_readme(text: str) -> None:
    """Refuse a card that the Hub would refuse.

    Raises:
        InputError: names the first fault.
    """
    if problems := validate_readme(text):
        raise InputError(f"README.md: {problems[0]}")


def check_shareable(model: AffectModel) -> None:
    """Refuse what others could not load, and what they need not know.

    Raises:
        CheckpointError: weights that are not numbers.
        ConfigError: a component's config names a folder of this machine.
    """
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise CheckpointError(f"tensor {name!r} holds values that are not numbers; the training had failed")
    for place, config in _component_configs(model.config):
        for key, value in config.items():
            if all_without_folders(value) != value:
                raise ConfigError(
                    f"{place}.config.{key} is {value!r}: a folder of this machine, which nobody else has; a component that "
                    "needs it only to begin with keeps it out of its `saved_config`"
                )


def _component_configs(config: ModelConfig) -> list[tuple[str, dict[str, Any]]]:
    found = [(f"streams.{name}.backbone", stream.backbone) for name, stream in config.streams.items()]
    found += [(f"streams.{name}.temporal", stream.temporal) for name, stream in config.streams.items() if stream.temporal]
    found += [("fusion", config.fusion)] if config.fusion else []
    return [(place, dict(component.config)) for place, component in found]
