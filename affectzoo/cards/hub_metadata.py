"""The YAML metadata of a README on the Hub: tags, licence, base model and the model-index made of metrics."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from affectzoo.cards.front import Metric
from affectzoo.cards.markdown import one_line

#: Identifiers that the Hub knows (https://huggingface.co/docs/hub/repositories-licenses); `other` needs a `license_name`.
HUB_LICENCES = frozenset(
    {
        "afl-3.0",
        "agpl-3.0",
        "apache-2.0",
        "artistic-2.0",
        "bigcode-openrail-m",
        "bigscience-bloom-rail-1.0",
        "bigscience-openrail-m",
        "bsd",
        "bsd-2-clause",
        "bsd-3-clause",
        "bsd-3-clause-clear",
        "bsl-1.0",
        "c-uda",
        "cc",
        "cc-by-2.0",
        "cc-by-2.5",
        "cc-by-3.0",
        "cc-by-4.0",
        "cc-by-nc-2.0",
        "cc-by-nc-3.0",
        "cc-by-nc-4.0",
        "cc-by-nc-nd-3.0",
        "cc-by-nc-nd-4.0",
        "cc-by-nc-sa-2.0",
        "cc-by-nc-sa-3.0",
        "cc-by-nc-sa-4.0",
        "cc-by-nd-4.0",
        "cc-by-sa-3.0",
        "cc-by-sa-4.0",
        "cc0-1.0",
        "cdla-permissive-1.0",
        "cdla-permissive-2.0",
        "cdla-sharing-1.0",
        "creativeml-openrail-m",
        "deepfloyd-if-license",
        "ecl-2.0",
        "epl-1.0",
        "epl-2.0",
        "etalab-2.0",
        "eupl-1.1",
        "eupl-1.2",
        "gemma",
        "gfdl",
        "gpl",
        "gpl-2.0",
        "gpl-3.0",
        "isc",
        "lgpl",
        "lgpl-2.1",
        "lgpl-3.0",
        "lgpl-lr",
        "llama2",
        "llama3",
        "llama3.1",
        "llama3.2",
        "llama3.3",
        "lppl-1.3c",
        "mit",
        "mpl-2.0",
        "ms-pl",
        "ncsa",
        "odbl",
        "odc-by",
        "ofl-1.1",
        "openrail",
        "openrail++",
        "osl-3.0",
        "other",
        "pddl",
        "postgresql",
        "unknown",
        "unlicense",
        "wtfpl",
        "zlib",
    }
)

#: SPDX identifier in lower case -> the Hub's, where lower case alone does not do it.
_SPDX = {"odbl-1.0": "odbl", "odc-by-1.0": "odc-by", "pddl-1.0": "pddl"}

_REPOSITORY = re.compile(r"(?P<repo>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(@[\w./-]+)?( \([0-9a-f]{40}\))?")


def metadata(
    *,
    name: str,
    licence: str | None,
    streams: Collection[str],
    targets: Sequence[str],
    tags: Iterable[str],
    metrics: Sequence[Metric],
    bases: Sequence[str] = (),
    caution: str = "",
) -> str:
    """The YAML between the two `---` of a README.

    Args:
        name: the model's, for the model-index.
        licence: SPDX identifier of the weights; None says nothing of one.
        streams: modalities; they decide the pipeline tag.
        targets: names of targets; a value of a metric that is named otherwise is the name of a score.
        tags: besides `affectzoo` and the targets.
        metrics: rows of the model-index.
        bases: each `org/name[@revision]` on the Hub becomes a `base_model`; what else is among them is left to the text.
        caution: a key of our own, which is shown whenever the model is used.
    """
    from huggingface_hub import EvalResult, ModelCardData

    task = pipeline_tag(streams)
    results = [
        EvalResult(
            task_type=task or "other",
            dataset_type=slug(row.dataset) or "unnamed",
            dataset_name=row.dataset,
            dataset_split=row.split,
            metric_type=_metric_type(row, key, targets),
            metric_name=f"{row.metric}: {key}" + (" (as published)" if row.reported_by else ""),
            metric_value=value.mean,
            source_url=row.reported_by if row.reported_by.startswith("https://") else None,
        )
        for row in metrics
        for key, value in row.values.items()
    ]
    repositories = [found["repo"] for found in map(_REPOSITORY.fullmatch, bases) if found]
    identifier = hub_licence(licence) if licence else None
    data = ModelCardData(
        library_name="affectzoo",
        pipeline_tag=task,
        base_model=repositories[0] if len(repositories) == 1 else repositories or None,
        tags=[tag for tag in map(slug, ["affectzoo", *targets, *tags]) if tag],
        model_name=name if results else None,
        eval_results=results or None,
        license=identifier,
        license_name=slug(licence) if licence and identifier == "other" else None,
        caution=one_line(caution) or None,
    )
    return data.to_yaml()


def pipeline_tag(streams: Collection[str]) -> str | None:
    """The Hub's task that fits best; None where none does."""
    if "visual" in streams:
        return "video-classification"
    return "audio-classification" if "audio" in streams else None


def hub_licence(spdx: str) -> str:
    """The Hub's identifier for an SPDX identifier; `other` where it knows none."""
    lower = re.sub(r"-(only|or-later)$", "", spdx.strip().lower())
    found = _SPDX.get(lower, lower)
    return found if found in HUB_LICENCES else "other"


def slug(text: str) -> str:
    """Lower case; letters and digits of any script, `.`, `+` and `-` alone."""
    return re.sub(r"[^\w.+]+|_", "-", text.lower()).strip("-")


def _metric_type(row: Metric, key: str, targets: Sequence[str]) -> str:
    """`ccc` of `CCC over all frames`, where values are targets; else the name of the score itself."""
    return slug(row.metric.split()[0] if key in targets else key) or "score"
