"""From a face box to the pixels and the tensor a visual backbone is fed; used alike for prediction and for training data."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from affectzoo.config import FramesInput
from affectzoo.errors import InputError


def crop_face(image: np.ndarray, box: np.ndarray, config: FramesInput) -> np.ndarray:
    """Cut a square around a face and resize it.

    Args:
        image: `[H, W, 3]` uint8 RGB.
        box: `[4]`: x0, y0, x1, y1 in pixels; may reach beyond the image, where its edge pixels are repeated.
        config: crop size, margin, colour.

    Returns:
        `[config.height, config.width, 3]` uint8.
    """
    height, width = image.shape[:2]
    x0, y0, x1, y1 = (float(v) for v in box[:4])
    side = max(1, round(max(x1 - x0, y1 - y0) * (1.0 + config.margin)))
    left = round((x0 + x1) / 2 - side / 2)
    top = round((y0 + y1) / 2 - side / 2)
    # A box that drifted out of the picture still needs one row and column of it to repeat.
    left = min(max(left, 1 - side), width - 1)
    top = min(max(top, 1 - side), height - 1)
    square = image[max(0, top) : top + side, max(0, left) : left + side]
    above, beside = max(0, -top), max(0, -left)
    below, behind = side - above - square.shape[0], side - beside - square.shape[1]
    if above or below or beside or behind:
        square = cv2.copyMakeBorder(square, above, below, beside, behind, cv2.BORDER_REPLICATE)
    shrinks = side > max(config.height, config.width)
    crop = cv2.resize(square, (config.width, config.height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    if config.colour == "grey":
        crop = cv2.cvtColor(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return crop


def frames_to_tensor(crops: np.ndarray | Tensor, config: FramesInput) -> Tensor:
    """Crops `[..., T, H, W, 3]` uint8 to `[..., 3, T, H, W]` float32, scaled to 0..1 and normalised by mean and std.

    Raises:
        InputError: the last four dimensions are not those of `config`, or the values are not uint8.
    """
    pixels = crops if isinstance(crops, Tensor) else torch.from_numpy(np.ascontiguousarray(crops))
    expected = (config.frames, config.height, config.width, 3)
    if pixels.dtype != torch.uint8 or pixels.ndim < 4 or tuple(pixels.shape[-4:]) != expected:
        raise InputError(
            f"face crops must be uint8 [..., {', '.join(map(str, expected))}], not {pixels.dtype} {list(pixels.shape)}"
        )
    scale = 1.0 / (255.0 * torch.tensor(config.std, device=pixels.device))
    shift = torch.tensor(config.mean, device=pixels.device) / torch.tensor(config.std, device=pixels.device)
    return (pixels.float() * scale - shift).movedim(-1, -4).contiguous()
