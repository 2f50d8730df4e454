"""Networks as others publish them, filled so that a mistake in the order of anything shows."""

from __future__ import annotations

import timm
import torch
from torch import nn


def efficientnet(architecture: str = "tf_efficientnet_b0", outputs: int = 10) -> nn.Module:
    """HSEmotion's network with random weights and with statistics as a trained one has: no two channels alike."""
    torch.manual_seed(outputs)
    network = timm.create_model(architecture, num_classes=outputs)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.7, 1.3)
            nn.init.normal_(module.bias, std=0.2)
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network.eval()
