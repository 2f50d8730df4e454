"""Which models predict which clips under a protocol, and what is reported of them."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd
from accelerate import Accelerator

from affectzoo.config import DataConfig, ModelConfig
from affectzoo.data.corpus import is_corpus, options_of
from affectzoo.data.folds import FoldConfig, fold_count, fold_of
from affectzoo.data.load import open_corpus
from affectzoo.data.protocols import Protocol
from affectzoo.errors import ConfigError, DataError, InputError
from affectzoo.registry import registry
from affectzoo.train.report.compare import Compared, compare_annotations, compare_clips, measure
from affectzoo.train.report.fold_runs import FoldRuns, with_fold, without_fold
from affectzoo.train.report.predicted import Predicted
from affectzoo.train.report.restrict import Restriction
from affectzoo.train.seen import Seen, counted, met_before
from affectzoo.train.splits import load_rows, source_of


@dataclass(frozen=True)
class Reported:
    """A protocol's numbers.

    Attributes:
        results: plain values, as they stand in `report.json`.
        frame: what was compared.
        file: name of the table of it.
        compared: the same as arrays.
        left_out: class -> how many labels of it were left out; empty where all classes are compared.
    """

    results: dict[str, Any]
    frame: pd.DataFrame
    file: str
    compared: Compared
    left_out: dict[str, int] = field(default_factory=dict)


def protocol_of(data: str, name: str) -> Protocol:
    """A protocol that a dataset declares.

    Raises:
        UnknownNameError: there is no such dataset.
        ConfigError: it has no protocol of that name; the sentence has those that it has.
    """
    entry = registry().find("dataset", data)
    known = {protocol.name: protocol for protocol in getattr(entry.resolve(), "protocols", ())}
    if name in known:
        return known[name]
    if not known:
        raise ConfigError(f"dataset {entry.name!r} of {entry.provider} has no protocols; leave --protocol out and give --split")
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}"
    raise ConfigError(f"dataset {entry.name!r} of {entry.provider} has no protocol {name!r}; {hint}")


def settle(data: DataConfig, protocol: Protocol, split: str | None = None) -> DataConfig:
    """The dataset with the options of the protocol.

    Raises:
        ConfigError: an option, a split or a fold contradicts it.
    """
    config = dict(data.config)
    for key, value in protocol.options.items():
        if key in config and _plain(config[key]) != _plain(value):
            raise ConfigError(f"{key} is {config[key]!r}, but the protocol {protocol.name} says {value!r}; leave {key} out")
        config[key] = _plain(value)
    wanted = protocol.split or "test"
    if split is not None and split != wanted:
        where = "tests every subject in its fold" if protocol.folds is not None else f"is of the split {wanted}"
        raise ConfigError(f"--split {split}, but the protocol {protocol.name} {where}; leave --split out")
    if config.get("fold") is not None:
        given = fold_of(config["fold"])  # pyright: ignore[reportArgumentType]
        if given is not None and given.folds != protocol.folds:
            own = f"has {named_folds(protocol.folds)}" if protocol.folds else f"has the official split {wanted} and no folds"
            raise ConfigError(f"fold is {config['fold']!r}, but the protocol {protocol.name} {own}; leave fold out")
    return DataConfig(name=data.name, config=config)


def named_folds(folds: int | Literal["loso"]) -> str:
    """`5 folds by subject`, `leave-one-subject-out folds`."""
    return "leave-one-subject-out folds" if folds == "loso" else f"{folds} folds by subject"


def check_model(protocol: Protocol, config: ModelConfig, pool: str | None, delay_s: float) -> None:
    """Refuse a model, or what is asked to be done, that the protocol cannot compare.

    Raises:
        InputError: a target is missing, the model scores recordings only, or a delay is given for scores of clips.
    """
    held = [target.name for target in config.targets]
    absent = [name for name in protocol.targets if name not in held]
    if absent:
        raise InputError(
            f"the protocol {protocol.name} compares {', '.join(protocol.targets)}; this model has no {absent[0]}, "
            f"it predicts {', '.join(held)}"
        )
    if protocol.of == "annotations" and pool is not None:
        raise InputError(
            f"the protocol {protocol.name} compares every annotation, and this model gives one score for a recording "
            f"(head.pool is {pool}); evaluate a model without head.pool"
        )
    if protocol.of == "clips" and delay_s:
        raise InputError(f"--label-delay moves labels along time, and the protocol {protocol.name} compares scores of clips")


def folds_of(
    protocol: Protocol, data: DataConfig, config: ModelConfig, accelerator: Accelerator
) -> tuple[list[DataConfig], list[str]]:
    """The dataset once for each fold of the protocol, and the subject of each clip; a seed in `data.config.fold` counts."""
    assert protocol.folds is not None
    given = data.config.get("fold")
    asked = given if isinstance(given, Mapping) else {}
    if "number" in asked:
        raise ConfigError(f"fold.number names one fold, and the protocol {protocol.name} takes all; leave it out")
    fold = FoldConfig.parse({**asked, "folds": protocol.folds}, where="fold")
    subjects = subjects_of_clips(data, config, fold, accelerator)
    count = fold_count(subjects, fold.folds)
    return [with_fold(data, fold.model_copy(update={"number": number})) for number in range(count)], subjects


def folds_of_runs(protocol: Protocol, data: DataConfig, runs: FoldRuns) -> list[DataConfig]:
    """The dataset once for each run of a cross-validation, divided as it was there.

    Raises:
        ConfigError: it was another dataset, or other folds than the protocol's.
    """
    if runs.folds != protocol.folds:
        own = named_folds(protocol.folds) if protocol.folds else "no folds"
        raise ConfigError(f"{runs.folder} has {named_folds(runs.folds)}, but the protocol {protocol.name} has {own}")
    if runs.data.name != data.name:
        raise ConfigError(f"{runs.folder} was trained on {runs.data.name}, not on {data.name}: its folds are of other people")
    given = data.config.get("fold")
    if isinstance(given, Mapping) and given.get("seed", runs.seed) != runs.seed:
        raise ConfigError(f"fold.seed is {given['seed']}, but {runs.folder} has folds of seed {runs.seed}; leave it out")
    fold = FoldConfig(folds=runs.folds, seed=runs.seed)
    plain = without_fold(data)
    return [with_fold(plain, fold.model_copy(update={"number": number})) for number in range(len(runs.runs))]


def refuse_seen(name: str, seen: Seen, data: DataConfig, protocol: Protocol, subjects: Sequence[str]) -> None:
    """A model must not have been trained on anybody whom the protocol tests.

    Raises:
        InputError: its run says that it was, or does not say on whom and the protocol tests every subject.
    """
    source = source_of(data) if seen else ""
    met = met_before(seen, data, subjects)
    if not met and (protocol.folds is None or seen.get(source, frozenset()) is not None):
        return
    on = counted(met, subjects) if met else source
    how = "train on the official split" if protocol.folds is None else "train with affectzoo crossval and give its folder"
    raise InputError(f"{name} was trained on {on}, and the protocol {protocol.name} tests them; {how}")


def subjects_of_clips(data: DataConfig, config: ModelConfig, fold: FoldConfig, accelerator: Accelerator) -> list[str]:
    """The subject of each clip that the folds are made of.

    Raises:
        ConfigError: the dataset cannot be divided into folds.
        DataError: none of its clips can be used.
    """
    entry = registry().find("dataset", data.name)
    target = entry.resolve()
    if is_corpus(target):
        from affectzoo.data.table import read_table

        corpus = open_corpus(data.name, {key: value for key, value in data.config.items() if key in options_of(target)})
        cache = data.config.get("cache_dir")
        table = read_table(corpus, cache_dir=None if cache is None else str(cache)).select_columns(["subject", "problem"])
        found = [subject for subject, problem in zip(table["subject"], table["problem"], strict=True) if not problem]
        if not found:
            raise DataError(f"{corpus.root}: not one of {len(table)} clips can be used; `affectzoo data check` says why")
        return found
    known = inspect.signature(target).parameters.values()
    if not any(p.name == "fold" or p.kind is p.VAR_KEYWORD for p in known):
        raise ConfigError(f"dataset {entry.name!r} of {entry.provider} has no option fold, so it is not divided by subject")
    rows = load_rows(with_fold(data, fold), config, accelerator)
    return [subject for split in rows for subject in rows[split]["subject"]]


def report_protocol(
    protocol: Protocol,
    predicted: Predicted,
    config: ModelConfig,
    pool: str | None,
    delay_s: float = 0.0,
    restriction: Restriction | None = None,
) -> Reported:
    """The protocol's numbers of predictions of all clips that it compares, or of some classes of these.

    Raises:
        DataError: nothing to compare with, or a subject in two folds.
    """
    check_folds(predicted)
    targets = config.targets
    kinds = {target.kind for target in targets if target.name in protocol.targets}
    if protocol.of == "annotations":
        compared = compare_annotations(predicted, targets, delay_s)
        made = "every valid annotation beside the prediction interpolated linearly to its time"
        if "categorical" in kinds:
            made = "every valid annotation beside the prediction of the nearest sub-sequence"
            made += ", that of numbers interpolated linearly to its time" if len(kinds) > 1 else ""
    else:
        compared = compare_clips(predicted, targets, protocol.targets, pool or "mean", protocol.group)
        made = f"one score for each clip: the {pool or 'mean'} of its sub-sequences" + ("" if pool else " with any input")
        made += f"; scores of clips of one {protocol.group} averaged" if protocol.group else ""
    left_out: dict[str, int] = {}
    if restriction is not None:
        left_out = restriction.left_out(compared.label)
        compared, targets = restriction.of_compared(compared), restriction.targets
    measured = measure(compared, protocol, targets)
    folds = len(measured.get("per_fold", []))
    averaged = f"once over {folds} folds together" if folds else "once over the split"
    if folds and protocol.average == "folds":
        averaged = f"mean and sd over {folds} folds"
    results = {
        "name": protocol.name,
        "summary": protocol.summary,
        "source": protocol.source,
        "metrics": list(protocol.metrics),
        "of": protocol.of,
        "compared": made,
        "averaged": averaged,
        **measured,
    }
    called, file = (
        ("clip_id", "annotations.csv") if protocol.of == "annotations" else (protocol.group or "clip_id", "clips.csv")
    )
    return Reported(results, compared.to_frame(targets, protocol.targets, called), file, compared, left_out)


def check_folds(predicted: Predicted) -> None:
    """Raises `DataError` where a subject or a clip is tested in two folds."""
    for names, word in ((predicted.subjects, "subject"), (predicted.clip_ids, "clip")):
        places: dict[str, int | None] = {}
        for name, fold in zip(names, predicted.folds, strict=True):
            if places.setdefault(name, fold) != fold:
                raise DataError(f"{word} {name!r} is tested in the folds {places[name]} and {fold}")


def _plain(value: Any) -> Any:
    """As JSON has it: a tuple is a list."""
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
