"""Backbones of other models: what an experiment's `init` by modality takes over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from affectzoo.config import ModelConfig, StreamConfig
from affectzoo.data.feature_store import first_difference
from affectzoo.errors import ConfigError
from affectzoo.hub.resolve import resolve
from affectzoo.model.affect_model import AffectModel
from affectzoo.model.checkpoint import read_config


def fill_streams(model: Mapping[str, Any], init: Mapping[str, str]) -> dict[str, Any]:
    """A model as an experiment file has it, with the streams that `init` gives: backbone and input.

    What such a stream says itself of the two stays, and must be equal there; but `backbone.config.frames` may be another
    number of frames than there.

    Args:
        model: not parsed yet; its `streams` may lack those of `init`.
        init: modality -> model.

    Raises:
        ConfigError: a model without a stream of that name, a backbone or input other than there.
        AffectzooError: a model that cannot be found or read.
    """
    streams: dict[str, Any] = dict(model.get("streams") or {})
    for modality, name in init.items():
        if modality in streams and streams[modality] is None:
            raise ConfigError(f"init.{modality} has no effect: model.streams.{modality} is null; set init.{modality}=null too")
        there = stream_of(read_config(resolve(name).folder), modality, name)
        given = _as_mapping(streams.get(modality, {}))
        borrowed = _with_frames({part: there.to_json()[part] for part in ("backbone", "input")}, _frames_of(given))
        named = {part: given[part] for part in borrowed if given.get(part) is not None}
        if difference := first_difference(_at(borrowed, named), named, "in this experiment"):
            raise ConfigError(
                f"model.streams.{modality} is not that of {name}: {difference}; leave both out, or make them equal"
            )
        streams[modality] = {**given, **borrowed}
    return {**model, "streams": streams}


def take_backbones(model: AffectModel, init: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Copy the weights of backbones from other models, and say how many and from which commit.

    Raises:
        ConfigError: a modality that `model` or the other one lacks, or a backbone or input that differs.
        AffectzooError: a model that cannot be found or read.
    """
    for modality in init:
        if modality not in model.backbones:
            raise ConfigError(
                f"init names {modality!r}, and this model's streams are {', '.join(model.backbones)}; leave init.{modality} out"
            )
    sources: dict[str, AffectModel] = {}
    taken = 0
    for modality, name in init.items():
        found = resolve(name)
        source = sources.get(name) or AffectModel.from_folder(found.folder, dtype="float32")
        sources[name] = source
        there = backbone_and_input(stream_of(source.config, modality, name))
        here = backbone_and_input(model.config.streams[modality])
        if difference := first_difference(_with_frames(there, _frames_of(here)), here, "in this model"):
            raise ConfigError(f"the {modality} stream of {name} is not this model's: {difference}; make them equal")
        if _frames_of(there) != _frames_of(here):
            say(
                f"warning: the {modality} backbone of {name} was trained with frames={_frames_of(there)}, here it is fed "
                f"{_frames_of(here)} at a time"
            )
        before, now = source.config.sequence.seconds, model.config.sequence.seconds
        if before != now:
            say(f"warning: the {modality} backbone of {name} was trained on {before:g} s at a time, here it reads {now:g} s")
        state = source.backbones[modality].state_dict()
        try:
            model.backbones[modality].load_state_dict(state, strict=True)
        except RuntimeError as error:
            if _frames_of(there) == _frames_of(here):
                raise
            raise ConfigError(
                f"the weights of the {modality} backbone of {name} fit {_frames_of(there)} frames at a time, not "
                f"{_frames_of(here)}; leave frames out"
            ) from error
        commit = f" (commit {found.revision})" if found.revision else ""
        say(f"backbones.{modality} starts from {name}{commit}: {len(state)} tensors")
        taken += len(state)
    say(f"{len(model.state_dict()) - taken} of {len(model.state_dict())} tensors start anew")


def stream_of(config: ModelConfig, modality: str, name: str) -> StreamConfig:
    """The stream of a model called `name`.

    Raises:
        ConfigError: it has none of that name; says which it has.
    """
    if modality not in config.streams:
        raise ConfigError(f"init.{modality}: {name} has no stream {modality!r}, it has {', '.join(config.streams)}")
    return config.streams[modality]


def backbone_and_input(stream: StreamConfig) -> dict[str, Any]:
    """What must be equal for weights and preprocessing to fit; a plugin's version may differ, as in every loaded model."""
    whole = stream.to_json()
    return {"backbone": {key: whole["backbone"][key] for key in ("name", "config")}, "input": whole["input"]}


def _frames_of(stream: Any) -> Any:
    """What a stream's backbone says of the frames that it takes at once; None where it says nothing."""
    for part in ("backbone", "config", "frames"):
        stream = stream.get(part) if isinstance(stream, dict) else None
    return stream


def _with_frames(stream: dict[str, Any], frames: Any) -> dict[str, Any]:
    """A stream's backbone and input for so many frames at once; unchanged where it has no such number or `frames` is None."""
    if frames is None or _frames_of(stream) is None or (stream["input"] or {}).get("kind") != "frames":
        return stream
    backbone = {**stream["backbone"], "config": {**stream["backbone"]["config"], "frames": frames}}
    return {"backbone": backbone, "input": {**stream["input"], "frames": frames}}


def _as_mapping(stream: Any) -> dict[str, Any]:
    """A stream in full, whether it is given as a backbone's name, as a backbone, or as itself."""
    if isinstance(stream, str) or (isinstance(stream, dict) and "name" in stream):
        stream = {"backbone": stream}
    if not isinstance(stream, dict):
        return {"backbone": stream}  # no stream at all: the comparison says so
    backbone = stream.get("backbone")
    return {**stream, "backbone": {"name": backbone}} if isinstance(backbone, str) else stream


def _at(whole: Any, named: Any) -> Any:
    """Of a JSON value what stands at the keys of another."""
    if not (isinstance(whole, dict) and isinstance(named, dict)):
        return whole
    return {key: _at(whole[key], value) for key, value in named.items() if key in whole}
