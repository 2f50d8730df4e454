"""torchvision's video ResNets (Tran et al. 2018, arXiv 1711.11248) without their classifier."""

from __future__ import annotations

from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from torchvision.models import get_model, get_model_weights

from affectzoo import Backbone, FramesInput, count_batches_once
from affectzoo.errors import ConfigError, DownloadError
from affectzoo_backbones.inputs import check_frames

#: Statistics of the Kinetics frames that torchvision's video weights were trained with (its VideoClassification preset).
KINETICS_MEAN = (0.43216, 0.394666, 0.37645)
KINETICS_STD = (0.22803, 0.22145, 0.216989)


class VideoResNet(Backbone):
    """One of torchvision's 18-layer video networks: `[N, 3, T, H, W] -> [N, 512]`.

    Args:
        frames: T, frames per sub-sequence.
        image_size: side of the crops in pixels; the public weights were trained at 112.
        pretrained: start from torchvision's Kinetics-400 weights. A reloaded model never does.
        margin: room around the face box, as in `FramesInput`.

    Raises:
        ConfigError: a value out of range.
        DownloadError: the weights cannot be fetched.
    """

    architecture: str
    feature_dim = 512

    def __init__(self, *, frames: int = 8, image_size: int = 112, pretrained: bool = False, margin: float = 0.2) -> None:
        super().__init__()
        self.input = self.declared = FramesInput.parse(
            {
                "frames": frames,
                "height": image_size,
                "width": image_size,
                "mean": KINETICS_MEAN,
                "std": KINETICS_STD,
                "margin": margin,
            },
            where=self.architecture,
        )
        self.network = get_model(self.architecture, weights=None)
        if pretrained:
            self.network.load_state_dict(kinetics_weights(self.architecture))
        self.network.fc = nn.Identity()
        self.recomputes = False
        self.saved_config = {"frames": frames, "image_size": image_size, "pretrained": False, "margin": margin}

    def checkpoint_activations(self) -> None:
        """Compute the stem and each residual block again in the backward pass from now on."""
        self.recomputes = True
        count_batches_once(self)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, 3, T, H, W] -> [N, 512]`, averaged over what is left of T, H and W; any size will do."""
        check_frames(x, self.declared)
        return self._encode(x)

    def _encode(self, x: Tensor) -> Tensor:
        """Features `[N, 512]` of as many channels as the stem takes."""
        network: Any = self.network
        for part in chain([network.stem], network.layer1, network.layer2, network.layer3, network.layer4):
            x = checkpoint(part, x, use_reentrant=False) if self.recomputes and self.training else part(x)
        return network.avgpool(x).flatten(1)


class R2Plus1D18(VideoResNet):
    """R(2+1)D-18: every 3D convolution is a spatial one followed by a temporal one. The visual backbone of JCA.

    Args:
        fourth_channel: build the stem for RGB and a fourth channel, such as a drawing of the facial landmarks (Kuhnke et al.
            2020, arXiv 2002.03399). Input with three channels is given a fourth that holds this constant throughout, in
            normalised units; input with four is taken as it is. With `pretrained`, its weights start at zero. None: RGB.

    The others as in `VideoResNet`.
    """

    architecture = "r2plus1d_18"

    def __init__(
        self,
        *,
        frames: int = 8,
        image_size: int = 112,
        pretrained: bool = False,
        margin: float = 0.2,
        fourth_channel: float | None = None,
    ) -> None:
        super().__init__(frames=frames, image_size=image_size, pretrained=pretrained, margin=margin)
        self.fourth_channel = fourth_channel
        self.saved_config = {**(self.saved_config or {}), "fourth_channel": fourth_channel}
        if fourth_channel is not None:
            if isinstance(fourth_channel, bool) or not isinstance(fourth_channel, int | float):
                raise ConfigError(f"r2plus1d_18: fourth_channel must be a number or null, not {fourth_channel!r}")
            stem: Any = self.network.stem
            stem[0] = _with_fourth_channel(stem[0], keep=pretrained)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, 3, T, H, W]`, with a fourth channel also `[N, 4, T, H, W]`, to `[N, 512]`; any size will do."""
        if self.fourth_channel is None:
            return super().forward(x)
        has_it = x.ndim == 5 and x.shape[1] == 4
        check_frames(x[:, :3] if has_it else x, self.declared)
        return self._encode(x if has_it else functional.pad(x, (0, 0, 0, 0, 0, 0, 0, 1), value=self.fourth_channel))


def _with_fourth_channel(convolution: nn.Conv3d, *, keep: bool) -> nn.Conv3d:
    """The stem's first convolution for four channels; with `keep`, the weights of the first three and zeros."""
    wider = nn.Conv3d(
        4,
        convolution.out_channels,
        convolution.kernel_size,  # pyright: ignore[reportArgumentType]
        stride=convolution.stride,  # pyright: ignore[reportArgumentType]
        padding=convolution.padding,  # pyright: ignore[reportArgumentType]
        bias=False,
    )
    if keep:
        with torch.no_grad():
            wider.weight[:, :3] = convolution.weight
            wider.weight[:, 3:] = 0.0
    return wider


class R3D18(VideoResNet):
    """R3D-18: 3D convolutions throughout."""

    architecture = "r3d_18"


class MC318(VideoResNet):
    """MC3-18: 3D convolutions in the stem and the first stage, 2D in the later stages."""

    architecture = "mc3_18"


def kinetics_weights(architecture: str) -> dict[str, Tensor]:
    """torchvision's Kinetics-400 state dict for a network, from its cache or from the network.

    Raises:
        DownloadError: it is neither cached nor reachable, or its hash is wrong.
    """
    url = get_model_weights(architecture)["DEFAULT"].url
    try:
        # weights_only: torchvision's own loader would unpickle whatever the file holds.
        return torch.hub.load_state_dict_from_url(url, map_location="cpu", check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:
        raise DownloadError(
            f"the Kinetics-400 weights of {architecture} cannot be fetched from {url}: {error}. "
            "Check the connection, or use pretrained=False."
        ) from error
