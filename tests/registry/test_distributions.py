"""Real installed distributions, in a fresh interpreter: what a user meets who installs a bad plugin."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

GOOD = """
from affectzoo import FusionSpec, hookimpl

@hookimpl
def affectzoo_fusions():
    return [FusionSpec(name="extra-sum", summary="a sum", licence="MIT", target="{package}.fusion:Sum")]
"""

FUSION = "class Sum: ..."

REPORT = """
import json, sys, warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from affectzoo.registry import registry
    records = registry().records
    registry()
print(json.dumps({
    "records": {r.distribution: [r.name, r.version, r.status, r.error, r.remarks] for r in records},
    "warnings": [str(w.message) for w in caught],
    "fusions": registry().names("fusion"),
    "temporals": registry().names("temporal"),
    "modules": sorted(sys.modules),
}))
"""


@pytest.fixture
def site(tmp_path):
    """Write a package and its dist-info, as an installer would."""

    def install(name: str, source: str = "", *, entry_points: str | bytes | None = None, metadata: str | None = None) -> Path:
        package = name.replace("-", "_")
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("")
        (tmp_path / package / "hooks.py").write_text(source.replace("{package}", package))
        (tmp_path / package / "fusion.py").write_text(FUSION)
        info = tmp_path / f"{package}-1.5.dist-info"
        info.mkdir()
        if metadata is None:
            metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n"
        if metadata:
            (info / "METADATA").write_text(metadata)
        text = f"[affectzoo.plugins]\nmain = {package}.hooks\n" if entry_points is None else entry_points
        (info / "entry_points.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path

    return install


def run(site: Path, code: str = REPORT, **environment: str) -> subprocess.CompletedProcess:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("AFFECTZOO_")}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**inherited, "PYTHONPATH": str(site), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def report(site: Path, **environment: str) -> dict:
    done = run(site, **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_good_and_bad_distributions_side_by_side(site):
    site("good-plugin", GOOD)
    site("raising-plugin", "raise RuntimeError('out of cheese')")
    site("exiting-plugin", "import sys; sys.exit('bye')")
    site("misspelt-plugin", "from affectzoo import hookimpl\n@hookimpl\ndef affectzoo_fusoins(): return []")
    site("missing-plugin", entry_points="[affectzoo.plugins]\nmain = not_there.hooks\n")
    site("damaged-plugin", entry_points="[affectzoo.plugins]\nthis line is no entry point\n")
    site("binary-plugin", entry_points=b"\xff\xfe[affectzoo.plugins]")
    site("nameless-plugin", GOOD.replace("extra-sum", "nameless-sum"), metadata="")
    folder = site("foreign", entry_points="[console_scripts]\nthis line is no entry point\n")
    seen = report(folder)
    assert seen["records"]["good-plugin"][:4] == ["main", "1.5", "loaded", ""]
    assert seen["records"]["nameless_plugin"][2] == "loaded"
    causes = {
        "raising-plugin": "RuntimeError: out of cheese",
        "exiting-plugin": "SystemExit: bye",
        "misspelt-plugin": "did you mean affectzoo_fusions?",
        "missing-plugin": "No module named 'not_there'",
        "damaged-plugin": "",
    }
    for name, cause in causes.items():
        assert seen["records"][name][2] == "failed"
        assert cause in seen["records"][name][3]
        assert sum(f"of {name} 1.5 was not loaded" in warning for warning in seen["warnings"]) == 1
    assert len(seen["warnings"]) == len(causes), seen["warnings"]
    assert {"extra-sum", "nameless-sum"} <= set(seen["fusions"])
    assert {"tcn", "bilstm", "gru"} <= set(seen["temporals"])
    assert "torch" not in seen["modules"]


def test_block_and_allow_lists_act_before_import(site):
    site("good-plugin", GOOD)
    folder = site("raising-plugin", "raise RuntimeError('out of cheese')")
    seen = report(folder, AFFECTZOO_PLUGINS_BLOCK="raising_plugin")
    assert seen["records"]["raising-plugin"][2] == "blocked"
    assert seen["warnings"] == []
    assert not any(name.startswith("raising_plugin") for name in seen["modules"])
    seen = report(folder, AFFECTZOO_PLUGINS="affectzoo,good-plugin")
    assert {name: fields[2] for name, fields in seen["records"].items() if fields[2] == "loaded"} == {
        "affectzoo": "loaded",
        "good-plugin": "loaded",
    }
    assert not any(name.startswith("raising_plugin") for name in seen["modules"])


def test_strict_raises_one_plugin_error(site):
    folder = site("raising-plugin", "raise RuntimeError('out of cheese')")
    done = run(folder, AFFECTZOO_PLUGINS_STRICT="1")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("affectzoo.errors.PluginError: plugin 'main' of raising-plugin 1.5 was not loaded: RuntimeError")


def test_a_hook_module_that_imports_torch_is_remarked(site):
    folder = site("heavy-plugin", "import torch\n" + GOOD)
    (folder / "torch.py").write_text("")  # found before the real one, which takes seconds
    name, _, status, _, remarks = report(folder, AFFECTZOO_PLUGINS="heavy-plugin")["records"]["heavy-plugin"]
    assert (name, status) == ("main", "loaded")
    assert "imports torch" in remarks[0]


def test_two_distributions_of_one_name_collide_on_use_and_either_can_be_chosen(site):
    site("first-plugin", GOOD)
    folder = site("second-plugin", GOOD)
    code = """
import affectzoo
from affectzoo.registry import registry

try:
    registry().find("fusion", "extra-sum")
except affectzoo.AffectzooError as error:
    print(error)
print(registry().find("fusion", "second-plugin/extra-sum").resolve().__module__)
print(registry().find("fusion", "extra-sum", "first-plugin").resolve().__module__)
"""
    assert run(folder, code).stdout.splitlines() == [
        "fusion 'extra-sum' is provided by first-plugin 1.5, second-plugin 1.5; "
        "write first-plugin/extra-sum or second-plugin/extra-sum",
        "second_plugin.fusion",
        "first_plugin.fusion",
    ]


def test_a_shadowed_copy_of_a_distribution_is_not_loaded_twice(site, tmp_path):
    folder = site("good-plugin", GOOD)
    copy = tmp_path / "older" / "good_plugin-1.0.dist-info"
    copy.mkdir(parents=True)
    (copy / "METADATA").write_text("Metadata-Version: 2.1\nName: Good_Plugin\nVersion: 1.0\n")
    (copy / "entry_points.txt").write_text("[affectzoo.plugins]\nmain = good_plugin.hooks\n")
    seen = report(f"{folder}{os.pathsep}{copy.parent}")
    assert seen["records"]["good-plugin"][1] == "1.5"
    assert "Good_Plugin" not in seen["records"]
    assert "extra-sum" in seen["fusions"]
