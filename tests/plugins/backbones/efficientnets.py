"""EfficientNets as EfficientNet-PyTorch publishes them."""

from __future__ import annotations

#: Blocks of each stage of EfficientNet-Lite0.
LITE0 = [1, 2, 2, 3, 3, 4, 1]


def published_names(repeats: list[int]) -> list[str]:
    """Of an EfficientNet of `repeats` blocks a stage, without squeeze and excitation, as EfficientNet-PyTorch names them."""

    def norm(name: str) -> list[str]:
        return [f"{name}.{part}" for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")]

    names = ["_conv_stem.weight", *norm("_bn0")]
    for block in range(sum(repeats)):
        at = f"_blocks.{block}"
        names += [f"{at}._expand_conv.weight", *norm(f"{at}._bn0")] if block >= repeats[0] else []
        names += [f"{at}._depthwise_conv.weight", *norm(f"{at}._bn1"), f"{at}._project_conv.weight", *norm(f"{at}._bn2")]
    return [*names, "_conv_head.weight", *norm("_bn1"), "_fc.weight", "_fc.bias"]
