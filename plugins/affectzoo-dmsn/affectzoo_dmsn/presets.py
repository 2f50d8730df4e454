"""Named networks: the trunk with its layout fixed. What is left open is what a preset's name does not say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from affectzoo_dmsn.trunk import DMSN


class Preset(DMSN):
    """A network whose layout its name says: `[N, 3, T, H, W] -> [N, D]`.

    Args:
        frames, image_size, mean, std, colour, margin, activation_checkpointing, init: as in `DMSN`.
    """

    layout: ClassVar[dict[str, Any]]

    def __init__(
        self,
        *,
        frames: int = 16,
        image_size: int = 112,
        mean: Sequence[float] = (0.485, 0.456, 0.406),
        std: Sequence[float] = (0.229, 0.224, 0.225),
        colour: Literal["rgb", "grey"] = "rgb",
        margin: float = 0.2,
        activation_checkpointing: bool = False,
        init: str | None = None,
    ) -> None:
        super().__init__(
            **self.layout,
            frames=frames,
            image_size=image_size,
            mean=mean,
            std=std,
            colour=colour,
            margin=margin,
            activation_checkpointing=activation_checkpointing,
            init=init,
        )
        assert self.saved_config is not None
        self.saved_config = {name: value for name, value in self.saved_config.items() if name not in _LAYOUT}


_LAYOUT = (
    "block",
    "block_config",
    "layers",
    "widths",
    "multiscale_stages",
    "downsample",
    "downsample_stages",
    "stem_width",
)


def _fifty(block: str) -> dict[str, Any]:
    return {"block": block, "layers": (3, 4, 6, 3), "widths": (64, 128, 256, 512)}


def _eighteen(block: str) -> dict[str, Any]:
    return {"block": block, "layers": (2, 2, 2, 2), "widths": (32, 64, 128, 224), "stem_width": 16}


class DMSNA50(Preset):
    """DMSN-A on 16 crops of 112 x 112, 512 features (de Melo et al. 2022, arXiv 2203.11111).

    Source: no code was released. Reconstruction: the block (`affectzoo info dmsn-a`) and the layout (3, 4, 6, 3) blocks of
    64, 128, 256, 512 channels, multiscale in the first two stages, found for DMSN-C and kept. Known: A has several temporal
    ranges; the paper reports it best for pain.
    """

    layout = _fifty("dmsn-a")


class DMSNB50(Preset):
    """DMSN-B on 16 crops of 112 x 112, 512 features (de Melo et al. 2022, arXiv 2203.11111).

    Source: no code was released. Reconstruction: the block (`affectzoo info dmsn-b`) and the layout (3, 4, 6, 3) blocks of
    64, 128, 256, 512 channels, multiscale in the first two stages, found for DMSN-C and kept. Known: B has several ranges
    in space and time.
    """

    layout = _fifty("dmsn-b")


class DMSNC50(Preset):
    """DMSN-C on 16 crops of 112 x 112, 512 features (de Melo et al. 2022, arXiv 2203.11111).

    Source: no code was released. Reconstruction: the block (`affectzoo info dmsn-c`) and the layout (3, 4, 6, 3) blocks of
    64, 128, 256, 512 channels, multiscale in the first two stages, chosen so that parameters and operations agree with the
    paper's 22.1 M and 11.29 GMAC (within 3 %, tested). Known: C has several spatial sizes; the paper reports it best for
    depression. The stem and the sampling follow the same authors' released MSN.
    """

    layout = _fifty("dmsn-c")


class DMSNA18(Preset):
    """A small DMSN-A for machines without a GPU, 224 features. The size is ours, the block that of `dmsn-a-50`."""

    layout = _eighteen("dmsn-a")


class DMSNB18(Preset):
    """A small DMSN-B for machines without a GPU, 224 features. The size is ours, the block that of `dmsn-b-50`."""

    layout = _eighteen("dmsn-b")


class DMSNC18(Preset):
    """A small DMSN-C for machines without a GPU, 224 features. The size is ours, the block that of `dmsn-c-50`."""

    layout = _eighteen("dmsn-c")


class MSN69(Preset):
    """MSN-69 on 16 crops of 112 x 112, 1024 features: the same authors' undecomposed network, to compare with.

    Source: their released network. Widths, blocks and pooling follow it: (3, 4, 12, 3) blocks of 128, 256, 512, 1024
    channels, multiscale in the first two stages, max-pool 2 before the last two. Ours: the start (see `DMSN`), and the
    order of batch norm and ReLU where only the count of parameters is known (76.9 M, 77.4 M with a head of 512; tested
    within 1 %).
    """

    layout = {  # noqa: RUF012
        "block": "msn",
        "layers": (3, 4, 12, 3),
        "widths": (128, 256, 512, 1024),
        "downsample": "pool",
        "downsample_stages": (3, 4),
    }
