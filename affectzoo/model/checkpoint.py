"""A model folder on disk: `config.json`, safetensors, card. Strict both ways; never a pickle.

Everything is written beside its final name and renamed, so that an interrupted save leaves the old files whole.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import save_torch_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from affectzoo.config import ModelConfig
from affectzoo.errors import CheckpointError

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
CARD_FILE = "README.md"

#: A config or an index is text written by a person or by us: anything longer or deeper is not read.
MAX_JSON_BYTES = 4_000_000
MAX_JSON_DEPTH = 64
#: About 100 bytes for each tensor: 160,000 of them.
MAX_HEADER_BYTES = 16_000_000
MAX_SHARDS = 1000

#: Everything that an earlier save may have left; a person's own `model-old.safetensors` is none of it.
_WEIGHTS = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?")

#: What an index may name: a file beside it, on every system.
_SHARD = re.compile(r"[\w-][\w.-]*\.safetensors")
#: A string, or a bracket outside of strings. A string without an end goes to the end of the text.
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)

_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
#: Name in a config -> dtype of the weights.
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def save_model(model: nn.Module, config: ModelConfig, folder: Path, *, card: str | None = None) -> Path:
    """Write a model; the dtype in the saved config is the weights' own. Returns the folder."""
    state = storable(model.state_dict())
    config = config.model_copy(update={"dtype": dtype_of(state)})
    if folder.exists() and not folder.is_dir():
        raise CheckpointError(f"{folder} is a file; give a folder to save into")
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(".saving-*"):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    # Inside the folder: surely the same file system, so that each rename is atomic.
    with tempfile.TemporaryDirectory(dir=folder, prefix=".saving-") as name:
        temporary = Path(name)
        save_torch_state_dict(state, temporary)
        (temporary / CONFIG_FILE).write_text(json.dumps(config.to_json(), indent=2) + "\n", encoding="utf-8")
        if card is not None:
            (temporary / CARD_FILE).write_text(card, encoding="utf-8")
        readable = (temporary / CONFIG_FILE).stat().st_mode  # safetensors writes files that only their owner may read
        fresh = {path.name for path in temporary.iterdir()}
        for path in sorted(temporary.iterdir()):
            path.chmod(readable)
            with path.open("rb") as file:
                os.fsync(file.fileno())
            path.replace(folder / path.name)
    # Shards of an earlier save would otherwise be read beside the new single file, or the other way round.
    for stale in folder.iterdir():
        if _WEIGHTS.fullmatch(stale.name) and stale.name not in fresh:
            stale.unlink()
    return folder


def dtype_of(state: Mapping[str, torch.Tensor]) -> str:
    """Name of the one dtype of all floating-point tensors.

    Raises:
        CheckpointError: there are several, none, or one that models are not saved in.
    """
    dtypes = {tensor.dtype for tensor in state.values() if tensor.is_floating_point()}
    names = [name for name, dtype in DTYPES.items() if dtype in dtypes]
    if len(dtypes) != 1 or not names:
        raise CheckpointError(f"a model is saved in one of {', '.join(DTYPES)}; this one mixes {sorted(map(str, dtypes))}")
    return names[0]


def storable(state: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Every tensor contiguous and in storage of its own.

    `save_torch_state_dict` drops all but one name of tied weights and refuses overlapping views. Written once for each
    name, they need no exception in a strict load.

    Raises:
        CheckpointError: something is no tensor.
    """
    apart: dict[str, torch.Tensor] = {}
    seen: set[int] = set()
    for name, tensor in state.items():
        if not isinstance(tensor, torch.Tensor):
            raise CheckpointError(f"{name} is a {type(tensor).__name__}, and weights are tensors: make it a buffer, or config")
        tensor = tensor.detach().contiguous()
        storage = tensor.untyped_storage()
        apart[name] = tensor.clone() if storage.data_ptr() in seen or storage.nbytes() != tensor.nbytes else tensor
        seen.add(storage.data_ptr())
    return apart


def read_config(folder: Path) -> ModelConfig:
    """The strict config of a model folder.

    Raises:
        CheckpointError: no folder, no config, or a file that is not JSON.
        ConfigError: an unknown key or a wrong value, named.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is not a folder; a saved model is a folder with {CONFIG_FILE} and {WEIGHTS_FILE}")
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise CheckpointError(f"{folder} holds no {CONFIG_FILE}, so it is not a saved affectzoo model")
    data = _read_json(path)
    # Files from elsewhere (transformers, timm) have a config.json too.
    if not isinstance(data, dict) or "streams" not in data:
        raise CheckpointError(f"{path} is not an affectzoo configuration: it has no 'streams'")
    return ModelConfig.parse(data, where=str(path))


def load_weights(model: nn.Module, folder: Path) -> None:
    """Fill a model from a folder; every tensor must be there, none left over, each of the right shape.

    Raises:
        CheckpointError: names the tensor or the file, and what is wrong with it.
    """
    tensors: dict[str, torch.Tensor] = {}
    for path in weight_files(folder):
        check_header(path)
        try:
            loaded = load_file(path)
        except (SafetensorError, OSError) as error:
            raise _invalid(path, error) from error
        twice = sorted(loaded.keys() & tensors.keys())
        if twice:
            raise CheckpointError(f"{folder}: tensor {twice[0]!r} stands in several shards{_and_more(twice)}")
        tensors.update(loaded)
    expected = model.state_dict()
    missing = sorted(expected.keys() - tensors.keys())
    extra = sorted(tensors.keys() - expected.keys())
    if missing:
        raise CheckpointError(f"{folder}: tensor {missing[0]!r} is missing from the weights{_and_more(missing)}")
    if extra:
        raise CheckpointError(f"{folder}: the weights hold {extra[0]!r}, which this model does not have{_and_more(extra)}")
    for name, tensor in expected.items():
        if tensors[name].shape != tensor.shape:
            raise CheckpointError(
                f"{folder}: tensor {name!r} has shape {list(tensors[name].shape)}, the config asks for {list(tensor.shape)}"
            )
        if tensors[name].dtype != tensor.dtype:
            raise CheckpointError(f"{folder}: tensor {name!r} is {tensors[name].dtype}, the config asks for {tensor.dtype}")
        if tensor.is_floating_point() and not bool(tensors[name].isfinite().all()):
            raise CheckpointError(f"{folder}: tensor {name!r} holds values that are not numbers; the training had failed")
    model.load_state_dict(tensors, strict=True)


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a folder: the single one, or the shards that its index names."""
    single, index = folder / WEIGHTS_FILE, folder / INDEX_FILE
    if single.is_file() and index.is_file():
        raise CheckpointError(f"{folder} holds both {WEIGHTS_FILE} and {INDEX_FILE}; delete the stale one")
    if single.is_file():
        return [single]
    if index.is_file():
        shards = listed_shards(index)
        for name in shards:
            if not (folder / name).is_file():
                raise CheckpointError(f"{folder} lacks the shard {name} that its index names")
        return [folder / name for name in shards]
    raise no_weights(str(folder), [path.name for path in folder.iterdir()])


def listed_shards(index: Path) -> list[str]:
    """Names of the files that an index lists, sorted; each a safetensors file beside it.

    Raises:
        CheckpointError: it lists none, too many, or something else.
    """
    data = _read_json(index)
    listed = data.get("weight_map") if isinstance(data, dict) else None
    if not isinstance(listed, dict) or not listed:
        raise CheckpointError(f"{index} names no weights")
    for name in listed.values():
        if not isinstance(name, str) or not _SHARD.fullmatch(name):
            raise CheckpointError(f"{index} names {name!r}, which is not a safetensors file in the same folder")
    shards = sorted(set(listed.values()))
    if len(shards) > MAX_SHARDS:
        raise CheckpointError(f"{index} names {len(shards)} shards, more than the {MAX_SHARDS} that are read")
    return shards


def no_weights(where: str, names: Iterable[str]) -> CheckpointError:
    """What to say of a place that holds neither a single file of weights nor an index."""
    pickles = sorted(name for name in names if name.endswith(_PICKLES))
    if pickles:
        return CheckpointError(
            f"{where} holds {pickles[0]}, a pickle; affectzoo reads safetensors only, because pickles run code"
        )
    return CheckpointError(f"{where} holds no {WEIGHTS_FILE}")


def check_header(path: Path) -> None:
    """Look at the length that a safetensors file gives its header, before anything reads the header.

    Raises:
        CheckpointError: it is longer than the file, or than any header is.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
    except OSError as error:
        raise _invalid(path, error) from error
    if size < 8:
        raise _invalid(path, f"it is {size} bytes long")
    if length > min(MAX_HEADER_BYTES, size - 8):
        limit = "the file" if length > size - 8 else f"the {MAX_HEADER_BYTES} bytes that are read"
        raise _invalid(path, f"its header would be {length} bytes, more than {limit}")


def _invalid(path: Path, reason: object) -> CheckpointError:
    return CheckpointError(f"{path} is not a valid safetensors file ({reason}); fetch or save it again")


def _read_json(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_JSON_BYTES + 1)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    if len(content) > MAX_JSON_BYTES:
        raise CheckpointError(f"{path} is larger than {MAX_JSON_BYTES} bytes and is not read")
    try:
        text = content.decode("utf-8")
        # Before anything that recurses sees it.
        if _depth(text) > MAX_JSON_DEPTH:
            raise CheckpointError(f"{path} is nested deeper than {MAX_JSON_DEPTH} levels and is not read")
        return json.loads(text)
    except ValueError as error:
        raise CheckpointError(f"{path} is not valid JSON: {error}") from error


def _depth(text: str) -> int:
    """How deep brackets are nested, outside of strings."""
    depth = deepest = 0
    for match in _BRACKETS.finditer(text):
        bracket = text[match.start()]
        if bracket in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif bracket in "]}":
            depth -= 1
    return deepest


def _and_more(names: list[str]) -> str:
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""
