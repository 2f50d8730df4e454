"""`AffectModel`: backbones, temporal encoders, fusion and head, built from one config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from affectzoo.cards.readme import Said
from affectzoo.config import ModelConfig, StreamConfig
from affectzoo.errors import ConfigError, InputError
from affectzoo.model.build import build, shaped
from affectzoo.model.checkpoint import DTYPES, load_weights, read_config, save_model, weight_files
from affectzoo.model.contracts import Backbone, complete, zero_masked
from affectzoo.model.heads import Head

if TYPE_CHECKING:
    from affectzoo.model.optimize import OptimizedModel
    from affectzoo.remote.upload import Pushed


class AffectModel(nn.Module):
    """Raw inputs of one or several modalities to named affect targets.

    Inputs are a mapping modality -> tensor (`visual` `[B, L, 3, T, H, W]`, `audio` `[B, L, 1, M, F]` or `[B, L, S]`), masks
    a mapping modality -> `[B, L]` bool, true = present. A modality may be absent; a masked step never produces NaN.

    Attributes:
        config: complete: every component with its provider and full config, every input as declared.
        columns: names of the K output columns, in order.
        feature_dims: modality -> D of its backbone.
        source: where it was loaded from, empty for a new model.
        revision: commit of the Hub repository it was loaded from, empty where there is none.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.source = ""
        self.revision = ""
        self.said = Said()
        self.backbones = nn.ModuleDict()
        self.temporals = nn.ModuleDict()
        self.feature_dims: dict[str, int] = {}
        self._fused_dims: dict[str, int] = {}
        streams: dict[str, StreamConfig] = {}
        for name, stream in config.streams.items():
            if hasattr(self.backbones, name) and name not in self.backbones:
                raise ConfigError(f"streams: a modality cannot be called {name!r}; choose another name")
            backbone: Backbone = build("backbone", stream.backbone)
            temporal = None
            dim = backbone.feature_dim
            if stream.temporal is not None:
                temporal = build("temporal", stream.temporal, in_dim=dim)
                self.temporals[name] = temporal
                dim = temporal.out_dim
            self.backbones[name] = backbone
            self.feature_dims[name] = backbone.feature_dim
            self._fused_dims[name] = dim
            streams[name] = StreamConfig(
                backbone=backbone.component,  # pyright: ignore[reportArgumentType]
                input=stream.input or backbone.input,
                temporal=temporal.component if temporal is not None else None,
            )
        self.fusion = None
        head_dim = next(iter(self._fused_dims.values()))
        if config.fusion is not None:
            self.fusion = build("fusion", config.fusion, dims=dict(self._fused_dims), seq_len=config.sequence.length)
            head_dim = self.fusion.out_dim
        self.head = Head(head_dim, config.targets, config.head)
        self.columns = self.head.columns
        self.config = config.model_copy(
            update={"streams": streams, "fusion": self.fusion.component if self.fusion is not None else None}
        )

    def forward(self, inputs: Mapping[str, Tensor], masks: Mapping[str, Tensor] | None = None, *, pool: bool = True) -> Tensor:
        """Predict from raw inputs: `[B, L, K]`; `[B, K]` for a head that pools, unless `pool` is false."""
        self._check_modalities(inputs, masks)
        features = {n: self.encode(n, x, None if masks is None else masks.get(n)) for n, x in inputs.items()}
        return self.forward_features(features, masks, pool=pool)

    def encode(self, modality: str, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Run one backbone over a batch of windows: `[B, L, ...]` to `[B, L, D]`.

        Masked steps never reach the backbone, so that batch statistics in training see what is there and nothing else;
        their features are zero.
        """
        self._check_modalities({modality: x})
        if x.ndim < 3:
            raise InputError(f"{modality} input must be [B, L, ...], not {list(x.shape)}")
        if mask is not None:
            if mask.shape != x.shape[:2]:
                raise InputError(f"the {modality} mask must be {list(x.shape[:2])}, not {list(mask.shape)}")
            present = mask.bool().flatten()
            if not bool(present.all()):
                return self._encode_present(modality, x.flatten(0, 1), present).unflatten(0, x.shape[:2])
        return self._backbone(modality, x.flatten(0, 1)).unflatten(0, x.shape[:2])

    def _backbone(self, modality: str, x: Tensor) -> Tensor:
        """`[N, ...]` to `[N, D]`."""
        backbone = self.backbones[modality]
        return shaped("backbone", backbone, backbone(x), (len(x), self.feature_dims[modality]))

    def _encode_present(self, modality: str, x: Tensor, present: Tensor) -> Tensor:
        """Features `[N, D]` of the steps `x` `[N, ...]` that are `present` `[N]`; zeros for the others."""
        if not bool(present.any()):
            return x.new_zeros(len(x), self.feature_dims[modality])
        encoded = self._backbone(modality, x[present])
        return encoded.new_zeros(len(x), encoded.shape[1]).index_put((present.nonzero().squeeze(1),), encoded)

    def forward_features(
        self,
        features: Mapping[str, Tensor],
        masks: Mapping[str, Tensor] | None = None,
        *,
        pool: bool = True,
        return_attention: bool = False,
    ) -> Any:
        """Predict from cached backbone features, modality -> `[B, L, D_m]`.

        Returns `[B, L, K]` (`[B, K]` for a head that pools, unless `pool` is false); with `return_attention` also the
        fusion's attention maps.
        """
        self._check_modalities(features, masks)
        filled, present = complete(features, masks, self.feature_dims)
        for name, temporal in self.temporals.items():
            encoded = temporal(filled[name], present[name])
            wanted = (*present[name].shape, self._fused_dims[name])
            filled[name] = zero_masked(shaped("temporal", temporal, encoded, wanted), present[name])
        attention: dict[str, Tensor] = {}
        if self.fusion is None:
            ((name, fused),) = filled.items()
            fused = zero_masked(fused, present[name])
        elif return_attention:
            fused, attention = self.fusion(filled, present, return_attention=True)
        else:
            fused = self.fusion(filled, present)
        any_present = torch.stack(list(present.values())).any(dim=0)
        if self.fusion is not None:
            fused = shaped("fusion", self.fusion, fused, (*any_present.shape, self.fusion.out_dim))
        output = self.head(fused, any_present, pool=pool)
        return (output, attention) if return_attention else output

    @property
    def predicted_columns(self) -> tuple[str, ...]:
        """`columns`, then the derived targets: what a timeline has."""
        return (*self.columns, *(target.name for target in self.config.derived))

    def parameter_count(self) -> int:
        """Number of trainable and frozen weights."""
        return sum(p.numel() for p in self.parameters())

    def optimize_for_inference(
        self,
        *,
        batch_size: int = 8,
        dtypes: Sequence[str] | None = None,
        tolerance: float | None = None,
        seconds: float = 10.0,
    ) -> OptimizedModel:
        """A new model that predicts the same faster on this machine and device; this one stays as it is.

        Every batch norm that follows a convolution becomes part of it, and each backbone gets the memory format and dtype
        that measure fastest on its declared input. `report` of the new model says what was chosen and what it changes.

        Args:
            batch_size: sub-sequences in one measured pass.
            dtypes: what the backbones may compute in, such as `["float32"]`; None is what the device is fast in. The
                original in float32 is always among the contenders.
            tolerance: largest allowed difference of an output, in the target's unit; None takes the fastest.
            seconds: time to measure for; every variant runs at least once whatever that takes.

        Returns:
            A model that takes and returns float32 and can be neither trained, saved nor moved.

        Raises:
            InputError: a value out of its range.
        """
        from affectzoo.model.optimize import optimize

        return optimize(self, batch_size=batch_size, dtypes=dtypes, tolerance=tolerance, seconds=seconds)

    def save_pretrained(self, folder: str | Path, *, card: str | None = None) -> Path:
        """Write `config.json`, `model.safetensors` and, where given, the card as `README.md`."""
        return save_model(self, self.config, Path(folder), card=card)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        revision: str | None = None,
        create_pr: bool = False,
        tags: Sequence[str] = (),
        licence: str | None = None,
        card: str | None = None,
        token: str | None = None,
        message: str | None = None,
    ) -> Pushed:
        """Share the model on the Hub: config, weights and card in one commit, or nothing at all.

        Weights of an earlier push that these replace are deleted; files that do not differ are not sent. A component that was
        registered in a script can be pushed; the card says what to register before it is loaded.

        Args:
            repo_id: `org/name`; made where it is absent.
            private: of a repository that is made; None is its owner's default.
            revision: branch, made from `main` where it is absent; None is `main`.
            create_pr: open a pull request instead.
            tags, licence: for the card; without a licence (an SPDX identifier) it says that none was stated.
            card: the whole README; None has one made.
            token: of the Hub; None uses the saved login. Never printed, never saved.
            message: of the commit.

        Raises:
            AffectzooError: one sentence; the repository is as it was.
        """
        from affectzoo.model.share import push_model

        return push_model(
            self,
            repo_id,
            private=private,
            revision=revision,
            create_pr=create_pr,
            tags=tags,
            licence=licence,
            card=card,
            token=token,
            message=message,
        )

    @classmethod
    def from_folder(cls, folder: str | Path, *, dtype: str | None = None) -> AffectModel:
        """Build the model that a folder describes and fill it, strictly. No network, no base weights.

        Args:
            folder: as `save_pretrained` wrote it.
            dtype: `float32`, `float16` or `bfloat16`; None keeps the saved one.

        Returns:
            The model on the CPU, in evaluation mode.

        Raises:
            CheckpointError, ConfigError, PluginError: one sentence that names the file, tensor, key or plugin.
        """
        folder = Path(folder)
        config = read_config(folder)
        if dtype is not None and dtype not in DTYPES:
            raise ConfigError(f"dtype {dtype!r} is not one of {', '.join(DTYPES)}")
        weight_files(folder)  # before the network is built: the common mistakes need no waiting
        model = cls(config).to(DTYPES[config.dtype])
        load_weights(model, folder)
        model.source = str(folder)
        return model.to(DTYPES[dtype or config.dtype]).eval()

    def _check_modalities(self, given: Mapping[str, Tensor], masks: Mapping[str, Tensor] | None = None) -> None:
        unknown = [n for n in given if n not in self.backbones]
        if unknown or not given:
            raise InputError(f"this model takes {', '.join(self.backbones)}; got {', '.join(given) or 'nothing'}")
        # A misspelt mask must not mean "all present".
        if masks is not None and not masks.keys() <= set(self.backbones):
            raise InputError(f"masks belong to {', '.join(self.backbones)}; got {', '.join(masks)}")


def create_model(
    *,
    visual: Any = None,
    audio: Any = None,
    streams: Mapping[str, Any] | None = None,
    fusion: Any = None,
    targets: Any = ("valence", "arousal"),
    sequence: Any = None,
    head: Any = None,
    derived: Any = (),
    smoothing: Any = None,
) -> AffectModel:
    """A new, untrained model from names.

    Args:
        visual, audio: a backbone's name, or a mapping as in `ModelConfig.streams`; None leaves the modality out.
        streams: further modalities, name -> the same.
        fusion: a fusion's name or `{"name": ..., "config": {...}}`; None for a single modality.
        targets: names from `KNOWN_TARGETS` or mappings as in `TargetConfig`.
        sequence, head: mappings as in `SequenceConfig` and `HeadConfig`.
        derived: mappings as in `DerivedTargetConfig`: what prediction computes from class probabilities.
        smoothing: of predictions along time: a mapping as in `SmoothingConfig`, or text such as `median:3.2`.

    Raises:
        ConfigError: the parts do not make a model.
    """
    named = {"visual": visual, "audio": audio, **(streams or {})}
    chosen = {name: stream for name, stream in named.items() if stream is not None}
    if not chosen:
        raise ConfigError("a model needs at least one stream: give visual=... or audio=...")
    named_targets = [targets] if isinstance(targets, str) else list(targets)
    data: dict[str, Any] = {"streams": chosen, "fusion": fusion, "targets": named_targets, "derived": list(derived)}
    given = {"sequence": sequence, "head": head, "smoothing": smoothing}
    data |= {name: value for name, value in given.items() if value is not None}
    return AffectModel(ModelConfig.parse(data, where="create_model"))
