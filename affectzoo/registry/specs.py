"""What a plugin declares: frozen descriptions that cost nothing to list.

A component's `target` is `"package.module:Attribute"`; it is imported when the component is built, never before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from affectzoo.errors import PluginError

#: Version of what the core expects of specs and components. Raised by one when a plugin written for the one before would break.
API_VERSION = 1

_TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_DIGEST = re.compile(r"git:[0-9a-f]{40}|sha256:[0-9a-f]{64}")
#: `http://` too: the digest decides whether a file is read, not the way it came.
_SCHEMES = ("package://", "hub://", "https://", "http://")
_NAME = re.compile(r"[a-z0-9][a-z0-9._+-]*(/[a-z0-9][a-z0-9._+-]*)*/?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One named thing that a plugin provides.

    Attributes:
        name: lower case, digits, `-`, `_`, `.`; a trailing `/` makes a family (`timm/` answers `timm/resnet18`).
        summary: one line for `affectzoo list`.
        licence: SPDX identifier of the code or weights; never defaulted.
        paper: citation or arXiv id, empty where there is none.
        api_version: the `API_VERSION` that the component was written for; of another, it is listed and not loaded.
    """

    name: str
    summary: str
    licence: str
    paper: str = ""
    api_version: int = 1

    def validate(self) -> None:
        """Raise `PluginError` where the description itself is unusable."""
        for field in ("name", "summary", "licence", "paper"):
            if not isinstance(getattr(self, field), str):
                raise PluginError(f"{type(self).__name__}.{field} must be a string, not {getattr(self, field)!r}")
        if type(self.api_version) is not int or self.api_version < 1:  # True is an int, too
            raise PluginError(f"{self.name!r}: api_version {self.api_version!r} must be a whole number from 1")
        if not _NAME.fullmatch(self.name):
            raise PluginError(f"{self.name!r} is not a usable name: lower-case letters, digits, '-', '_', '.', '/' only")
        if not self.summary.strip() or not self.licence.strip():
            raise PluginError(f"{self.name!r} needs a summary and a licence")

    @property
    def is_family(self) -> bool:
        """Whether the name is a prefix that takes a variant, as `timm/` does."""
        return self.name.endswith("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentSpec(Spec):
    """A spec whose `target` is a class or function built on demand."""

    target: str

    def validate(self) -> None:
        # Zero-argument super() does not survive the class that slots=True makes anew.
        Spec.validate(self)
        if not isinstance(self.target, str) or not _TARGET.fullmatch(self.target):
            raise PluginError(f"{self.name!r}: target {self.target!r} is not of the form 'package.module:Attribute'")


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneSpec(ComponentSpec):
    """An encoder of one modality: `[N, ...] -> [N, D]`."""

    modality: str

    def validate(self) -> None:
        ComponentSpec.validate(self)
        if not isinstance(self.modality, str) or not self.modality:
            raise PluginError(f"{self.name!r}: modality {self.modality!r} must be a name such as 'visual' or 'audio'")


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionSpec(ComponentSpec):
    """A fusion of several modalities: `modality -> [B, L, D_m]` to `[B, L, D]`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockSpec(ComponentSpec):
    """A spatiotemporal block on `[N, C, T, H, W]`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemporalSpec(ComponentSpec):
    """A temporal encoder: `[B, L, D]` and a mask to `[B, L, D']`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorSpec(ComponentSpec):
    """A face detector on one RGB image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSpec(ComponentSpec):
    """A dataset that the trainer can read by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImporterSpec(ComponentSpec):
    """A converter from somebody else's checkpoint: `convert(source: Path, **options) -> affectzoo.Imported`.

    Attributes:
        licence: of the importer's code.
        weights_licence: SPDX identifier under which the checkpoint was published; empty where it is not known or differs
            from file to file. Never defaulted.
        reads: what it takes, for people: `a .pt file of EmotiEffLib`.
    """

    weights_licence: str = ""
    reads: str = ""

    def validate(self) -> None:
        ComponentSpec.validate(self)
        if not isinstance(self.weights_licence, str) or not isinstance(self.reads, str):
            raise PluginError(f"{self.name!r}: weights_licence and reads must be strings")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec(Spec):
    """A model of the zoo.

    Attributes:
        location: `package://package/folder` for weights that ship with a distribution; `hub://org/name@commit` on the Hub;
            `https://...` for a file of somebody else's, which `importer` converts.
        importer: registry name of the importer that converts what lies at `location`; empty for an affectzoo model.
        digest: `git:` and the git blob id, or `sha256:` and the SHA-256, of the file at `location`; verified before it is
            read, and required with an address.
        card: the card's file inside the providing package, as `package:file.md`.
        targets: what it predicts, in order.
        parameters: number of trainable weights.
        size_mb: size of the weights file in MB (10^6 bytes).
        caution: one sentence that is shown whenever the model is used, such as what it must not be believed on.
    """

    location: str
    importer: str = ""
    digest: str = ""
    card: str = ""
    targets: tuple[str, ...] = ()
    parameters: int = 0
    size_mb: float = 0.0
    caution: str = ""

    def validate(self) -> None:
        Spec.validate(self)
        if not isinstance(self.targets, tuple) or not all(isinstance(target, str) for target in self.targets):
            raise PluginError(f"{self.name!r}: targets {self.targets!r} must be a tuple of names")
        if not isinstance(self.parameters, int) or not isinstance(self.size_mb, int | float):
            raise PluginError(f"{self.name!r}: parameters and size_mb must be numbers")
        if not isinstance(self.card, str) or not isinstance(self.caution, str):
            raise PluginError(f"{self.name!r}: card and caution must be strings")
        if not isinstance(self.location, str) or not self.location.startswith(_SCHEMES):
            raise PluginError(f"{self.name!r}: location {self.location!r} must begin with {', '.join(_SCHEMES)}")
        if not isinstance(self.importer, str) or not isinstance(self.digest, str):
            raise PluginError(f"{self.name!r}: importer and digest must be strings")
        if self.digest and not _DIGEST.fullmatch(self.digest):
            raise PluginError(f"{self.name!r}: digest {self.digest!r} must be git: and 40, or sha256: and 64 hex digits")
        if self.is_address != bool(self.digest):
            raise PluginError(f"{self.name!r}: weights at an address need a digest, others have none")
        if self.is_address and not self.importer:
            raise PluginError(f"{self.name!r}: weights at an address need an importer")

    @property
    def is_bundled(self) -> bool:
        """Whether the weights came with an installed distribution."""
        return self.location.startswith("package://")

    @property
    def is_address(self) -> bool:
        """Whether the weights lie at a plain address."""
        return self.location.startswith(("http://", "https://"))


#: Registry kind -> (hook that provides it, type of its specs).
KINDS: dict[str, tuple[str, type[Spec]]] = {
    "backbone": ("affectzoo_backbones", BackboneSpec),
    "fusion": ("affectzoo_fusions", FusionSpec),
    "block": ("affectzoo_blocks", BlockSpec),
    "temporal": ("affectzoo_temporals", TemporalSpec),
    "detector": ("affectzoo_detectors", DetectorSpec),
    "dataset": ("affectzoo_datasets", DatasetSpec),
    "model": ("affectzoo_models", ModelSpec),
    "importer": ("affectzoo_importers", ImporterSpec),
}
