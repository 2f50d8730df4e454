"""Real installed distributions, in a fresh interpreter: what a user meets who installs a bad plugin."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import affectzoo

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


def write(
    folder: Path, name: str, source: str = "", *, entry_points: str | bytes | None = None, metadata: str | None = None
) -> Path:
    """A package and its dist-info, as an installer would leave them in `folder`."""
    package = name.replace("-", "_")
    (folder / package).mkdir()
    (folder / package / "__init__.py").write_text("")
    (folder / package / "hooks.py").write_text(source.replace("{package}", package))
    (folder / package / "fusion.py").write_text(FUSION)
    info = folder / f"{package}-1.5.dist-info"
    info.mkdir()
    if metadata is None:
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n"
    if metadata:
        (info / "METADATA").write_text(metadata)
    text = f"[affectzoo.plugins]\nmain = {package}.hooks\n" if entry_points is None else entry_points
    (info / "entry_points.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


@pytest.fixture
def site(tmp_path):
    return functools.partial(write, tmp_path)


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
    site("pointless-plugin", entry_points="[affectzoo.plugins]\nmain =\n")
    site("nameless-plugin", GOOD.replace("extra-sum", "nameless-sum"), metadata="")
    site("anonymous-plugin", GOOD.replace("extra-sum", "anonymous-sum"), metadata="")
    folder = site("foreign", entry_points="[console_scripts]\nthis line is no entry point\n")
    seen = report(folder)
    assert seen["records"]["good-plugin"][:4] == ["main", "1.5", "loaded", ""]
    assert seen["records"]["nameless_plugin"][2] == seen["records"]["anonymous_plugin"][2] == "loaded"
    causes = {
        "raising-plugin": "RuntimeError: out of cheese",
        "exiting-plugin": "SystemExit: bye",
        "misspelt-plugin": "did you mean affectzoo_fusions?",
        "missing-plugin": "No module named 'not_there'",
        "damaged-plugin": "",
        "pointless-plugin": "its entry point 'main' names no module: ''",
    }
    for name, cause in causes.items():
        assert seen["records"][name][2] == "failed"
        assert cause in seen["records"][name][3]
        assert sum(f"of {name} 1.5 was not loaded" in warning for warning in seen["warnings"]) == 1
    assert len(seen["warnings"]) == len(causes), seen["warnings"]
    assert {"extra-sum", "nameless-sum", "anonymous-sum"} <= set(seen["fusions"])
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
    _, version, status, error, remarks = seen["records"]["good-plugin"]
    assert (version, status, error) == ("1.5", "loaded", "")
    assert remarks == [f"version 1.0 is installed too, in {copy.parent}, and not used: uninstall one of them"]
    assert "Good_Plugin" not in seen["records"]
    assert "extra-sum" in seen["fusions"]


REGISTERS = "import affectzoo\n@affectzoo.register_fusion('from-hook')\nclass Mine: ...\n" + GOOD

VERSIONS = """
from affectzoo import FusionSpec, hookimpl

@hookimpl
def affectzoo_fusions():
    common = dict(summary="a sum", licence="MIT", target="{package}.fusion:Sum")
    return [FusionSpec(name="of-tomorrow", api_version=2, **common), FusionSpec(name="of-today", **common)]
"""

NEWER = GOOD.replace("summary", "api_version=2, summary") + "@hookimpl\ndef affectzoo_captioners(): return []\n"

TAKES_STDOUT = "import io, sys\nsys.stdout.name\nsys.stdout = io.TextIOWrapper(sys.stdout.buffer)\n"

#: Distribution -> (hook module, status, words of its line).
BAD = {
    "builtin-name": (
        GOOD.replace("extra-sum", "gru").replace("Fusion", "Temporal").replace("_fusions", "_temporals"),
        "loaded",
        f"temporal 'gru' is provided by affectzoo {affectzoo.__version__}, too: write builtin-name/gru for this one",
    ),
    "exits": ("import sys; sys.exit('bye')", "failed", "SystemExit: bye"),
    "garbage": (GOOD.replace('name="extra-sum"', "name=3"), "failed", "FusionSpec.name must be a string, not 3"),
    "garbage-of-tomorrow": (NEWER.replace('"extra-sum"', "[3]"), "failed", "FusionSpec.name must be a string, not [3]"),
    "lost-attribute": (
        GOOD.replace("extra-sum", "lost-attribute").replace(":Sum", ":Summe"),
        "loaded",
        "fusion 'lost-attribute' cannot be built: the module lost_attribute.fusion holds no Summe",
    ),
    "lost-module": (
        GOOD.replace("extra-sum", "lost-module").replace(".fusion", ".fussion"),
        "loaded",
        "fusion 'lost-module' cannot be built: there is no module lost_module.fussion",
    ),
    "misspelt": (
        "from affectzoo import hookimpl\n@hookimpl\ndef affectzoo_fusoins(): return []",
        "failed",
        "affectzoo_fusions?",
    ),
    "newer": (NEWER, "failed", "it is for plugin API 2, this affectzoo has 1; upgrade affectzoo"),
    "prints": ("print('hello')\n" + GOOD.replace("extra-sum", "printed"), "loaded", "its hook module prints when"),
    "raises": ("raise RuntimeError('out of\\n\\ncheese')", "failed", "RuntimeError: out of cheese"),
    "registers": (REGISTERS, "failed", "leave @affectzoo.register_... to scripts and notebooks"),
    "slow": ("import time; time.sleep(1.1)\n" + GOOD.replace("extra-sum", "slow"), "loaded", "s to import"),
    "takes-stdout": (TAKES_STDOUT + GOOD.replace("extra-sum", "taken"), "loaded", "1 fusion"),
    "tomorrow": (VERSIONS, "loaded", "fusion 'of-tomorrow' is not loaded: it is for plugin API 2, this affectzoo has 1;"),
}


@pytest.fixture(scope="module")
def bad_site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    for name, (source, _, _) in {**BAD, "good": (GOOD, "", "")}.items():
        write(folder, name, source)
    return folder


def command(site: Path, *arguments: str) -> subprocess.CompletedProcess:
    code = f"import sys; sys.argv[1:] = {list(arguments)!r}; from affectzoo.cli import main; main()"
    return run(site, code, COLUMNS="400")


def test_every_bad_plugin_has_one_line_in_affectzoo_plugins(bad_site):
    done = command(bad_site, "plugins")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for name, (_, status, words) in BAD.items():
        (line,) = [line for line in lines if line.split()[1:2] == [name]]
        assert line.split()[:4] == ["main", name, "1.5", status]
        assert words in line
    (line,) = [line for line in lines if line.split()[1:2] == ["good"]]
    assert line.split()[3:] == ["loaded", "1", "fusion"]
    # Each failure is told once besides, and not where the output goes.
    assert done.stderr.count("was not loaded") == sum(status == "failed" for _, status, _ in BAD.values())


def test_beside_every_bad_plugin_everything_else_works(bad_site):
    code = """
import affectzoo
print(affectzoo.create_temporal("tcn", in_dim=3).out_dim > 0)
print(affectzoo.create_temporal("affectzoo/gru", in_dim=3).out_dim > 0)
print({"extra-sum", "of-today", "printed", "slow", "taken"} <= set(affectzoo.list_fusions()))
for name in ("of-tomorrow", "lost-module", "lost-attribute", "from-hook"):
    try:
        affectzoo.create_fusion(name, {"audio": 2}, 2)
    except affectzoo.AffectzooError as error:
        print(error)
try:
    affectzoo.info("of-tomorrow")
except affectzoo.AffectzooError as error:
    print(error)
try:
    affectzoo.create_temporal("gru", in_dim=3)
except affectzoo.AffectzooError as error:
    print(error)
"""
    done = run(bad_site, code)
    assert done.returncode == 0, done.stderr
    *worked, tomorrow, module, attribute, hook, described, collision = done.stdout.splitlines()
    assert worked == ["True"] * 3  # and nothing of what "prints" has to say
    assert tomorrow.startswith("fusion 'of-tomorrow' of tomorrow 1.5 is not loaded: it is for plugin API 2")
    assert tomorrow.endswith("pip install -U affectzoo")
    assert described == tomorrow
    assert "fusion 'lost-module' of lost-module 1.5 could not be imported from lost_module.fussion:Sum" in module
    assert "fusion 'lost-attribute' of lost-attribute 1.5 could not be imported" in attribute
    assert "no fusion is called 'from-hook'" in hook
    assert collision.endswith("write affectzoo/gru or builtin-name/gru")


def test_a_bad_plugin_leaves_the_exit_code_and_the_output_of_commands_alone(bad_site, tmp_path):
    (tmp_path / "empty").mkdir()
    alone, beside = command(tmp_path / "empty", "list", "detectors"), command(bad_site, "list", "detectors")
    assert (beside.returncode, beside.stdout) == (alone.returncode, alone.stdout) == (0, alone.stdout)
