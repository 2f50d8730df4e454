"""What no backbone takes: another shape than it declared, or whole numbers."""

from __future__ import annotations

import pytest
import torch

from affectzoo.errors import InputError


@pytest.mark.parametrize("change", ["no batch", "one more axis", "channels", "integers"])
def test_a_wrong_input_is_refused_by_name(backbone, declared_sample, change):
    x = declared_sample(backbone)
    wrong = {
        "no batch": lambda: x[0],
        "one more axis": lambda: x[None],
        "channels": lambda: x.repeat(1, 2, *[1] * (x.ndim - 2)) if x.ndim > 2 else torch.stack([x, x], dim=1),  # stereo
        "integers": lambda: x.to(torch.uint8),
    }[change]()
    expected = "floating-point" if change == "integers" else r"must be \[N, .*, not \["
    with pytest.raises(InputError, match=expected):
        backbone(wrong)
