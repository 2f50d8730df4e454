"""The importer that docs/importers.md shows is one: it imports, and predicts what the original does."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import torch

import affectzoo
from affectzoo.hub.importers.convert import run_importer, save_proved
from affectzoo.registry import ImporterSpec, registry

DOCS = Path(__file__).resolve().parents[3] / "docs" / "importers.md"


def test_the_importer_of_the_docs_works(entry, tmp_path):
    import timm

    (code,) = [block for block in re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL) if "def convert(" in block]
    names: dict = {}
    exec(code, names)
    torch.manual_seed(0)
    original = timm.create_model("resnet18", num_classes=2).eval()
    torch.save(original.state_dict(), tmp_path / "published.pt")
    mine = replace(entry, obj=names["convert"])
    imported = run_importer(mine, tmp_path / "published.pt", {"size": 64})
    save_proved(imported.model, tmp_path / "m", card="# m\n", dtype=None, where="the docs")
    model = affectzoo.load(tmp_path / "m")
    frames = model.config.streams["visual"].input.frames
    crops = torch.randn(1, 1, 3, frames, 64, 64)
    with torch.no_grad():
        expected = original(crops[0, 0].transpose(0, 1)).mean(0)
        found = model({"visual": crops})[0, 0]
    # The last layer is linear: the mean of its outputs is the output of the mean, but for float32's rounding.
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_every_importer_of_the_first_party_plugins_stands_in_the_docs_with_the_licence_of_its_weights():
    rows = dict(re.findall(r"^\| `([\w-]+)` \|.*\| (.+) \|$", DOCS.read_text(), re.MULTILINE))
    for name in set(registry().names("importer")) - {"toy"}:
        spec = registry().find("importer", name).spec
        assert isinstance(spec, ImporterSpec)
        licence = spec.weights_licence
        assert rows[name].startswith(licence) if licence else rows[name].endswith("the card has none"), name
