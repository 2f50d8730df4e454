"""The table of a comparison, as Markdown for people and as CSV for programs."""

from __future__ import annotations

import csv
import io
from typing import Any

from affectzoo.cards.markdown import table

#: What a row that failed has in a column of numbers.
_NOTHING = "-"
#: Percentile intervals of fewer subjects hold the truth clearly less often than their level says.
_FEW = 20


def columns_of(summary: dict[str, Any], *, short: bool = False) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table that people read.

    Means over seeds with their standard deviation in brackets; the difference to the baseline and its interval.

    Args:
        summary: of `bench_fusions`.
        short: leave out single targets and errors. Of conditions there is the mean of the targets alone.
    """
    metrics = metrics_in(summary)
    metrics = metrics[-1:] if short else metrics
    failed = not short and any(row["error"] for row in summary["rows"])
    conditions, less, interval = list(summary["conditions"]), f"- {summary['baseline']}", f"{summary['level']:.0%} interval"
    header = [
        "fusion",
        *(name if name != "score" else "mean" for name in metrics),
        less,
        interval,
        *(cell for name in conditions for cell in (name, f"{name} {less}", interval)),
        "parameters",
        "ms/step",
        *(["error"] if failed else []),
    ]
    rows = []
    for row in summary["rows"]:
        found, count, time = row["metrics"], row["parameters"], row["ms_per_step"]
        cells = [label_of(row), *(_NOTHING if found is None else with_sd(found[name]) for name in metrics), *_gain(row)]
        for own in (row["conditions"][name] for name in conditions):
            cells += [_NOTHING if own["metrics"] is None else with_sd(own["metrics"]["score"]), *_gain(own)]
        cells += [_NOTHING if count is None else f"{count['fusion']:,}", _NOTHING if time is None else f"{time:.2f}"]
        rows.append(cells + ([failure_of(row, summary)] if failed else []))
    return header, rows


def metrics_in(summary: dict[str, Any]) -> list[str]:
    """Names of the metrics: those of each target, then `score` where that is a mean of several."""
    found = next((list(row["metrics"]) for row in summary["rows"] if row["metrics"]), [])
    return found if len(found) > 2 else found[:1]


def label_of(row: dict[str, Any]) -> str:
    """`concat`, or `visual alone`."""
    return row["name"] if row["kind"] == "fusion" else f"{row['name']} alone"


def failure_of(row: dict[str, Any], summary: dict[str, Any]) -> str:
    """`seed 1: it rained`, where other seeds went well or have another error; empty where nothing failed."""
    failed = [run for run in row["runs"] if "error" in run]
    if not failed or (len(failed) == len(row["runs"]) and len({run["error"] for run in failed}) == 1):
        return row["error"]
    seeds = sorted({run["seed"] for run in failed}, key=summary["seeds"].index)
    return f"seed {', '.join(map(str, seeds))}: {row['error']}"


def reading(summary: dict[str, Any]) -> str:
    """How the numbers were made, in sentences."""
    seeds = ", ".join(map(str, summary["seeds"]))
    of = f"mean (sd) over the seeds {seeds}" if len(summary["seeds"]) > 1 else f"seed {seeds} alone, which may be luck"
    said = [f"On {summary['source']}; {of}."]
    if summary.get("fold") and summary.get("split"):
        folds = len({run["fold"] for row in summary["rows"] for run in row["runs"]})
        said.append(
            f"Cross-validated over {folds} folds by subject ({summary['subjects']} subjects): everybody is scored by the run "
            "that neither trained on them nor chose its epoch by them, and a seed's score is of all folds together."
        )
    elif summary.get("split") == "test":
        said.append(
            f"Scored on the test split ({summary['subjects']} subjects), by the model of the epoch that was best on the "
            "validation split alone; nothing was chosen on the test split."
        )
    elif summary.get("split") == "val":
        said.append(
            f"There is no test split with labels: scored on the validation split ({summary['subjects']} subjects), on which "
            "the best epoch was chosen too, so these numbers flatter."
        )
    said += [*_conditions(summary), *_options(summary)]
    names = [name for name in metrics_in(summary) if name != "score"]
    if len(names) > 1:
        said.append(f"The mean is of {', '.join(names)}; parameters are those of the fusion.")
    if any((row["difference"] or {}).get("low") is not None for row in summary["rows"]):
        drawn = "subjects and seeds" if len(summary["seeds"]) > 1 else "subjects"
        few = "" if summary["subjects"] >= _FEW else f"; of {summary['subjects']} subjects they are too narrow"
        said.append(f"Differences are paired by seed; intervals by bootstrap over {drawn} ({summary['draws']} draws){few}.")
    elif any(row["difference"] for row in summary["rows"]):
        said.append("Differences are paired by seed; without two subjects there is no interval.")
    if any(row["ms_per_step"] is not None for row in summary["rows"]):
        size = summary["experiment"]["train"]["batch_size"]
        said.append(
            f"ms/step: a training step without backbones on {size} windows, the rows by turns, on {summary['device']}, float32."
        )
    return " ".join(said)


def _conditions(summary: dict[str, Any]) -> list[str]:
    """Under which conditions the test split was read, and how often that was."""
    said = [f"{name}: {', '.join(own['options'])}" for name, own in summary["conditions"].items()]
    found = []
    if said:
        found.append(f"Conditions are other options of the same test split, for the same models ({'; '.join(said)}).")
    looks = len(summary["looked_at"])
    if looks > 1 and summary.get("split") == "test":
        found.append(
            f"The test split was read {looks} times, as it is and under each condition that was ever asked for in this folder: "
            f"{looks} looks at the same people."
        )
    return found


def _options(summary: dict[str, Any]) -> list[str]:
    """What a row's fusion is where its name does not say it, and its options."""
    found = []
    for row in summary["rows"]:
        options = ", ".join(f"{key}={value}" for key, value in row.get("options", {}).items())
        if row.get("fusion", row["name"]) != row["name"]:
            found.append(f"{row['name']} is {row['fusion']}{' with ' if options else ''}{options}.")
        elif options:
            found.append(f"{row['name']} has {options}.")
    return found


def to_markdown(summary: dict[str, Any]) -> str:
    """Table and how to read it."""
    header, rows = columns_of(summary)
    return f"{table(header, rows)}\n\n{reading(summary)}\n"


def to_csv(summary: dict[str, Any]) -> str:
    """A line for each row, numbers in full; empty where there is none."""
    file = io.StringIO()
    metrics = next((list(row["metrics"]) for row in summary["rows"] if row["metrics"]), [])
    # The test split as it is has no name before its columns.
    under = {"": "", **{name: f"{name}:" for name in summary["conditions"]}}
    header = ["kind", "name", "seeds"]
    for prefix in under.values():
        header += [f"{prefix}{name}.{part}" for name in (*metrics, "difference") for part in ("mean", "sd")]
        header += [f"{prefix}difference.low", f"{prefix}difference.high"]
    header += ["baseline", "fusion_parameters", "trained_parameters", "ms_per_step", "split", "error"]
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    for row in summary["rows"]:
        count = row["parameters"] or {}
        cells = [row["kind"], row["name"], row["metrics"]["score"]["seeds"] if row["metrics"] else 0]
        for name in under:
            own = row["conditions"][name] if name else row
            found, gain = own["metrics"] or {}, own["difference"] or {}
            cells += [found.get(metric, {}).get(part) for metric in metrics for part in ("mean", "sd")]
            cells += [gain.get(part) for part in ("mean", "sd", "low", "high")]
        cells += [summary["baseline"], count.get("fusion"), count.get("trained"), row["ms_per_step"]]
        writer.writerow([*cells, summary.get("split"), failure_of(row, summary)])
    return file.getvalue()


def with_sd(found: dict[str, Any], *, sign: bool = False) -> str:
    """`0.846 (0.009)`; of a single seed without the brackets."""
    if found["mean"] is None:
        return "not defined"
    text = f"{found['mean']:{'+' if sign else ''}.3f}"
    return text if found["sd"] is None else f"{text} ({found['sd']:.3f})"


def _gain(found: dict[str, Any]) -> list[str]:
    gain = found["difference"]
    return [_NOTHING, _NOTHING] if gain is None else [with_sd(gain, sign=True), _interval(gain)]


def _interval(gain: dict[str, Any]) -> str:
    return _NOTHING if gain["low"] is None else f"[{gain['low']:+.3f}, {gain['high']:+.3f}]"
