"""What fusions are compared on: a recipe, a folder of features, or a dataset that is encoded once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from affectzoo.config import DataConfig, ExperimentConfig
from affectzoo.data.feature_store import STORE_FILE, check_weights, read_store
from affectzoo.errors import ConfigError
from affectzoo.hub.resolve import resolve
from affectzoo.model.affect_model import AffectModel
from affectzoo.train.experiment import apply_override, read_experiment
from affectzoo.train.extract import Encoders, encoders_of_experiment, encoders_of_model, extract
from affectzoo.train.splits import dataset_of, read_data
from affectzoo.train.start import backbones_anew, begins, config_of

#: The dataset that is compared on where none is named, how much of it, and the model whose backbones encode it.
RENDERED, BUNDLED = "rendered", "jca-rendered"
#: The dataset that reads a folder of features.
FEATURES = "features"
_RENDERED_DATA: dict[str, Any] = {
    "identities": {"train": 96, "val": 16, "test": 32},
    "clips_per_identity": 2,
    "workers": 2,
}
#: Of a comparison without a recipe: the second stage of recipes/jca-rendered.yaml.
_TRAIN: dict[str, Any] = {"epochs": 40, "batch_size": 32, "lr": 0.001, "weight_decay": 0.05, "modality_dropout": 0.1}
#: What a row decides, and the option that says it.
_DECIDED = {"model.fusion": "--fusions", "seed": "--seeds", "output": "--out", "name": "--out"}


def experiment_of(
    source: str,
    overrides: Sequence[str],
    output: Path,
    *,
    epochs: int | None = None,
    divided: bool = False,
    say: Callable[[str], None] = print,
) -> ExperimentConfig:
    """The experiment that all rows share; its fusion is a place to be filled.

    Args:
        source: an experiment file, a folder that `affectzoo features` wrote, or a dataset by name, whose features are then
            extracted into `output/features` with the backbones of `init`; so are those of an experiment whose `init` names a
            model for every modality and whose backbones are frozen.
        overrides: `dotted.key=value` of the experiment; of a dataset by name those of `data` are its own.
        output: where everything is written.
        epochs: instead of `train.epochs`.
        divided: whether folds are to be made, which features have none of: an experiment then keeps its own data.
        say: takes one line for the user.

    Raises:
        ConfigError: an override of what the rows decide, `init` is missing, or settings that fail.
        AffectzooError: the source or the model cannot be found or read, or features were made by other weights.
    """
    for override in overrides:
        key = override.partition("=")[0]
        option = _DECIDED.get(key) or ("--fusions" if key.startswith("model.fusion.") else None)
        if option:
            own = ", and fusions.NAME.key=value for its options" if option == "--fusions" else ""
            raise ConfigError(f"{key} differs from row to row, or is set for all: leave {override} out and use {option}{own}")
    overrides = [*overrides, *([] if epochs is None else [f"train.epochs={epochs}"])]
    # Not an override: a folder may be called 2026, which YAML takes for a number.
    experiment = _read(source, overrides, output, say).model_copy(update={"output": str(output)})
    if divided or not _encoded_once(experiment):
        return experiment
    encoders, whose = encoders_of_experiment(experiment, say=say), " and ".join(experiment.init_models)
    return experiment.model_copy(update={"data": _extracted(experiment.data, encoders, whose, output / "features", say)})


def _encoded_once(experiment: ExperimentConfig) -> bool:
    """Whether `init` by modality gives every backbone and training leaves backbones and what they are fed as they are."""
    settings = experiment.train
    raw = settings.augment.asked() or settings.mixup or settings.distil is not None or experiment.data.name == FEATURES
    frozen = all(begins(f"backbones.{name}", settings.freeze) for name in experiment.model.streams)
    return isinstance(experiment.init, dict) and frozen and not raw and not backbones_anew(experiment)


def _extracted(data: DataConfig, encoders: Encoders, whose: str, folder: Path, say: Callable[[str], None]) -> DataConfig:
    """The features of a dataset; what is there already stays."""
    say(f"features of {data.name} from the backbones of {whose}: {folder}")
    extract(data, encoders, folder, say=say)
    return DataConfig(name=FEATURES, config={"folder": str(folder)})


def _read(source: str, overrides: Sequence[str], output: Path, say: Callable[[str], None]) -> ExperimentConfig:
    path = Path(source).expanduser()
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return read_experiment(path, list(overrides))
    if (path / STORE_FILE).is_file():
        return _on_store(path, overrides)
    own = [override for override in overrides if override.startswith("data.")]
    rest = [override for override in overrides if override not in own]
    if source == RENDERED and _init_in(rest) is None:
        rest.append(f"init={BUNDLED}")
    return _on_store(_encoded(source, own, _init_in(rest), output / "features", say), rest)


def _init_in(overrides: Sequence[str]) -> str | None:
    """What `init=` says."""
    given = [override.partition("=")[2] for override in overrides if override.startswith("init=")]
    return given[-1] if given else None


def _encoded(source: str, overrides: Sequence[str], init: str | None, folder: Path, say: Callable[[str], None]) -> Path:
    """The folder with the features of a dataset; what is there already stays."""
    data = read_data(source)
    if init is None:
        raise ConfigError(f"which backbones encode {source}? say init=MODEL, or give an experiment file or features")
    whole: dict[str, Any] = {"name": data.name, "config": {**(_RENDERED_DATA if source == RENDERED else {}), **data.config}}
    for override in overrides:
        whole = apply_override(whole, override.removeprefix("data."))
    data = DataConfig.parse(whole, where=source)
    encoders = encoders_of_model(init)
    dataset_of(data, encoders.config)
    _extracted(data, encoders, init, folder, say)
    return folder


def _on_store(folder: Path, overrides: Sequence[str]) -> ExperimentConfig:
    """Fusion and head on stored features, in the shape of the model whose backbones made them."""
    init = _init_in(overrides)
    if init is None:
        raise ConfigError(f"{folder} holds features but not the backbones that made them: say whose they are, init=MODEL")
    store, model = read_store(folder), config_of(init).to_json()
    model["streams"] = {name: stream for name, stream in model["streams"].items() if name in store.streams}
    model["targets"] = [target.to_json() for target in store.targets]
    model["sequence"]["seconds"] = store.seconds
    # Any name would do: every row puts its own there.
    model["fusion"] = "concat" if len(model["streams"]) > 1 else None
    whole: dict[str, Any] = {
        "name": "bench",
        "model": model,
        "data": {"name": FEATURES, "config": {"folder": str(folder)}},
        "train": dict(_TRAIN),
    }
    for override in overrides:
        whole = apply_override(whole, override)
    whole["train"].setdefault("window_hop", max(1, int(whole["model"]["sequence"]["length"]) // 4))
    experiment = ExperimentConfig.parse(whole, where=str(folder))
    if len(experiment.model.streams) > 1:
        source = AffectModel.from_folder(resolve(init).folder, dtype="float32")
        for name in [name for name in source.backbones if name not in experiment.model.streams]:
            del source.backbones[name]
        check_weights(folder, source)
    return experiment
