"""A toy importer, the checkpoint it reads, and a plugin on disk that provides it."""

from __future__ import annotations

from pathlib import Path

import torch

import affectzoo
from tests.model.toys import ToyVisual as ToyVisual, register_toys

#: What the toy's plugin calls itself.
DISTRIBUTION, VERSION = "affect-toy", "2.1"

_HOOKS = """
import json
from pathlib import Path
from affectzoo import BackboneSpec, ImporterSpec, ModelSpec, hookimpl

TARGETS = "tests.hub.importers.toys"

@hookimpl
def affectzoo_backbones():
    return [BackboneSpec(name="toy-visual", summary="t", licence="MIT", modality="visual", target=f"{TARGETS}:ToyVisual")]

@hookimpl
def affectzoo_importers():
    return [ImporterSpec(name="toy", summary="t", licence="MIT", weights_licence="CC-BY-4.0", target=f"{TARGETS}:convert")]

@hookimpl
def affectzoo_models():
    entries = json.loads(Path(__file__).with_name("toy_models.json").read_text())
    return [ModelSpec(**{**entry, "targets": tuple(entry["targets"])}) for entry in entries]
"""


def toy_network(**visual) -> affectzoo.AffectModel:
    """An affectzoo model without weights of its own."""
    backbone = {"name": "toy-visual", "config": visual}
    return affectzoo.create_model(visual=backbone, sequence={"length": 2}, head={"hidden": None})


def write_checkpoint(path: Path, seed: int = 0) -> Path:
    """What somebody else published: a state dict as `torch.save` writes it."""
    register_toys()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.save(toy_network().state_dict(), path)
    return path


def convert(source: Path, *, order: str = "va", note: str = "") -> affectzoo.Imported:
    """A toy state dict to a model.

    Args:
        order: of the outputs.
        note: a sentence for the card.
    """
    if source.is_dir():
        source = source / "model.safetensors" if (source / "model.safetensors").is_file() else source / "pytorch_model.bin"
    assert order == "va"
    model = toy_network().eval()
    affectzoo.load_state(model, affectzoo.read_state_dict(source), source=source)
    notes = ("Valence comes first.", *([note] if note else []))
    return affectzoo.Imported(model=model, summary="valence and arousal of a toy", notes=notes, caution="It is a toy.")


convert.files = ("config.json", "model.safetensors", "pytorch_model.bin")


def install_plugin(site: Path, models: str) -> Path:
    """Write the plugin as an installer would; `models` is a JSON list of the zoo entries it declares."""
    info = site / "affect_toy-2.1.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (site / "affect_toy_hooks.py").write_text(_HOOKS)
    (site / "toy_models.json").write_text(models)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {DISTRIBUTION}\nVersion: {VERSION}\n")
    (info / "entry_points.txt").write_text("[affectzoo.plugins]\ntoy = affect_toy_hooks\n")
    return site
