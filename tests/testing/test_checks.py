"""Named checks, with and without pytest, and what is said where they cannot be made."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import affectzoo
from affectzoo.errors import ConfigError, PluginError, UnknownNameError
from affectzoo.registry import SESSION, FusionSpec, ImporterSpec, TemporalSpec, register_fusion, registry
from affectzoo.testing import Check, CheckFailed, Subject, checks, hook_module, parametrize_with_checks
from tests.testing.wrong_fusions import Right, TakesAnything

ROOT = Path(__file__).resolve().parents[2]


def spec_of(fusion: type, name: str = "") -> FusionSpec:
    target = f"tests.testing.wrong_fusions:{fusion.__name__}"
    return FusionSpec(name=name or fusion.__name__.lower(), summary="for these tests", licence="Apache-2.0", target=target)


RIGHT, WRONG = spec_of(Right), spec_of(TakesAnything)


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


# One check.


def test_another_plugins_hook_that_ends_the_process_stops_no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = ModuleType("broken_hooks")

    def affectzoo_fusions() -> None:
        raise SystemExit(3)

    affectzoo_fusions.__module__ = "broken_hooks"
    broken.affectzoo_fusions = affectzoo.hookimpl(affectzoo_fusions)  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "broken_hooks", broken)
    assert checks(RIGHT)


def test_a_failure_names_component_and_check() -> None:
    check = checks(WRONG, only=["unknown-key-refused"])[0]
    with pytest.raises(CheckFailed, match=r"^takesanything: unknown-key-refused: the config key .* was accepted"):
        check()
    assert str(check) == "takesanything: unknown-key-refused"
    assert check.promise.endswith(".")


def test_what_a_component_raises_is_a_failure_with_its_cause() -> None:
    def broken(_: Subject) -> None:
        raise RuntimeError("odd")

    with pytest.raises(CheckFailed, match=r"^right: odd-check: RuntimeError: odd$") as caught:
        Check("odd-check", "Nothing.", Subject("fusion", RIGHT), broken)()
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_component_that_cannot_be_built_fails_every_check_rather_than_stopping_the_list() -> None:
    absent = FusionSpec(name="absent", summary="-", licence="MIT", target="no_such_package.fusion:Mine")
    for check in checks(absent):
        with pytest.raises(CheckFailed, match="no_such_package"):
            check()


def test_config_and_variant_reach_the_constructor() -> None:
    assert checks(RIGHT, config={"dim": 3})[0].subject.build(dims={"audio": 2, "visual": 2}, seq_len=1).out_dim == 3
    with pytest.raises(CheckFailed, match=r"unknown key 'dimm'; did you mean 'dim'\?"):
        checks(RIGHT, config={"dimm": 3}, only=["permutation"])[0]()
    family = FusionSpec(name="right/", summary="-", licence="MIT", target=RIGHT.target)
    assert {check.subject.name for check in checks(family, variant="wide")} == {"right/wide"}


def test_a_component_of_this_session_is_checked_as_it_was_registered_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry()._entries, "fusion", registry().entries("fusion"))  # and forgotten afterwards
    register_fusion("right-of-the-kit")(TakesAnything)
    register_fusion("right-of-the-kit")(Right)
    spec = registry().find("fusion", "right-of-the-kit", SESSION).spec
    made = checks(spec, only=["unknown-key-refused", "output-shape"])  # pyright: ignore[reportArgumentType]
    for check in made:
        check()
    assert len(made) == 2


def test_a_component_is_checked_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry()._entries, "fusion", registry().entries("fusion"))
    register_fusion("right-by-name")(Right)
    for name in ("right-by-name", "session/right-by-name"):
        (check,) = checks(name, kind="fusion", config={"dim": 3}, only=["output-shape"])
        check()
        assert str(check) == "right-by-name: output-shape"
    assert "hook-without-torch" in {check.name for check in checks("gru", kind="temporal")}
    assert checks("timm/resnet18", kind="backbone")[0].subject.variant == "resnet18"
    with pytest.raises(UnknownNameError, match="Did you mean 'right-by-name'"):
        checks("right-by-nam", kind="fusion")


# Which checks.


def test_only_keeps_the_order_of_the_suite_and_may_be_a_single_name() -> None:
    assert [check.name for check in checks(RIGHT, only="permutation")] == ["permutation"]
    assert [check.name for check in checks(RIGHT, only=["permutation", "output-shape"])] == ["output-shape", "permutation"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: checks(RIGHT, only=["permutations"]), r"there is no check 'permutations'\. Did you mean 'permutation'"),
        (
            lambda: checks(FusionSpec(name="f/", summary="-", licence="MIT", target="a:B")),
            "'f/' is a family of components; say which one",
        ),
        (
            lambda: checks(ImporterSpec(name="i", summary="-", licence="MIT", target="a:B")),
            "no checks for ImporterSpec, only for the specs of backbone, ",
        ),
        (lambda: checks(Subject("fusion", RIGHT), config={"dim": 2}), "a Subject has its own config and variant"),
        (
            lambda: checks("concat"),
            "'concat' is a name: say the whole of it, and what it names as kind='backbone' or 'block' or ",
        ),
        (lambda: checks("concat", kind="fusions"), "'concat' is a name: "),
        (lambda: checks(RIGHT, kind="block"), "'right' has the spec of a fusion, not of a block"),
        (lambda: checks(Subject("fusions", RIGHT)), "'right' has the spec of a fusion, not of a fusions"),
        (lambda: parametrize_with_checks([]), "no spec"),
        (lambda: parametrize_with_checks(RIGHT), "takes a list of specs; put 'right' into one"),  # pyright: ignore[reportArgumentType]
        (
            lambda: parametrize_with_checks([RIGHT], expected_failures={"compiled": " "}),
            "say why 'compiled' is expected to fail, instead of ' '",
        ),
        (
            lambda: parametrize_with_checks([RIGHT], expected_failures={"right": {"compiled": None}}),  # pyright: ignore[reportArgumentType]
            "say why 'compiled' is expected to fail, instead of None",
        ),
        (
            lambda: parametrize_with_checks([RIGHT], expected_failures={"compild": "slow"}),
            r"these components: there is no check 'compild'\. Did you mean 'compiled'",
        ),
        (
            lambda: parametrize_with_checks([RIGHT], expected_failures={"write": {"compiled": "slow"}}),
            "names 'write', which is none of the components",
        ),
        (
            lambda: parametrize_with_checks([RIGHT], expected_failures={"right": {"compild": "slow"}}),
            r"right: there is no check 'compild'\.",
        ),
    ],
)
def test_what_cannot_be_checked_is_said_in_one_sentence(call: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_an_unusable_spec_is_refused_at_once() -> None:
    with pytest.raises(PluginError, match="licence"):
        checks(FusionSpec(name="right", summary="-", licence=" ", target=RIGHT.target))


def test_every_kind_has_checks_whose_names_are_unique_and_that_promise_something() -> None:
    from affectzoo.testing.suites import _SUITES

    for module in _SUITES.values():
        rows = importlib.import_module(module).CHECKS
        names = [name for name, _, _ in rows]
        assert len(names) == len(set(names)) > 3, module
        assert all(promise.strip() for _, promise, _ in rows), module


# With pytest, and without.


def test_ids_and_expected_failures() -> None:
    decorator = parametrize_with_checks([RIGHT, WRONG], expected_failures={"compiled": "c", "takesanything": {"exported": "e"}})
    parameters = decorator.args[1]  # pyright: ignore[reportFunctionMemberAccess]
    assert [p.id for p in parameters[:2]] == ["right-output-shape", "right-missing-modality"]
    marked = {p.id: p.marks[0].kwargs for p in parameters if p.marks}
    assert set(marked) == {"right-compiled", "takesanything-compiled", "takesanything-exported"}
    assert marked["takesanything-exported"] == {"reason": "e", "strict": True, "raises": CheckFailed}


def test_an_expected_failure_is_strict(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        "from affectzoo.registry import FusionSpec\n"
        "from affectzoo.testing import parametrize_with_checks\n"
        "def spec(name):\n"
        "    return FusionSpec(name=name.lower(), summary='-', licence='MIT', target=f'tests.testing.wrong_fusions:{name}')\n"
        "@parametrize_with_checks([spec('Right'), spec('TakesAnything')], expected_failures={'unknown-key-refused': 'known'})\n"
        "def test_contract(check):\n"
        "    check()\n"
    )
    done = python(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "unknown or permutation", str(tmp_path / "test_mine.py")
    )
    assert "2 passed" in done.stdout
    assert "1 xfailed" in done.stdout
    assert "FAILED" in done.stdout
    assert "right-unknown-key-refused" in done.stdout
    assert "XPASS(strict)" in done.stdout
    assert done.returncode == 1


def test_checks_run_without_pytest_and_load_no_accelerate() -> None:
    code = (
        "import sys\n"
        "from affectzoo.registry import FusionSpec\n"
        "from affectzoo.testing import checks\n"
        "spec = FusionSpec(name='right', summary='-', licence='MIT', target='tests.testing.wrong_fusions:Right')\n"
        "for check in checks(spec, only=['output-shape', 'permutation']):\n"
        "    check()\n"
        "sys.exit(' '.join({'pytest', 'accelerate'} & set(sys.modules)) or 0)\n"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr


# The hook module.

_HOOKS = """
from affectzoo.registry import TemporalSpec, hookimpl
{imports}
SPEC = TemporalSpec(name="mine-of-the-kit", summary="-", licence="MIT", target="affectzoo.model.temporal:GRU")

@hookimpl
def affectzoo_temporals():
    {body}
"""


@pytest.fixture
def declare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Writes and imports a hook module; gives the check of it."""
    monkeypatch.syspath_prepend(tmp_path)
    made = []

    def write(name: str, *, imports: str = "", body: str = "return [SPEC]") -> Check:
        (tmp_path / f"{name}.py").write_text(_HOOKS.format(imports=imports, body=body))
        module = importlib.import_module(name)
        made.append(name)
        return checks(module.SPEC, only=["hook-without-torch"])[0]

    yield write
    for name in made:
        del sys.modules[name]


def test_a_light_hook_module_passes(declare: Any) -> None:
    declare("light_hooks")()


@pytest.mark.parametrize(
    "given", [{"imports": "import torch"}, {"body": "import torch; return [SPEC]"}], ids=["at import", "in the hook"]
)
def test_a_hook_module_that_imports_torch_is_caught(declare: Any, given: dict[str, str]) -> None:
    with pytest.raises(CheckFailed, match=r"mine-of-the-kit: hook-without-torch: importing heavy_hooks .* imports torch"):
        declare("heavy_hooks", **given)()


def test_a_hook_module_that_works_only_here_is_caught(declare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "only_in_this_process", sys)
    with pytest.raises(CheckFailed, match=r"cannot be imported in a fresh interpreter: .*only_in_this_process"):
        declare("bound_hooks", imports="import only_in_this_process")()


def test_a_hook_module_that_does_not_come_back_is_named(declare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    check = declare("slow_hooks")
    monkeypatch.setattr(hook_module, "_PATIENCE_S", 0.001)
    with pytest.raises(CheckFailed, match=r"importing its hook module slow_hooks takes more than 0\.001 s"):
        check()


def test_a_hook_module_that_ends_the_process_is_caught(declare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIT_TEST", "here")
    check = declare("ending_hooks", imports="import os; 'KIT_TEST' in os.environ or os._exit(0)")
    monkeypatch.delenv("KIT_TEST")
    with pytest.raises(CheckFailed, match="ending_hooks cannot be imported in a fresh interpreter: no message"):
        check()


def test_somebody_elses_raising_hook_costs_nothing(declare: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bad_hooks.py").write_text(_HOOKS.format(imports="", body="raise OSError"))
    monkeypatch.delitem(sys.modules, "bad_hooks", raising=False)
    importlib.import_module("bad_hooks")
    declare("good_hooks")()
    del sys.modules["bad_hooks"]


def test_without_a_hook_module_there_is_no_check_of_it() -> None:
    undeclared = TemporalSpec(name="nowhere", summary="-", licence="MIT", target="affectzoo.model.temporal:GRU")
    assert "hook-without-torch" not in {check.name for check in checks(undeclared)}
