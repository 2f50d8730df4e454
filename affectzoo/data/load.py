"""`affectzoo.load_dataset`: a corpus by name and folder, as splits of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from affectzoo.data.corpus import Corpus, is_corpus
from affectzoo.data.folds import FoldConfig, assign, fold_of
from affectzoo.data.say import say
from affectzoo.data.schema import IDENTITY, SPLITS
from affectzoo.errors import ConfigError, DataError
from affectzoo.registry import check_arguments, registry

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict, IterableDatasetDict

#: The one split of a corpus that has no official ones, as long as no fold is asked for.
WHOLE = "all"


def load_dataset(
    name: str,
    root: str | None = None,
    *,
    fold: FoldConfig | Mapping[str, Any] | None = None,
    streaming: bool = False,
    num_proc: int | None = None,
    cache_dir: str | None = None,
    **options: Any,
) -> DatasetDict | IterableDatasetDict:
    """A corpus as `datasets` rows, one for each clip (`affectzoo.data.table` names the columns); media are not opened.

    What cannot be used is left out and said on standard error, with its number and the first reasons.

    Args:
        name: from `affectzoo list datasets`.
        root: the folder of the corpus as delivered.
        fold: `{"folds": 5, "number": 0}` or `{"folds": "loso", "number": 3}`: splits by subject instead of the official ones.
        streaming: read rows as they are asked for, and write no cache. Folds are then made of all clips that are listed,
            before it is known whose labels cannot be read.
        num_proc: processes that read label files.
        cache_dir: None is the `datasets` library's own.
        options: the loader's own.

    Returns:
        `train`, `val`, `test`, as far as they are there; `all` where the corpus has no official splits and no fold is given.

    Raises:
        UnknownNameError: no such dataset.
        ConfigError: an option that the loader does not know, or one that is missing.
        DataError: nothing that can be used is in `root`.
    """
    from datasets import DatasetDict, IterableDatasetDict

    from affectzoo.data.table import read_table, stream_table

    corpus = open_corpus(name, {**({} if root is None else {"root": root}), **options})
    chosen = fold_of(dict(fold) if isinstance(fold, Mapping) else fold)
    if not streaming:
        table = read_table(corpus, cache_dir=cache_dir, num_proc=num_proc)
        report_problems(table, corpus)
        return DatasetDict({split: table.select(rows) for split, rows in split_rows(table, corpus, chosen).items()})
    listed = corpus.clips()
    _report(corpus, [(clip.clip_id, clip.problem) for clip in listed if clip.problem], f"of {len(listed)} clips are left out")
    found = [clip for clip in listed if not clip.problem]
    given = splits_of([clip.subject for clip in found], [clip.split for clip in found], corpus, chosen)

    def part(split: str) -> Any:
        return stream_table(corpus, [clip for clip, own in zip(found, given, strict=True) if own == split]).filter(_usable)

    return IterableDatasetDict({split: part(split) for split in (*SPLITS, WHOLE) if split in given})


def _usable(row: Mapping[str, Any]) -> bool:
    """Whether a streamed row has no problem; one that has is told."""
    if row["problem"]:
        say(f"left out: {row['clip_id']}: {row['problem']}")
    return not row["problem"]


def open_corpus(name: str, options: Mapping[str, Any]) -> Corpus:
    """A loader by registry name, made with its own options.

    Raises:
        UnknownNameError: no such dataset.
        ConfigError: it has no rows of its own, or an option is unknown or missing.
        DataError: the loader finds no such folder.
    """
    entry = registry().find("dataset", name)
    target = entry.resolve()
    if not is_corpus(target):
        raise ConfigError(
            f"{entry.name!r} prepares inputs of a given model and has no rows of its own; name it in a recipe (data.name)"
        )
    return target(**check_arguments(target, {}, options, f"dataset {entry.name!r} of {entry.provider}"))


def split_rows(table: Dataset, corpus: Corpus, fold: FoldConfig | None) -> dict[str, list[int]]:
    """Split -> the numbers of its rows; rows with a problem are in none.

    Raises:
        DataError: no clip is left, or a subject is in two splits.
    """
    columns = table.select_columns(["problem", "subject", "split"])
    usable = [number for number, problem in enumerate(columns["problem"]) if not problem]
    if not usable:
        raise DataError(f"{corpus.root}: not one of {len(table)} clips can be used; {table[0]['problem']}")
    subjects, official = list(columns["subject"]), list(columns["split"])
    splits = splits_of([subjects[n] for n in usable], [official[n] for n in usable], corpus, fold)
    found: dict[str, list[int]] = {split: [] for split in (*SPLITS, WHOLE) if split in splits}
    for number, split in zip(usable, splits, strict=True):
        found[split].append(number)
    return found


def splits_of(subjects: Sequence[str], official: Sequence[str], corpus: Corpus, fold: FoldConfig | None) -> list[str]:
    """The split of each clip: by fold, or the official one.

    Raises:
        DataError: a subject is in two official splits (but for the target `identity`), or only some clips have one.
    """
    if fold is not None:
        return assign(subjects, fold)
    if not any(official):
        return [WHOLE] * len(official)
    if not all(official):
        raise DataError(f"{corpus.root}: some clips have a split and some have none; give all of them one, or a fold")
    places: dict[str, str] = {}
    people = [target.name for target in corpus.targets] == [IDENTITY]
    for subject, split in zip(subjects, official, strict=True):
        if places.setdefault(subject, split) != split and not people:
            raise DataError(f"{corpus.root}: subject {subject!r} is in both {places[subject]} and {split}; give it one split")
    return list(official)


def report_problems(table: Dataset, corpus: Corpus) -> None:
    """Say how many clips are left out and what is noted of others, the first of each by name."""
    columns = table.select_columns(["clip_id", "problem", "notes"])
    rows = list(zip(columns["clip_id"], columns["problem"], columns["notes"], strict=True))
    problems = [(clip, problem) for clip, problem, _ in rows if problem]
    _report(corpus, problems, f"of {len(rows)} clips {'is' if len(problems) == 1 else 'are'} left out")
    notes = [(clip, note) for clip, problem, given in rows if not problem for note in given or ()]
    _report(corpus, notes, f"remark{'' if len(notes) == 1 else 's'} on clips that are used")


def _report(corpus: Corpus, found: Sequence[tuple[str, str]], what: str, most: int = 5) -> None:
    if found:
        say(f"{corpus.root}: {len(found)} {what}; `affectzoo data check` lists all")
        for clip, sentence in found[:most]:
            say(f"  {clip}: {sentence}")
