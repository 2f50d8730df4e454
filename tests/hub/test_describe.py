"""`affectzoo.info`: what a name is, who provides it, and which options it takes."""

from __future__ import annotations

import pytest
from torch import nn

import affectzoo
from affectzoo.cards.bundled import bundled_cards
from affectzoo.cards.statement import STATEMENT
from affectzoo.errors import ConfigError, NameCollisionError, PluginError, UnknownNameError
from affectzoo.hub import describe
from affectzoo.hub.describe import info_of_all
from affectzoo.registry import FusionSpec, ImporterSpec, ModelSpec, PluginRecord, Registry


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
    assert described.facts == {
        "targets": "valence",
        "parameters": "1,234,567",
        "size": "4.9 MB",
        "weights": "downloaded when first used, hub://a/b",
    }
    assert "provided by: extras 1.0" in str(described)
    assert described.text == ""


def test_weights_of_others_are_described_with_importer_hash_and_caution(monkeypatch):
    spec = ModelSpec(
        name="m",
        summary="a model",
        licence="MIT",
        location="https://example.org/m.pt",
        importer="toy",
        digest=f"git:{'0' * 40}",
        caution="Beware.",
    )
    fake(monkeypatch, PluginRecord("p", "extras", "1.0", specs={"model": [spec]}))
    assert affectzoo.info("m").facts == {
        "weights": "downloaded when first used, https://example.org/m.pt",
        "digest": f"git:{'0' * 40}",
        "converted by": "the importer toy",
        "caution": "Beware.",
    }


def test_a_model_and_the_importer_that_makes_it_may_have_one_name(monkeypatch):
    model = ModelSpec(name="m", summary="a model", licence="MIT", location="hub://a/b@c", importer="m")
    importer = ImporterSpec(
        name="m", summary="an importer", licence="MIT", target="json:loads", weights_licence="CC0-1.0", reads="a .pt file"
    )
    fake(monkeypatch, PluginRecord("p", "extras", "1.0", specs={"model": [model], "importer": [importer]}))
    assert {described.kind for described in info_of_all("m")} == {"model", "importer"}
    facts = affectzoo.info("m", kind="importer").facts
    assert facts == {"reads": "a .pt file", "licence of the weights": "CC0-1.0"}


@pytest.mark.parametrize("card", bundled_cards(), ids=lambda card: card.front.name)
def test_a_zoo_model_is_described_with_what_its_card_says(card):
    described = affectzoo.info(card.front.name)
    text = str(described)
    for said in (card.front.data, *card.front.limits, card.front.use.intended, card.front.use.forbidden, STATEMENT):
        assert " ".join(said.split()) in " ".join(text.split())
    for row in card.front.metrics:
        assert (row.command or row.reported_by) in text
    assert "\n# " not in text, "the title is said once"


def test_an_architectures_card_is_told_with_its_networks_and_the_statement():
    assert STATEMENT.strip() in affectzoo.info("msn-69", kind="backbone").text


def test_a_plugins_broken_card_is_one_sentence_with_its_file(monkeypatch, tmp_path):
    (tmp_path / "toy_cards").mkdir()
    (tmp_path / "toy_cards" / "__init__.py").touch()
    (tmp_path / "toy_cards" / "m.md").write_text("---\nname: m\n---\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    spec = ModelSpec(name="m", summary="a model", licence="MIT", location="hub://a/b", card="toy_cards:m.md")
    fake(monkeypatch, PluginRecord("p", "extras", "1.0", specs={"model": [spec]}))
    with pytest.raises(ConfigError, match=r"^m\.md: key 'summary' is missing"):
        affectzoo.info("m")


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


class Described(affectzoo.Backbone):
    """Toy."""

    built = 0

    def __init__(self, *, width: int = 6) -> None:
        super().__init__()
        type(self).built += 1
        self.feature_dim = width
        self.input = affectzoo.FramesInput(frames=2, height=4, width=4)
        self.convolution = nn.Conv3d(3, width, 1)

    def forward(self, x):
        return self.convolution(x).mean(dim=(2, 3, 4))


def test_a_backbone_is_measured_as_it_is_built_by_default():
    affectzoo.register_backbone("measured")(Described)
    assert affectzoo.info("measured").facts == {
        "input": "2 face crops of 4 x 4",
        "features": "6",
        "parameters": "24",
        "GMAC": "5.8e-07 at 1 x 3 x 2 x 4 x 4",
    }


def test_what_cannot_be_built_without_arguments_is_described_without_facts():
    class Demanding(Described):
        """Toy."""

        def __init__(self, *, width: int) -> None:
            super().__init__(width=width)

    class Values(Described):
        """Looks at what it is given, which says nothing on the meta device."""

        def forward(self, x):
            return super().forward(x) if bool((x > 0).any()) else x

    affectzoo.register_backbone("demanding")(Demanding)
    affectzoo.register_backbone("values")(Values)
    assert affectzoo.info("demanding").facts == affectzoo.info("values").facts == {}


def test_a_block_is_described_without_being_built():
    @affectzoo.register_block("untouched")
    class Untouched(affectzoo.Block):
        """Toy."""

        def __init__(self, in_channels, width, stride=1, *, multiscale=True) -> None:  # noqa: ARG002
            raise AssertionError

        def forward(self, x):
            return x

    assert affectzoo.info("untouched", kind="block").options == {"multiscale": "True"}


def test_a_corpus_is_described_with_its_card_and_options():
    @affectzoo.register_dataset("described-corpus", licence="MIT")
    class Described360(affectzoo.Corpus):
        """A toy corpus."""

        card = affectzoo.DatasetCard(
            title="Described",
            licence="by agreement",
            source="nowhere",
            how_to_obtain="ask",
            layout="*.mp4",
            citation="none",
            protocol="none",
            metric="CCC",
            checked="a miniature, not the corpus",
        )

        def __init__(self, root, *, fps: float = 25.0) -> None:
            super().__init__(root)
            self.fps = fps

        def scan(self):
            return iter(())

    found = affectzoo.info("described-corpus")
    assert found.options == {"root": "required", "fps": "25.0"}
    assert "A toy corpus." in found.text
    assert "licence: by agreement" in found.text
    assert "checked: a miniature, not the corpus" in found.text


def test_a_backbone_of_signals_is_measured_too():
    class Sensor(affectzoo.Backbone):
        """Toy."""

        def __init__(self) -> None:
            super().__init__()
            self.feature_dim = 5
            self.input = affectzoo.SignalInput(channels=3, samples=4)
            self.linear = nn.Linear(12, 5)

        def forward(self, x):
            return self.linear(x.flatten(1))

    affectzoo.register_backbone("sensor")(Sensor)
    assert affectzoo.info("sensor").facts["input"] == "a signal of 3 channels x 4 samples"
    assert affectzoo.info("sensor").facts["GMAC"].endswith("at 1 x 4 x 3")


def test_a_loader_without_options_of_its_own_takes_a_root_alone():
    @affectzoo.register_dataset("bare-corpus", licence="MIT")
    class Bare(affectzoo.Corpus):
        """A toy corpus."""

        def scan(self):
            return iter(())

    assert affectzoo.info("bare-corpus").options == {"root": "required"}
