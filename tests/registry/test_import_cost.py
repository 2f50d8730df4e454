"""What importing and listing load: nothing heavy, in a fresh interpreter."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import affectzoo

HEAVY = ("torch", "torchvision", "timm", "transformers", "datasets", "accelerate", "pandas", "matplotlib", "cv2", "av", "numpy")


def loaded_by(code: str) -> set[str]:
    """The heavy packages that `code` brings into a fresh interpreter."""
    script = f"{code}\nimport sys\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    return set(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import affectzoo",
        "import affectzoo; affectzoo.list_models(), affectzoo.list_fusions(), affectzoo.list_backbones()",
        "import affectzoo; affectzoo.FusionSpec, affectzoo.ModelConfig, affectzoo.AffectzooError, dir(affectzoo)",
        "import affectzoo.registry, affectzoo.config, affectzoo.builtin, affectzoo.cards.bundled, affectzoo.hub.resolve",
        "import affectzoo\nfor name in affectzoo.list_models(): affectzoo.info(name)",
    ],
)
def test_listing_loads_nothing_heavy(code):
    assert loaded_by(code) == set()


@pytest.mark.parametrize("folder", ["registry", "config"])
def test_no_file_of_the_lower_floors_imports_torch(folder):
    for path in (Path(affectzoo.__file__).parent / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & set(HEAVY), path


def test_every_public_name_leads_somewhere():
    for name in affectzoo.__all__:
        assert getattr(affectzoo, name) is not None
    assert set(affectzoo.__all__) <= set(dir(affectzoo))


def test_an_unknown_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        affectzoo.lod  # noqa: B018


def test_predict_stays_callable_whatever_was_imported_before():
    for name in ("predict", "Predictor", "predict"):
        assert callable(getattr(affectzoo, name))
