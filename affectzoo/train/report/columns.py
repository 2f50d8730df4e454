"""Columns of a corpus that tell its clips apart: who speaks, how loud, which sentence."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from typing import Any

from affectzoo.data.windows import WindowDataset
from affectzoo.errors import DataError

_SUBJECT, _EXTRA = "subject", "extra"
#: A column with more values is a measurement or a name, and its groups are single clips.
MOST_VALUES = 30


def read_columns(dataset: WindowDataset, name: str, wanted: Sequence[str]) -> list[dict[str, str]]:
    """Of each clip, column -> its value as text, empty where it has none.

    Args:
        dataset: of a corpus, whose extra columns its rows keep.
        name: of the dataset, for messages.
        wanted: `subject`, or extra columns.

    Raises:
        DataError: no clip has such a column, or it has too many values.
    """
    if not wanted:
        return []
    texts = dataset.rows.select_columns([_EXTRA])[:][_EXTRA].to_pylist() if _EXTRA in dataset.rows.column_names else []
    extra = [json.loads(text) if text else {} for text in texts] or [{} for _ in dataset.clip_ids]
    known = sorted({column for own in extra for column in own} | {_SUBJECT})
    for column in wanted:
        if column not in known:
            near = difflib.get_close_matches(column, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            raise DataError(f"--by {column}: the clips of dataset {name!r} have no such column; {hint}")
    found = [
        {column: subject if column == _SUBJECT else _text(own.get(column)) for column in wanted}
        for own, subject in zip(extra, dataset.subjects, strict=True)
    ]
    for column in wanted:
        check_values(column, {own[column] for own in found})
    return found


def check_values(column: str, values: set[str]) -> None:
    """Raises `DataError` where a column makes no groups: none has a value, or there are too many."""
    groups = len(values - {""})
    if not groups:
        raise DataError(f"--by {column}: no clip has a value in this column; leave it out")
    if groups > MOST_VALUES:
        hint = ": report.json has each under per_subject" if column == _SUBJECT else ""
        raise DataError(f"--by {column}: the column has {groups} values, and at most {MOST_VALUES} make groups{hint}")


def _text(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)
