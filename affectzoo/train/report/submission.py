"""Predictions of a split, labelled or not, in the format in which a challenge takes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from affectzoo.config import DataConfig, target_columns
from affectzoo.data.corpus import Corpus, options_of
from affectzoo.data.load import open_corpus
from affectzoo.errors import ConfigError, DataError, InputError
from affectzoo.registry import registry
from affectzoo.train.report.assess import accelerator_on
from affectzoo.train.report.compare import at_times
from affectzoo.train.report.postprocess import PostProcessing
from affectzoo.train.report.predicted import load_model, predict_part


def write_submission(
    name: str,
    data: DataConfig,
    path: Path,
    *,
    split: str = "test",
    post_processing: PostProcessing | None = None,
    device: str | None = None,
    batch_size: int = 16,
    workers: int = 0,
    advance: Callable[[int, int], None] | None = None,
) -> Path:
    """Predict every frame of a split and write what the corpus' challenge takes.

    Predictions of sub-sequences are interpolated linearly to the times of the frames, and held at both ends of a clip.

    Args:
        name: what `affectzoo.load` takes, or the folder of a run.
        data: a corpus whose loader has a `write_submission`.
        path: the file to write.
        split, post_processing, device, batch_size, workers, advance: as for `affectzoo.train.report.assess.assess`.

    Returns:
        `path`.

    Raises:
        ConfigError: the corpus has no challenge format.
        InputError: the model predicts other targets than the challenge asks for, or what the format does not take.
        DataError: nothing says when the frames of a clip are.
    """
    corpus = _corpus(data)
    loaded = load_model(name)
    config = loaded.model.config
    wanted, held = ([target.name for target in targets] for targets in (corpus.targets, config.targets))
    if not set(wanted) <= set(held):
        raise InputError(f"the challenge asks for {', '.join(wanted)}; {name} predicts {', '.join(held)}")
    accelerator = accelerator_on(device)
    predicted = predict_part(
        loaded, data, split, accelerator, delivered=True, batch_size=batch_size, workers=workers, advance=advance
    )
    done = post_processing or PostProcessing()
    steps = done(predicted.steps, predicted.times_s, config.sequence.seconds, config.targets)
    columns = [target_columns(config.targets)[target].start for target in wanted]
    frames: dict[str, np.ndarray] = {}
    for row, (clip_id, delivered) in enumerate(zip(predicted.clip_ids, predicted.delivered, strict=True)):
        times = delivered.frame_times_s
        if not len(times):
            raise DataError(f"{clip_id}: nothing says when its frames are, so there is no prediction for each")
        mine = steps.row.numpy() == row
        values = at_times(steps.prediction.numpy()[mine], predicted.times_s[mine], times, config.targets)
        frames[clip_id] = values[:, columns]
    return corpus.write_submission(frames, path)  # pyright: ignore[reportAttributeAccessIssue]


def _corpus(data: DataConfig) -> Corpus:
    """The corpus that `data` names, if its loader writes submissions."""
    entry = registry().find("dataset", data.name)
    target = entry.resolve()
    if not hasattr(target, "write_submission"):
        raise ConfigError(f"dataset {entry.name!r} of {entry.provider} has no challenge format to write (--submission)")
    return open_corpus(data.name, {key: value for key, value in data.config.items() if key in options_of(target)})
