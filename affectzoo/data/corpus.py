"""What a loader implements: a corpus as delivered, from its files to clips.

    class Mine(affectzoo.Corpus):
        card = affectzoo.DatasetCard(...)
        targets = (affectzoo.TargetConfig.model_validate("valence"),)

        def scan(self):
            for path in sorted(self.root.glob("*.mp4")):
                yield affectzoo.Clip(clip_id=path.stem, subject=path.stem[:3], video=str(path), scores=...)

`affectzoo.load_dataset` gives its rows, `data.name` in a recipe trains on it.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import linecache
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Self

from affectzoo import __version__
from affectzoo.config import TargetConfig
from affectzoo.data.protocols import Protocol
from affectzoo.data.schema import SPLITS, Clip, unusable
from affectzoo.errors import ConfigError, DataError


@dataclass(frozen=True, kw_only=True)
class DatasetCard:
    """Where a corpus comes from and what may be done with it.

    Attributes:
        title: its name in full.
        licence: of the data, in words or SPDX; never defaulted.
        source: paper or page that describes it.
        how_to_obtain: what to do to get the files.
        layout: the delivered files, as the loader expects them under `root`.
        citation: BibTeX or a reference.
        protocol: how it is split and reported.
        metric: what is reported.
        checked: what the loader was tried on: the files themselves, or a miniature of their documented layout.
    """

    title: str
    licence: str
    source: str
    how_to_obtain: str
    layout: str
    citation: str
    protocol: str
    metric: str
    checked: str

    def __str__(self) -> str:
        return "\n".join(f"{field.name.replace('_', ' ')}: {getattr(self, field.name)}" for field in fields(self))


class Corpus(ABC):
    """A corpus in a folder.

    A loader states what it has, lists its clips with `scan`, and reads the labels of one with `read`. Listing must be quick:
    media are never opened. Whatever is found and cannot be used is yielded all the same, with `problem` set, so that as
    many things go out as came in.

    Attributes:
        card: where it comes from.
        targets: what clips may be labelled with, in ranges of their own.
        along: names of those that are labelled along time (`Clip.track`); the others are scores of whole clips.
        signals: modality -> number of channels, of what is delivered as numbers and not as media.
        extra: extra column -> type (`str`, `int`, `float` or `bool`).
        protocols: how it is reported.
        root: the folder.
        options: what its constructor was given; other options are another cache.

    Args:
        root: the folder as delivered.

    Raises:
        DataError: there is no such folder.
    """

    card: ClassVar[DatasetCard]
    targets: tuple[TargetConfig, ...] = ()
    along: tuple[str, ...] = ()
    signals: Mapping[str, int] = {}
    extra: Mapping[str, type] = {}
    protocols: ClassVar[tuple[Protocol, ...]] = ()
    options: Mapping[str, Any]
    __signature__: ClassVar[inspect.Signature]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # Or a loader that adds no option would seem to take what __new__ takes: anything.
        own = inspect.signature(cls.__init__)
        cls.__signature__ = own.replace(parameters=list(own.parameters.values())[1:], return_annotation=cls)

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        # Here and not in __init__, which loaders override; partial, since unpickling gives no arguments.
        self.options = dict(inspect.signature(cls).bind_partial(*args, **kwargs).arguments)
        return self

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).expanduser()
        if not self.root.is_dir():
            wrong = "is not a folder" if self.root.exists() else "does not exist"
            raise DataError(f"root: {self.root} {wrong}; give the folder that holds the corpus as delivered")

    @abstractmethod
    def scan(self) -> Iterator[Clip]:
        """Every clip, without labels that have a file of their own.

        Raises:
            DataError: the folder holds nothing of this corpus; the sentence says what was looked for.
        """

    def read(self, clip: Clip) -> Clip:
        """The clip with the labels of its `label_files`; a `DataError` becomes its `problem`."""
        return clip

    def clips(self) -> list[Clip]:
        """What `scan` finds, each id once.

        Raises:
            DataError: nothing was found, or the loader broke its contract.
        """
        seen: set[str] = set()
        found: list[Clip] = []
        for clip in self.scan():
            if clip.clip_id in seen:
                number = 2
                while f"{clip.clip_id} ({number})" in seen:
                    number += 1
                twin = unusable(f"{clip.clip_id} ({number})", f"there is already a clip {clip.clip_id}")
                seen.add(twin.clip_id)
                found.append(twin)
                continue
            if not clip.problem and (not clip.subject or clip.split not in ("", *SPLITS)):
                raise DataError(
                    f"{type(self).__name__}: clip {clip.clip_id!r} has no subject, or an unknown split {clip.split!r}"
                )
            seen.add(clip.clip_id)
            found.append(clip)
        if not any(not clip.problem for clip in found):
            why = f": {found[0].problem}" if found else ""
            raise DataError(
                f"{self.root} holds no clip of {self.card.title} that can be used{why}; it should look so: {self.card.layout}"
            )
        return found


def options_of(corpus: type[Corpus]) -> dict[str, inspect.Parameter]:
    """The options of a loader: the parameters of its constructor."""
    return dict(inspect.signature(corpus).parameters)


def is_corpus(target: Any) -> bool:
    """Whether what a `DatasetSpec` names is a loader (else it is a function that prepares rows for a model by itself)."""
    return isinstance(target, type) and issubclass(target, Corpus)


def digest_of(corpus: Corpus, clips: list[Clip]) -> str:
    """Changes whenever a clip, an option, a label file or the module of the loader does; media do not count.

    Raises:
        ConfigError: a clip holds what JSON does not know.
    """
    digest = hashlib.sha256(f"{type(corpus).__module__}.{type(corpus).__qualname__} {__version__}\n".encode())
    digest.update(_source_of(type(corpus)).encode())
    digest.update(json.dumps(dict(corpus.options), default=str, sort_keys=True).encode())
    for word in (corpus.targets, corpus.along, dict(corpus.signals), {k: v.__name__ for k, v in corpus.extra.items()}):
        digest.update(f"{word}\n".encode())
    stats: dict[str, list[int] | None] = {}
    for clip in clips:
        plain = {f.name: getattr(clip, f.name) for f in fields(clip) if f.name not in ("track", "signals")}
        for path in clip.label_files:
            if path not in stats:
                file = Path(path)
                stat = file.stat() if file.exists() else None
                stats[path] = None if stat is None else [stat.st_size, stat.st_mtime_ns]
        try:
            digest.update(json.dumps([plain, [stats[path] for path in clip.label_files]], default=dict).encode())
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"{type(corpus).__name__}: clip {clip.clip_id!r} holds what is no plain value: {error}"
            ) from error
        for given in (clip.track, *clip.signals.values()):
            for array in [] if given is None else [v for v in vars(given).values() if hasattr(v, "tobytes")]:
                digest.update(array.tobytes())
        for values in {} if clip.track is None else clip.track.values.values():
            digest.update(values.tobytes())
    return digest.hexdigest()


def _source_of(loader: type[Corpus]) -> str:
    """The text of the modules that define a loader and its parents; of what was typed at a prompt, none."""
    found = []
    for own in loader.__mro__[: loader.__mro__.index(Corpus)]:
        with suppress(OSError, TypeError):
            linecache.checkcache(inspect.getfile(own))  # a loader may have been edited and imported again
            found.append(inspect.getsource(sys.modules[own.__module__]))
    return "".join(found)
