"""`affectzoo.info`: what a name is, who provides it, and which options it takes."""

from __future__ import annotations

import pytest

import affectzoo
from affectzoo.errors import NameCollisionError, PluginError, UnknownNameError
from affectzoo.hub import describe
from affectzoo.registry import FusionSpec, ModelSpec, PluginRecord, Registry


def test_a_component_is_described_with_its_options():
    described = affectzoo.info("tcn")
    assert (described.kind, described.provider, described.licence) == (
        "temporal",
        f"affectzoo {affectzoo.__version__}",
        "Apache-2.0",
    )
    assert described.options == {"hidden": "128", "levels": "2", "kernel": "3", "dropout": "0.1"}
    text = str(described)
    assert text.startswith("tcn (temporal): dilated residual temporal convolutions\n")
    assert "    levels = 2\n" in text
    assert "receptive field" in text


def test_a_required_option_says_so():
    @affectzoo.register_temporal("needs-width")
    class NeedsWidth(affectzoo.Temporal):
        """Toy."""

        def __init__(self, in_dim: int, *, width: int, **_) -> None: ...

    assert affectzoo.info("needs-width").options == {"width": "required"}


def test_an_unknown_name_of_any_kind_has_near_matches():
    with pytest.raises(UnknownNameError, match=r"nothing is called 'bilsmt'\. Did you mean 'bilstm'.*`affectzoo list`"):
        affectzoo.info("bilsmt")


def fake(monkeypatch, *records) -> None:
    monkeypatch.setattr(describe, "registry", lambda: Registry(list(records)))


def test_a_model_is_described_from_its_spec(monkeypatch):
    spec = ModelSpec(
        name="m", summary="a model", licence="MIT", location="hub://a/b", targets=("valence",), parameters=1234567, size_mb=4.94
    )
    fake(monkeypatch, PluginRecord("p", "extras", "1.0", specs={"model": [spec]}))
    described = affectzoo.info("m")
    assert described.facts == {"targets": "valence", "parameters": "1,234,567", "size": "4.9 MB", "weights": "hub://a/b"}
    assert "provided by: extras 1.0" in str(described)


def test_a_collision_names_the_providers(monkeypatch):
    spec = FusionSpec(name="sum", summary="a sum", licence="MIT", target="a:B")
    fake(monkeypatch, *(PluginRecord("p", name, "1.0", specs={"fusion": [spec]}) for name in ("one", "two")))
    with pytest.raises(NameCollisionError, match="write one/sum or two/sum"):
        affectzoo.info("sum")


def test_a_component_whose_code_is_absent_is_one_sentence(monkeypatch):
    spec = FusionSpec(name="sum", summary="a sum", licence="MIT", target="no_such_module:B")
    fake(monkeypatch, PluginRecord("p", "one", "1.0", specs={"fusion": [spec]}))
    with pytest.raises(PluginError, match="could not be imported from no_such_module:B"):
        affectzoo.info("sum")
