"""A corpus' clips as prepared rows for the inputs of a model: media decoded once and cached, labels read anew each time.

Media are prepared in chunks of a few clips with a cache each, so that an interrupted preparation goes on with the chunk it was
in and folds share what is there. Splits are prepared when they are asked for.
"""

from __future__ import annotations

import functools
import inspect
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from affectzoo.config import ModelConfig, SignalInput
from affectzoo.data.corpus import Corpus, is_corpus, options_of
from affectzoo.data.corpus_labels import ANNOTATION_COLUMNS, LabelPlan
from affectzoo.data.corpus_media import CorpusMedia
from affectzoo.data.folds import FoldConfig, fold_of
from affectzoo.data.load import WHOLE, report_problems, split_rows
from affectzoo.data.prepared import arrow_features, step_layout
from affectzoo.data.rendered_windows import one_thread
from affectzoo.data.say import say
from affectzoo.data.schema import Clip
from affectzoo.data.signals import signal_inputs, signal_steps, steps_covered
from affectzoo.data.table import from_row, read_table
from affectzoo.errors import ConfigError, DataError, PluginError


class PreparedSplits(Mapping[str, Any]):
    """Split -> `datasets.Dataset` of prepared rows, prepared when first asked for."""

    def __init__(self, prepare: Mapping[str, Callable[[], Any]]) -> None:
        self._prepare = prepare
        self._ready: dict[str, Any] = {}

    def __getitem__(self, split: str) -> Any:
        if split not in self._ready:
            self._ready[split] = self._prepare[split]()
        return self._ready[split]

    def __contains__(self, split: object) -> bool:
        return split in self._prepare

    def __iter__(self) -> Iterator[str]:
        return iter(self._prepare)

    def __len__(self) -> int:
        return len(self._prepare)


def builder_of(target: Any) -> Callable[..., Mapping[str, Any]]:
    """What a dataset's spec names, as the function that prepares rows: `(config, **options)` to split -> rows.

    A loader's takes the loader's own options and those of `build`; where the loader has an option `targets` and none are
    given, it gets the model's.

    Raises:
        PluginError: the loader has an option of a name that is taken.
    """
    if not is_corpus(target):
        return target
    own = options_of(target)
    common = {
        name: parameter
        for name, parameter in inspect.signature(build).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    taken = [name for name in own if name in common or name == "config"]
    if taken:
        raise PluginError(f"the loader {target.__name__} has an option {taken[0]!r}, which every dataset has; rename it")

    def prepare(config: ModelConfig, **options: Any) -> Mapping[str, Any]:
        given = {name: value for name, value in options.items() if name not in common}
        if "targets" in own and given.get("targets") is None:
            given["targets"] = config.targets
        return build(target(**given), config, **{name: value for name, value in options.items() if name in common})

    keyword = inspect.Parameter.KEYWORD_ONLY
    prepare.__signature__ = inspect.Signature(  # pyright: ignore[reportFunctionMemberAccess]
        [
            inspect.Parameter("config", inspect.Parameter.POSITIONAL_OR_KEYWORD),
            *(parameter.replace(kind=keyword) for parameter in own.values()),
            *common.values(),
        ]
    )
    return prepare


def build(
    corpus: Corpus,
    config: ModelConfig,
    *,
    fold: FoldConfig | dict[str, Any] | None = None,
    rescale: bool = False,
    detector: str = "auto",
    workers: int = 1,
    cache_dir: str | None = None,
) -> PreparedSplits:
    """Prepare a corpus for a model's inputs; a second call for the same media reads the cache.

    What is left out, masked or not valid is said on standard error.

    Args:
        corpus: what to prepare.
        config: decides modalities, inputs, the time axis and which labels are read.
        fold: `{folds: 5, number: 0}`: splits by subject instead of the official ones.
        rescale: map a target's range in the corpus linearly onto the model's.
        detector: `auto`, or a detector's name; `full-frame` for pictures that are faces already.
        workers: processes that read labels and decode.
        cache_dir: None is the `datasets` library's own.

    Raises:
        DataError: the corpus does not fit the model, has no splits, or nothing in it can be used.
        ConfigError: `workers` under 1, or a fold that cannot be.
    """
    if workers < 1:
        raise ConfigError(f"workers must be at least 1, not {workers}")
    chosen = fold_of(fold)
    labels = LabelPlan(config.targets, corpus, rescale=rescale)
    signals = signal_inputs(config, corpus)
    # From here on and not in the workers: a fork that found OpenCV's threads gone would wait for them without end.
    with one_thread():
        table = read_table(corpus, cache_dir=cache_dir, num_proc=workers)
    report_problems(table, corpus)
    splits = split_rows(table, corpus, chosen)
    if WHOLE in splits:
        raise DataError(
            f"{corpus.root} has no official splits; give data.config.fold={{folds: 5, number: 0}}, or folds: loso to leave one "
            "subject out"
        )
    media = CorpusMedia(table, config, detector=detector, workers=workers, cache_dir=cache_dir)
    rows = _Rows(corpus, config, table, labels, signals, media)
    return PreparedSplits({split: functools.partial(rows.prepare, split, numbers) for split, numbers in splits.items()})


class _Rows:
    """The clips of a corpus on their way to prepared rows."""

    def __init__(
        self,
        corpus: Corpus,
        config: ModelConfig,
        table: Any,
        labels: LabelPlan,
        signals: dict[str, SignalInput],
        media: CorpusMedia,
    ) -> None:
        self.corpus, self.table, self.labels, self.signals, self.media = corpus, table, labels, signals, media
        self.seconds = config.sequence.seconds
        self.stride = {
            name: int(np.prod(shape)) * np.dtype(dtype).itemsize
            for name, stream in config.streams.items()
            if name in media.inputs and stream.input is not None
            for shape, dtype in [step_layout(stream.input)]
        }

    def prepare(self, split: str, numbers: Sequence[int]) -> Any:
        """The rows of one split, given the numbers of its rows in the table.

        Raises:
            DataError: not one of its clips can be used.
        """
        media, places = self.media.rows(numbers)
        held = media.select_columns(["steps", "notes", "frame_times"])[:]
        notes: dict[str, list[str]] = {}
        lost: Counter[str] = Counter()
        kept, plain, counts = [], [], []
        for place, number in zip(places, numbers, strict=True):
            clip = from_row(self.table[number], self.corpus)
            said = json.loads(held["notes"][place])
            try:
                count = self._steps(clip, held["steps"][place], said)
                times = np.frombuffer(held["frame_times"][place], np.float64)
                row = self.labels.columns(clip, count, self.seconds, times, lost)
            except DataError as error:
                say(f"skipped: {clip.clip_id}: {error}")
                continue
            for note in said:
                notes.setdefault(note, []).append(clip.clip_id)
            kept.append(place)
            plain.append({**row, **self._signal_columns(clip, count)})
            counts.append(count)
        for note, clips in notes.items():
            say(f"{clips[0] if len(clips) == 1 else f'{len(clips)} clips of {split}, {clips[0]} among them'}: {note}")
        if not kept:
            raise DataError(f"none of the {len(numbers)} clips of the split {split} can be used; the lines above say why")
        if len(kept) < len(numbers):
            say(f"{len(numbers) - len(kept)} of {len(numbers)} clips of {split} are skipped")
        for what, many in lost.items():
            if many:
                say(f"{self.corpus.root}, {split}: {many} {what}")
        steps = [held["steps"][place] for place in kept]
        return self._beside(media, kept, plain, counts if counts != steps else None)

    def _steps(self, clip: Clip, of_media: int, notes: Sequence[str]) -> int:
        """How many sub-sequences a clip has: as many as its media and its signals, the longer of them, fill.

        Raises:
            DataError: neither is there.
        """
        given = [clip.signals[name] for name in self.signals if name in clip.signals]
        count = max([of_media, *(steps_covered(signal.times_s, self.seconds) for signal in given)])
        if not count:
            raise DataError("; ".join(notes) or "it has nothing that this model takes")
        if not of_media and clip.track is not None and clip.track.unit == "s":
            count = max(count, steps_covered(np.asarray(clip.track.times) - (clip.start_s or 0), self.seconds))
        return count

    def _signal_columns(self, clip: Clip, count: int) -> dict[str, bytes]:
        columns: dict[str, bytes] = {}
        for name, given in self.signals.items():
            sampled, present = signal_steps(clip.signals.get(name), given, count, self.seconds)
            columns |= {f"input.{name}": sampled.tobytes(), f"present.{name}": present.tobytes()}
        return columns

    def _beside(self, media: Any, kept: Sequence[int], plain: list[dict[str, Any]], counts: Sequence[int] | None) -> Any:
        """Plain columns beside the media at the places `kept`, made as long as `counts` where these are given."""
        from datasets import Dataset, Features, Value, concatenate_datasets

        binary = dict.fromkeys(ANNOTATION_COLUMNS, Value("large_binary"))
        features = Features({**arrow_features(list(self.signals)), **binary, "extra": Value("string")})
        if not self.media.inputs:
            return Dataset.from_list(plain, features=features)
        media = media.remove_columns(["clip_id", "steps", "fps", "notes", "frame_times"])
        if counts is not None:
            # Where signals go on after the media, these are written once more, masked to the end.
            options = {"counts": list(counts), "stride": self.stride}
            longer = media.select(kept).map(_pad, with_indices=True, fn_kwargs=options, features=media.features)
            return concatenate_datasets([Dataset.from_list(plain, features=features), longer], axis=1)
        # Selecting before rows are put side by side would copy all media.
        blank = {name: "" if feature.dtype == "string" else b"" for name, feature in features.items()}
        own = dict(zip(kept, plain, strict=True))
        known = Dataset.from_list([own.get(place, blank) for place in range(len(media))], features=features)
        return concatenate_datasets([known, media], axis=1).select(kept)


def _pad(row: dict[str, Any], number: int, counts: Sequence[int], stride: Mapping[str, int]) -> dict[str, bytes]:
    columns: dict[str, bytes] = {}
    for name, size in stride.items():
        columns[f"input.{name}"] = row[f"input.{name}"].ljust(counts[number] * size, b"\0")
        columns[f"present.{name}"] = row[f"present.{name}"].ljust(counts[number], b"\0")
    return columns
