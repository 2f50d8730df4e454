"""Components by name: find the spec, check the config against the constructor, build, remember how it was built."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from packaging.version import InvalidVersion, Version
from torch import Tensor

from affectzoo.config import ComponentConfig
from affectzoo.errors import AffectzooError, ConfigError, PluginError, UnknownNameError
from affectzoo.model.contracts import Backbone, Block, Component, Fusion, Temporal
from affectzoo.registry import SESSION, Entry, check_arguments, registry
from affectzoo.registry.manager import ALLOW_VARIABLE, BLOCK_VARIABLE

#: Name of a distribution, and a version of it, as installers take them.
_INSTALLABLE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?(==[A-Za-z0-9][A-Za-z0-9.+!_-]*)?")


def create_backbone(name: str, **config: Any) -> Backbone:
    """A backbone by registry name, such as `timm/resnet18`; `config` goes to its constructor."""
    return build("backbone", _named(name, config))


def create_fusion(name: str, dims: Mapping[str, int], seq_len: int, **config: Any) -> Fusion:
    """A fusion by registry name for modalities of the given feature dims and windows of `seq_len` sub-sequences."""
    return build("fusion", _named(name, config), dims=dict(dims), seq_len=seq_len)


def create_temporal(name: str, in_dim: int, **config: Any) -> Temporal:
    """A temporal encoder by registry name for features of `in_dim`."""
    return build("temporal", _named(name, config), in_dim=in_dim)


def create_block(name: str | Mapping[str, Any], in_channels: int, width: int, stride: int = 1, **config: Any) -> Block:
    """A spatiotemporal block by registry name, or by `{name, distribution, version}` as a saved network holds it."""
    return build("block", _named(name, config), in_channels=in_channels, width=width, stride=stride)


def create_detector(name: str, **config: Any) -> Any:
    """A face detector by registry name."""
    entry = find_component("detector", _named(name, {}))
    target = entry.resolve()
    return _construct(target, check_arguments(target, {}, config, f"detector {entry.name!r}"), entry)


def _named(name: str | Mapping[str, Any], config: Mapping[str, Any]) -> ComponentConfig:
    given = {"name": name} if isinstance(name, str) else dict(name)
    if "config" in given:
        raise ConfigError(f"{given.get('name')}: keywords go beside the name (into block_config of a trunk), not into 'config'")
    return ComponentConfig.parse({**given, "config": _with_lists(config)}, where=str(given.get("name", "component")))


def _with_lists(value: Any) -> Any:
    """Tuples as the lists that JSON has."""
    if isinstance(value, Mapping):
        return {key: _with_lists(item) for key, item in value.items()}
    return [_with_lists(item) for item in value] if isinstance(value, list | tuple) else value


def build(kind: str, config: ComponentConfig, **given: Any) -> Any:
    """Build one `nn.Module` component.

    Args:
        kind: registry kind.
        config: name, optionally the distribution that must provide it, and keyword arguments.
        given: arguments that the surrounding model decides (`dims`, `seq_len`, `in_dim`).

    Returns:
        The component, with `component.component` holding what rebuilds it.

    Raises:
        UnknownNameError, NameCollisionError, PluginError: the name does not lead to one working class.
        ConfigError: an unknown, missing or non-JSON argument, or one that the component refuses.
    """
    return build_entry(find_component(kind, config), config, **given)


def build_entry(entry: Entry, config: ComponentConfig, **given: Any) -> Any:
    """As `build`, of an entry that was found already."""
    kind = entry.kind
    target = entry.resolve()
    if entry.variant:
        given = {"variant": entry.variant, **given}
    where = f"{kind} {entry.name!r}"
    try:
        arguments = check_arguments(target, given, dict(config.config), where)
        module = _construct(target, {**given, **arguments}, entry)
    except ConfigError as error:
        if _is_older(entry.version, config.version):
            raise PluginError(f"{_too_old(kind, config, entry.provider)}. It says: {error}") from error
        raise
    _check_contract(kind, module, f"{where} of {entry.provider}")
    saved = arguments if module.saved_config is None else module.saved_config
    module.component = ComponentConfig(
        name=entry.name, distribution=entry.distribution, version=entry.version or None, config=_as_json(saved, where)
    )
    return module


def called(kind: str, module: Any) -> str:
    """How a message names a built component: `the fusion 'mine' of affect-extras 1.0`."""
    component = module.component
    if component is None:  # made by hand
        return f"the {kind} {type(module).__name__}"
    return f"the {kind} {component.name!r} of {component.distribution} {component.version or ''}".rstrip()


def shaped(kind: str, module: Any, y: Any, wanted: Sequence[Any]) -> Tensor:
    """`y` where it is a tensor of the shape that `module` owes; another could be broadcast into nonsense further on.

    Raises:
        PluginError: it is not; the message names component, distribution and version.
    """
    if isinstance(y, Tensor) and y.shape == tuple(wanted):
        return y
    given = f"gave a tensor of {list(y.shape)}" if isinstance(y, Tensor) else f"returned a {type(y).__name__}, not a tensor"
    raise PluginError(f"{called(kind, module)} {given}, and [{', '.join(map(str, wanted))}] was due")


def _construct(target: Any, arguments: Mapping[str, Any], entry: Entry) -> Any:
    """Call the target; what it refuses by an exception of its own becomes one sentence."""
    try:
        return target(**arguments)
    except AffectzooError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}"
        raise ConfigError(f"{entry.kind} {entry.name!r} of {entry.provider} could not be built: {reason}") from error


def find_component(kind: str, config: ComponentConfig) -> Entry:
    """The entry that a component config names; a recorded distribution must be the one that provides it."""
    if config.distribution is None:
        return registry().find(kind, config.name)
    if config.distribution == SESSION:
        try:
            return registry().find(kind, config.name, SESSION)
        except UnknownNameError as error:
            raise PluginError(_unregistered(kind, config.name)) from error
    try:
        return registry().find(kind, config.name, config.distribution)
    except UnknownNameError as error:
        raise PluginError(_absent(kind, config)) from error


def _unregistered(kind: str, name: str) -> str:
    """Why a component of a script or notebook is not there, and what to do."""
    need = f"this model uses the {kind} {name!r}, which was registered in a script or notebook"
    try:
        entry = registry().find(kind, name)
    except UnknownNameError:
        return (
            f"{need} and is not part of an installed plugin; run the code with @affectzoo.register_{kind}({name!r}) first, "
            "then load again"
        )
    # What began in a notebook often becomes a plugin; then the name can no longer be registered.
    return (
        f"{need}; {entry.provider} now provides a {kind} of that name: if it is the same one, write "
        f'"distribution": "{entry.distribution}" instead of "{SESSION}" in the config.json of the model'
    )


def _absent(kind: str, config: ComponentConfig) -> str:
    """Why no plugin of the recorded distribution gives the component, and what to do: missing, broken, blocked or too old."""
    wanted = _wanted(config)
    need = f"this model needs the {kind} {config.name!r} of {wanted}"
    if not _INSTALLABLE.fullmatch(wanted):  # a file's words never become part of a command
        return f"this model needs the {kind} {config.name!r} of {wanted!r}, which is not the name of a distribution"
    records = [r for r in registry().records if r.distribution == config.distribution]
    if not records:
        return f"{need}, which is not installed; if you trust it: pip install {wanted}"
    refused = [r.reason for record in records for r in record.refused if (r.kind, r.name) == (kind, config.name)]
    if refused:
        return f"{need}; it is installed, but not loaded: {refused[0]}"
    # A distribution may have several plugins: one that is not loaded may be the one that is needed.
    record = next((r for r in records if r.status != "loaded"), records[0])
    if record.status == "failed":
        cause = " ".join(record.error.split())
        return f"{need}; {record.label} is installed but broken: {cause}; mend it, or: pip install {wanted}"
    if record.status == "blocked":
        variable = BLOCK_VARIABLE if BLOCK_VARIABLE in record.error else ALLOW_VARIABLE
        return f"{need}, which is installed but blocked: {record.error}; unset {variable}, or change it, to allow it"
    if _is_older(record.version, config.version):
        return _too_old(kind, config, record.label)
    return f"{need}; the installed {record.label} does not provide it: pip install {wanted}"


def _too_old(kind: str, config: ComponentConfig, installed: str) -> str:
    wanted = _wanted(config)
    need = f"this model needs the {kind} {config.name!r} of {wanted}"
    return f"{need}; the installed {installed} is too old: pip install {wanted}"


def _wanted(config: ComponentConfig) -> str:
    return f"{config.distribution}=={config.version}" if config.version else f"{config.distribution}"


def _is_older(installed: str, wanted: str | None) -> bool:
    """Whether the installed version is before the one that a model was saved with; False where either cannot be compared."""
    try:
        return wanted is not None and Version(installed) < Version(wanted)
    except InvalidVersion:
        return False


#: Registry kind -> base class and what an instance must say about itself.
_CONTRACTS: dict[str, tuple[type[Component], tuple[str, ...]]] = {
    "backbone": (Backbone, ("feature_dim", "input")),
    "block": (Block, ("out_channels",)),
    "temporal": (Temporal, ("out_dim",)),
    "fusion": (Fusion, ("out_dim",)),
}
#: Those that count features or channels.
_WIDTHS = ("feature_dim", "out_channels", "out_dim")


def _check_contract(kind: str, module: Any, where: str) -> None:
    base, attributes = _CONTRACTS.get(kind, (Component, ()))
    if not isinstance(module, base):
        raise PluginError(f"{where} is a {type(module).__name__}; it must derive from affectzoo.{base.__name__}")
    for attribute in attributes:
        if not hasattr(module, attribute):
            raise PluginError(f"{where}: its constructor must set self.{attribute}")
        given = getattr(module, attribute)
        if attribute in _WIDTHS and (not isinstance(given, int) or isinstance(given, bool) or given < 1):
            raise PluginError(f"{where}: self.{attribute} must be a whole number from 1 up, not {given!r}")


def _as_json(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    try:
        return json.loads(json.dumps(dict(config), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: its configuration must be JSON ({error})") from error
