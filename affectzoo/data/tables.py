"""Small text tables as people deliver them: CSV with a byte order mark, CRLF, blanks around cells, rows that are no numbers."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from affectzoo.errors import DataError


def read_rows(path: Path, *, delimiter: str = ",", strict: bool = True) -> tuple[list[tuple[str, dict[str, str]]], list[str]]:
    """`(file, line; its cells)` of each row, and the header; blanks around cells are left out, empty lines too.

    Args:
        path: a text file in UTF-8, with or without a byte order mark.
        delimiter: between cells.
        strict: refuse a row of another length than the header; else it is padded with empty cells, or cut.

    Raises:
        DataError: not such a table, a column twice, or a row of another length.
    """
    lines: list[tuple[str, dict[str, str]]] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True, delimiter=delimiter)
            header = [name.strip() for name in next(reader, [])]
            if len(set(header)) < len(header):
                raise DataError(f"{path} has a column twice: {Counter(header).most_common(1)[0][0]!r}")
            for cells in reader:
                where = f"{path}, line {reader.line_num}"
                if not any(cell.strip() for cell in cells):
                    continue
                if strict and len(cells) != len(header):
                    raise DataError(f"{where}: {len(cells)} cells for {len(header)} columns")
                padded = [*cells, *[""] * (len(header) - len(cells))]
                lines.append((where, {name: cell.strip() for name, cell in zip(header, padded, strict=False)}))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a table in UTF-8: {error}") from error
    return lines, header


def read_lines(path: Path) -> list[str]:
    """The lines of a text file in UTF-8, with or without a byte order mark; empty lines at its end are left out.

    Raises:
        DataError: it is no such text, or cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not a text in UTF-8: {error}") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    lines = text.split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def to_numbers(cells: Sequence[str]) -> np.ndarray:
    """`[m]` float64, NaN for what is no number."""
    try:
        return np.array([float(cell) for cell in cells], dtype=np.float64)  # much the faster, where all are
    except ValueError:
        return np.asarray(pd.to_numeric(pd.Series(cells, dtype=str), errors="coerce"), dtype=np.float64)


def lines_of(numbers: Sequence[int], most: int = 5, *, what: str = "line") -> str:
    """`lines 4, 9 and 3 more`, for a note about rows that are left out, or whatever else is numbered."""
    named = ", ".join(map(str, numbers[:most]))
    more = f" and {len(numbers) - most} more" if len(numbers) > most else ""
    return f"{what}{'s' if len(numbers) > 1 else ''} {named}{more}"
