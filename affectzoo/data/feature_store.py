"""A folder of backbone features, and the dataset `features` that reads it.

`store.json` says what made the features: backbones with a digest of their weights, dataset, seconds, targets. Beside it
`<split>/NNNNN.arrow` are Arrow IPC streams of a few clips each, which are mapped and never copied. A row is one of
`affectzoo.data.prepared` with `feature.<modality>` (float32 `[n, D]`) for `input.<modality>`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from affectzoo.config import ComponentConfig, DataConfig, ModelConfig, StreamInput, StrictConfig, TargetConfig
from affectzoo.errors import CheckpointError, DataError
from affectzoo.files import replacing, write_json

if TYPE_CHECKING:
    from torch import nn

    from affectzoo.model.affect_model import AffectModel

STORE_FILE = "store.json"
SCHEMA_VERSION = 1
#: Key of an Arrow file's metadata that holds `StoreConfig.digest`.
_DIGEST_KEY = b"affectzoo.features"


class StoredStream(StrictConfig):
    """What made the features of one modality; `weights` is `weights_digest` of the backbone, `feature_dim` is D."""

    backbone: ComponentConfig
    input: StreamInput
    feature_dim: int = Field(gt=0)
    weights: str


class StoredSplit(StrictConfig):
    """Number of clips, and `affectzoo.data.windows.fingerprint` of their labels."""

    clips: int = Field(ge=0)
    fingerprint: str


class StoreConfig(StrictConfig):
    """What `store.json` holds: the features of another such description are other features.

    Attributes:
        streams: modality -> what made its features.
        seconds: of a sub-sequence.
        targets: in the order of the columns of the labels.
        provider, data: who provides the dataset, and the dataset with all its arguments.
        splits: split -> what is in it; file i holds the i-th `clips_per_file` clips.
    """

    schema_version: int = SCHEMA_VERSION
    streams: dict[str, StoredStream]
    seconds: float
    targets: tuple[TargetConfig, ...]
    provider: str
    data: DataConfig
    splits: dict[str, StoredSplit]
    clips_per_file: int = Field(gt=0)

    @property
    def digest(self) -> str:
        """SHA-256 of all of it but the temperatures of targets, which no feature depends on."""
        whole = self.to_json()
        whole["targets"] = _without_temperature(whole["targets"])
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()

    def files(self, split: str) -> list[range]:
        """The numbers of the clips in each file of a split."""
        clips, size = self.splits[split].clips, self.clips_per_file
        return [range(start, min(start + size, clips)) for start in range(0, clips, size)]


def build(config: ModelConfig, *, folder: str) -> dict[str, Any]:
    """The dataset `features`: what `affectzoo features` wrote into `folder`, for a model with the same backbones.

    A model may use some of the stored modalities only. Weights are checked by `check_weights`.

    Returns:
        Split -> `datasets.Dataset` of rows of features, mapped from the files.

    Raises:
        DataError: the folder is no store, or not complete, or was made for something else than `config` asks for.
    """
    import pyarrow as pa
    from datasets import Dataset, concatenate_datasets

    path = Path(folder)
    store = read_store(path)
    absent = [name for name in config.streams if name not in store.streams]
    if absent:
        raise DataError(f"{path} holds features of {', '.join(store.streams)}; this model wants {absent[0]!r} too")
    difference = first_difference(_asked(store, config.streams), _asked(config, config.streams), "in this model")
    if difference:
        raise DataError(f"{path} holds features of something else: {difference}; extract them with the model's settings")
    rows = {}
    for split in store.splits:
        parts = []
        for number, clips in enumerate(store.files(split)):
            file = feature_file(path, split, number)
            try:
                digest, part = _digest_in(file), Dataset.from_file(str(file))
            except (OSError, pa.ArrowInvalid) as error:
                raise DataError(_incomplete(file)) from error
            if len(part) != len(clips) or digest != store.digest:
                raise DataError(_incomplete(file))
            parts.append(part)
        if parts:
            rows[split] = concatenate_datasets(parts)
    return rows


def check_weights(folder: str | Path, model: AffectModel) -> None:
    """Refuse a model whose backbones hold other weights than those that made the features in `folder`.

    Raises:
        CheckpointError: names the modality.
        DataError: the folder is no store.
    """
    store = read_store(Path(folder))
    for name, backbone in model.backbones.items():
        if name not in store.streams or weights_digest(backbone) != store.streams[name].weights:
            raise CheckpointError(
                f"{folder}: its features of {name} come from other weights than this model's backbone; start from the weights "
                "that made them (init), or extract the features again"
            )


def weights_digest(module: nn.Module) -> str:
    """SHA-256 over names, shapes, dtypes and bytes of the state, in the order of the names."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {list(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def read_store(folder: Path) -> StoreConfig:
    """The description of the features in `folder`.

    Raises:
        DataError: there is none, or it cannot be read.
    """
    path = folder / STORE_FILE
    if not path.is_file():
        raise DataError(f"{folder} holds no {STORE_FILE}, so it is no folder of features; `affectzoo features` writes one")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise DataError(f"{path} cannot be read: {error}; extract the features again into another folder") from error
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version != SCHEMA_VERSION:
        raise DataError(
            f"{path} has schema version {version}, this affectzoo reads {SCHEMA_VERSION}; extract the features again into "
            "another folder"
        )
    return StoreConfig.parse(data, where=str(path))


def open_store(folder: Path, wanted: StoreConfig) -> StoreConfig:
    """The store to write in `folder`: `wanted`, or what is there already where that is the same.

    Splits are compared only where `wanted` has any: their labels are not known before the data are prepared.

    Raises:
        CheckpointError: it holds other features; names the first difference.
        DataError: its `store.json` cannot be read.
    """
    if not (folder / STORE_FILE).is_file():
        return wanted
    held = read_store(folder)
    there = held if wanted.splits else held.model_copy(update={"splits": {}})
    difference = first_difference(_plain(there.to_json()), _plain(wanted.to_json()), "now")
    if difference:
        raise CheckpointError(f"{folder} holds other features: {difference}; choose another --out")
    return held


def write_store(folder: Path, store: StoreConfig) -> None:
    """Write `store.json`, where the folder does not hold it already."""
    if not (folder / STORE_FILE).is_file():
        write_json(folder / STORE_FILE, store.to_json())


def feature_file(folder: Path, split: str, number: int) -> Path:
    """Where the file `number` of a split is."""
    return folder / split / f"{number:05d}.arrow"


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]], store: StoreConfig) -> None:
    """Write one file of rows: the plain columns of `ClipRow.to_arrow` with `feature.<modality>` `[n, D]` float32."""
    import pyarrow as pa

    schema = _schema(store).with_metadata({_DIGEST_KEY: store.digest.encode()})
    columns = {name: [row[name] for row in rows] for name in schema.names}
    for name in store.streams:
        columns[f"feature.{name}"] = [np.ascontiguousarray(f, np.float32).tobytes() for f in columns[f"feature.{name}"]]
    table = pa.Table.from_pydict(columns, schema=schema)
    with replacing(path) as temporary, pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        writer.write_table(table)


def is_whole(path: Path, clip_ids: Sequence[str], counts: Sequence[int], store: StoreConfig) -> bool:
    """Whether a file holds just these clips of `counts` sub-sequences, written for this store and to its end."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        digest = _digest_in(path)
        with pa.memory_map(str(path)) as file:
            table = pa.ipc.open_stream(file).read_all()
    except (OSError, pa.ArrowInvalid):
        return False
    if digest != store.digest or not table.schema.equals(_schema(store)):
        return False
    sizes = {"valid": 1, **{f"feature.{name}": 4 * stream.feature_dim for name, stream in store.streams.items()}}
    return table["clip_id"].to_pylist() == list(clip_ids) and all(
        pc.binary_length(table[name]).to_pylist() == [count * size for count in counts]  # pyright: ignore[reportAttributeAccessIssue]
        for name, size in sizes.items()
    )


def first_difference(held: Any, wanted: Any, here: str, key: str = "") -> str:
    """`key is X there and Y here` of the first place where two JSON values differ; empty where they are equal."""
    if not (isinstance(held, dict) and isinstance(wanted, dict)):
        return "" if held == wanted else f"{key} is {_short(held)} there and {_short(wanted)} {here}"
    for name in dict.fromkeys([*held, *wanted]):
        full = f"{key}.{name}".lstrip(".")
        if name not in wanted:
            return f"{full} is set there but not {here}"
        if name not in held:
            return f"{full} is set {here} but not there"
        difference = first_difference(held[name], wanted[name], here, full)
        if difference:
            return difference
    return ""


def _asked(given: StoreConfig | ModelConfig, names: Iterable[str]) -> dict[str, Any]:
    """What must be the same for a model to be trained on the features of a store."""
    seconds = given.seconds if isinstance(given, StoreConfig) else given.sequence.seconds
    whole = given.to_json()
    streams = {name: {part: whole["streams"][name][part] for part in ("backbone", "input")} for name in names}
    return _plain({"streams": streams, "seconds": seconds, "targets": whole["targets"]})


def _plain(whole: dict[str, Any]) -> dict[str, Any]:
    """Ready to be compared: targets by name, and without what a loaded model may differ in: plugin versions, temperatures."""
    streams = {
        name: {**stream, "backbone": {part: value for part, value in stream["backbone"].items() if part != "version"}}
        for name, stream in whole["streams"].items()
    }
    targets = {target["name"]: target for target in _without_temperature(whole["targets"])}
    return {**whole, "streams": streams, "targets": list(targets), "target": targets}


def _without_temperature(targets: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Of a head that was calibrated; labels and features know nothing of it."""
    return [{key: value for key, value in target.items() if key != "temperature"} for target in targets]


def _schema(store: StoreConfig) -> Any:
    import pyarrow as pa

    binary = ["times_s", "targets", "valid"] + [f"{part}.{name}" for name in store.streams for part in ("feature", "present")]
    return pa.schema([("clip_id", pa.string()), ("subject", pa.string()), *((name, pa.large_binary()) for name in binary)])


def _digest_in(path: Path) -> str:
    """The digest of the store that a file was written for; empty where it names none."""
    import pyarrow as pa

    with pa.memory_map(str(path)) as file:
        metadata = pa.ipc.open_stream(file).schema.metadata
    return (metadata or {}).get(_DIGEST_KEY, b"").decode(errors="replace")


def _incomplete(file: Path) -> str:
    return (
        f"{file} is missing or not whole; run `affectzoo features` with the same arguments again, which writes what is missing"
    )


def _short(value: Any, limit: int = 80) -> str:
    text = json.dumps(value)
    return text if len(text) <= limit else f"{text[:limit]}..."
