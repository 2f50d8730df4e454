"""Every block and network of this plugin keeps the contract."""

from __future__ import annotations

import pytest

from affectzoo.testing import Check, Subject, checks, parametrize_with_checks
from affectzoo_dmsn import affectzoo_backbones, affectzoo_blocks

#: A trunk of two stages; presets decide all but the last two.
TINY = {"layers": [2, 1], "widths": [8, 16], "downsample_stages": [2], "stem_width": 8, "frames": 4, "image_size": 16}
SPECS = {spec.name: spec for spec in affectzoo_backbones()}

#: What a preset can get wrong by itself: it is the trunk, which is checked in full, with its layout fixed.
OF_PRESETS = ("output-shape", "input-declared", "save-and-load", "config-round-trip", "unknown-key-refused")


@parametrize_with_checks([*affectzoo_blocks(), Subject("backbone", SPECS["dmsn"], TINY)])
def test_blocks_and_the_trunk(check: Check) -> None:
    check()


@pytest.mark.parametrize("check", OF_PRESETS)
@pytest.mark.parametrize("name", [name for name in SPECS if name != "dmsn"])
def test_presets(name: str, check: str) -> None:
    (made,) = checks(SPECS[name], config={"frames": 4, "image_size": 32}, only=[check])
    made()
