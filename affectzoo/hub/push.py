"""`affectzoo push`: a run of `affectzoo train`, or a model folder, onto the Hub."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from affectzoo.cards.model_card import model_card
from affectzoo.errors import CheckpointError, InputError
from affectzoo.hub.run_folder import TRAINING_FILE, Run, find_run
from affectzoo.model.affect_model import AffectModel
from affectzoo.model.checkpoint import CARD_FILE, CONFIG_FILE, INDEX_FILE, weight_files
from affectzoo.model.share import check_readme, check_shareable, loaded_as
from affectzoo.remote.upload import Plan, Pushed, plan_upload, upload


@dataclass(frozen=True)
class Bundle:
    """What is pushed.

    Attributes:
        files: name -> where it is, or what it holds.
        remarks: sentences on what its author should know before others see it.
    """

    files: dict[str, Path | bytes]
    remarks: tuple[str, ...]


def push(
    folder: str | Path,
    repo: str,
    *,
    private: bool | None = None,
    revision: str | None = None,
    create_pr: bool = False,
    tags: Sequence[str] = (),
    licence: str | None = None,
    message: str | None = None,
    token: str | None = None,
    dry_run: bool = False,
) -> tuple[Pushed | Plan, tuple[str, ...]]:
    """Push a run's best epoch, or a model folder, with a card, in one commit.

    Args:
        folder: a run, its `model`, or a folder that `save_pretrained` wrote. Its own `README.md` is the card where there is
            one; else the card is made, with the scores of the run.
        repo: `org/name`.
        private, revision, create_pr, token: as for `AffectModel.push_to_hub`.
        tags, licence: for a card that is made.
        message: of the commit.
        dry_run: change nothing, say what would be done.

    Returns:
        What was done, or would be, and remarks on the model.

    Raises:
        AffectzooError: one sentence; the repository is as it was.
    """
    bundle = bundle_of(Path(folder).expanduser(), loaded_as(repo, revision, create_pr), tags=tags, licence=licence)
    where = {"private": private, "revision": revision, "create_pr": create_pr, "token": token}
    if dry_run:
        return plan_upload(bundle.files, repo, **where), bundle.remarks
    return upload(bundle.files, repo, message=message or f"Push {repo.rpartition('/')[2]}", **where), bundle.remarks


def bundle_of(folder: Path, name: str, *, tags: Sequence[str] = (), licence: str | None = None) -> Bundle:
    """The files of a run or a model folder, and its card; the model is loaded strictly, so that others can load it too.

    Args:
        folder: as for `push`.
        name: what `affectzoo.load` will take.
        tags, licence: for a card that is made.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is not a folder; give a run of `affectzoo train` or a saved model")
    run = find_run(folder)
    place = run.model if run else folder
    model = AffectModel.from_folder(place)
    check_shareable(model)
    weights = weight_files(place)
    files: dict[str, Path | bytes] = {CONFIG_FILE: place / CONFIG_FILE, **{path.name: path for path in weights}}
    if len(weights) > 1 or (place / INDEX_FILE).is_file():
        files[INDEX_FILE] = place / INDEX_FILE
    if (place / CARD_FILE).is_file():
        if tags or licence:
            raise InputError(f"{place / CARD_FILE} is the card: write tags and licence into it, or remove it")
        card = _read_card(place / CARD_FILE)
        remarks = ()
    else:
        card, remarks = _card(model, run, name, tags, licence)
    check_readme(card)
    files[CARD_FILE] = card.encode()
    if run is not None:
        files[TRAINING_FILE] = (json.dumps(run.settings(), indent=2) + "\n").encode()
    return Bundle(files, remarks)


def _read_card(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as UTF-8 text ({error}); save it as such, or remove it") from error


def _card(
    model: AffectModel, run: Run | None, name: str, tags: Sequence[str], licence: str | None
) -> tuple[str, tuple[str, ...]]:
    """The card that is made, and what its author should hear."""
    remarks = [] if licence else ["no licence is stated, so nobody may use the model: say which with --licence"]
    if run is None:
        made = model_card(model.config, name=name, licence=licence, parameters=model.parameter_count(), tags=tags)
        return made, tuple(remarks)
    origins, unknown = run.origins()
    owed = [note for origin in origins for note in origin.notes()]
    owed += [
        f"{part} began from weights that others had published; what their licence asks may hold for these too."
        for part in run.pretrained()
    ]
    if unknown:
        owed.append("It began from other weights of its author's, of which nothing more is known here.")
    card = model_card(
        model.config,
        name=name,
        licence=licence,
        parameters=model.parameter_count(),
        metrics=run.metrics(),
        tags=tags,
        training=run.training(),
        bases=[origin.name for origin in origins],
        data=run.data(),
        notes=owed,
    )
    return card, (*remarks, *owed)
