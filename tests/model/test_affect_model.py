"""`AffectModel`: shapes, masks, missing modalities, and that features and raw inputs lead to the same prediction."""

from __future__ import annotations

import pytest
import torch

import affectzoo
from affectzoo.errors import ConfigError, InputError, PluginError, UnknownNameError
from affectzoo.model.heads import pool_steps
from tests.model.toys import ToyAudio, audio_visual_model, random_inputs

TEMPORALS = [None, "tcn", "bilstm", "gru"]


def test_output_is_one_named_column_per_target_and_step():
    model = audio_visual_model(targets=["valence", "arousal", {"name": "mood", "kind": "categorical", "classes": ["a", "b"]}])
    assert model.columns == ("valence", "arousal", "mood.a", "mood.b")
    assert model(random_inputs()).shape == (2, 4, 4)


@pytest.mark.parametrize("pool", ["mean", "median", "last"])
@pytest.mark.parametrize("length", [1, 4])
def test_a_head_that_pools_gives_one_row_per_window_or_its_steps(pool, length):
    model = audio_visual_model(head={"pool": pool}, targets="pspi", sequence={"length": length}).eval()
    inputs = random_inputs(length=length)
    assert model(inputs).shape == (2, 1)
    steps = model(inputs, pool=False)
    assert steps.shape == (2, length, 1)
    torch.testing.assert_close(model(inputs), pool_steps(steps, None, pool))
    features = {name: model.encode(name, x) for name, x in inputs.items()}
    assert torch.equal(model.forward_features(features, pool=False), steps)
    assert torch.equal(model.forward_features(features, pool=False, return_attention=True)[0], steps)


def test_without_pooling_there_is_nothing_to_leave_out():
    model, inputs = audio_visual_model().eval(), random_inputs()
    assert torch.equal(model(inputs), model(inputs, pool=False))


@pytest.mark.parametrize("stream", ["visual", "audio"])
@pytest.mark.parametrize("temporal", TEMPORALS)
def test_one_modality_needs_no_fusion(stream, temporal):
    model = affectzoo.create_model(**{stream: {"backbone": f"toy-{stream}", "temporal": temporal}})
    assert model.fusion is None
    assert model({stream: random_inputs()[stream]}).shape == (2, 4, 2)


def test_a_missing_modality_counts_as_masked_throughout():
    model = audio_visual_model().eval()
    inputs = random_inputs()
    masks = {"visual": torch.zeros(2, 4, dtype=torch.bool)}
    torch.testing.assert_close(model({"audio": inputs["audio"]}), model(inputs, masks))


@pytest.mark.parametrize("temporal", TEMPORALS)
@pytest.mark.parametrize("training", [False, True])
def test_what_a_masked_step_holds_never_matters(temporal, training):
    streams = {name: {"backbone": f"toy-{name}", "temporal": temporal} for name in ("visual", "audio")}
    model = audio_visual_model(**streams).train(training)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    inputs = random_inputs()
    masks = {name: torch.rand(2, 4) > 0.4 for name in inputs}
    results = []
    for poison in (0.0, 1e6, float("nan"), float("inf")):
        model.load_state_dict(state)
        poisoned = {n: x.masked_fill(~masks[n].view(2, 4, *[1] * (x.ndim - 2)), poison) for n, x in inputs.items()}
        output = model(poisoned, masks)
        model.zero_grad()
        output.square().mean().backward()
        gradients = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        buffers = torch.cat([b.flatten().double() for b in model.buffers()])
        results.append((output.detach(), gradients, buffers))
    for output, gradients, buffers in results:
        assert output.isfinite().all()
        assert torch.equal(output, results[0][0])
        assert torch.equal(gradients, results[0][1])
        assert torch.equal(buffers, results[0][2])


@pytest.mark.parametrize("pool", [None, "mean", "median", "last"])
@pytest.mark.parametrize("temporal", TEMPORALS)
def test_everything_masked_is_still_finite(pool, temporal):
    streams = {name: {"backbone": f"toy-{name}", "temporal": temporal} for name in ("visual", "audio")}
    model = audio_visual_model(**streams, head={"pool": pool}).eval()
    inputs = {name: torch.full_like(x, float("nan")) for name, x in random_inputs().items()}
    assert model(inputs, {name: torch.zeros(2, 4, dtype=torch.bool) for name in inputs}).isfinite().all()


@pytest.mark.parametrize("temporal", TEMPORALS)
def test_forward_is_encode_then_forward_features(temporal):
    model = audio_visual_model(visual={"backbone": "toy-visual", "temporal": temporal}).eval()
    inputs = random_inputs()
    masks = {"visual": torch.rand(2, 4) > 0.5}
    features = {name: model.encode(name, x, masks.get(name)) for name, x in inputs.items()}
    assert {name: x.shape[-1] for name, x in features.items()} == model.feature_dims == {"visual": 6, "audio": 5}
    assert torch.equal(model(inputs, masks), model.forward_features(features, masks))


def test_attention_maps_come_on_request():
    model = audio_visual_model().eval()
    features = {name: model.encode(name, x) for name, x in random_inputs().items()}
    output, attention = model.forward_features(features, return_attention=True)
    assert torch.equal(output, model.forward_features(features))
    assert attention["shares"].shape == (2, 4, 2)


def test_the_config_records_provider_full_config_and_declared_input():
    config = audio_visual_model(audio={"backbone": {"name": "toy-audio", "config": {"width": 9}}}).config
    audio = config.streams["audio"]
    assert audio.backbone.to_json() == {
        "name": "toy-audio",
        "distribution": "session",
        "version": None,
        "config": {"width": 9},
    }
    assert audio.input == affectzoo.LogMelInput(n_mels=8, frames=3)
    assert config.fusion is not None
    assert config.fusion.config == {"width": 7}


def test_a_given_input_declaration_wins_over_the_backbones_own():
    given = {"kind": "frames", "frames": 16}
    model = affectzoo.create_model(visual={"backbone": "toy-visual", "input": given})
    assert model.config.streams["visual"].input == affectzoo.FramesInput(frames=16)


@pytest.mark.parametrize(
    ("inputs", "masks", "says"),
    [
        ({}, None, "got nothing"),
        ({"thermal": torch.zeros(1, 4, 2)}, None, "this model takes visual, audio; got thermal"),
        ({"audio": torch.zeros(1, 4)}, None, "audio input must be"),
        ({"audio": torch.zeros(1, 4, 1, 8, 3)}, {"audio": torch.ones(1, 3)}, "audio mask must be"),
        ({"audio": torch.zeros(1, 4, 1, 8, 3)}, {"adio": torch.ones(1, 4)}, "masks belong to visual, audio; got adio"),
        ({"audio": torch.zeros(1, 5, 1, 8, 3)}, None, "built for L = 4"),
        ({"audio": torch.zeros(1, 4, 1, 8, 3), "visual": torch.zeros(2, 4, 3, 2, 4, 4)}, None, "features must be"),
    ],
)
def test_wrong_input_is_named(inputs, masks, says):
    with pytest.raises(InputError, match=says):
        audio_visual_model().eval()(inputs, masks)


def test_encoding_an_unknown_modality_is_an_input_error():
    with pytest.raises(InputError, match="takes visual, audio; got thermal"):
        audio_visual_model().encode("thermal", torch.zeros(1, 4, 2))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"visual": None, "audio": None}, "at least one stream"),
        ({"fusion": None}, "need a fusion"),
        ({"audio": None}, "one modality needs no fusion"),
        ({"targets": []}, "targets must be named"),
        ({"targets": ["valence", "valence"]}, "each once"),
        ({"targets": ["joy"]}, "no standard range"),
        ({"head": {"hiden": 3}}, "unknown key 'head.hiden'; did you mean 'hidden'"),
        ({"sequence": {"length": 0}}, "sequence.length"),
        ({"streams": {"items": "toy-audio"}}, "cannot be called 'items'"),
        ({"audio": {"backbone": {"name": "toy-audio", "config": {"widht": 3}}}}, "unknown key 'widht'; did you mean 'width'"),
        ({"audio": {"backbone": {"name": "toy-audio", "config": {"width": -3}}}}, "could not be built"),
        ({"audio": {"backbone": {"name": "toy-audio", "config": {"width": "wide"}}}}, "could not be built"),
        ({"audio": {"backbone": {"name": "toy-audio", "config": {"width": 10**14}}}}, "could not be built"),
        ({"audio": {"backbone": "toy-audio", "temporal": {"name": "tcn", "config": {"dropout": 2}}}}, "could not be built"),
        ({"audio": {"backbone": "toy-audio", "temporal": {"name": "tcn", "config": {"kernel": 2}}}}, "kernel must be odd"),
    ],
)
def test_parts_that_do_not_make_a_model_are_a_config_error(arguments, says):
    with pytest.raises(ConfigError, match=says):
        audio_visual_model(**arguments)


def test_one_target_may_be_given_as_a_plain_name():
    assert audio_visual_model(targets="valence").columns == ("valence",)


def test_targets_named_like_attributes_of_a_module_dict_keep_their_own_regressor():
    names = ["values", "type", "training", "pop"]
    model = audio_visual_model(targets=[{"name": name} for name in names])
    assert model.columns == tuple(names)
    assert len(model.head.regressors) == 4


def test_unknown_component_names_the_near_one():
    with pytest.raises(UnknownNameError, match=r"'toy-sum'.*affectzoo list fusions"):
        audio_visual_model(fusion="toy-sun")


def test_a_component_that_breaks_the_contract_says_what_is_missing():
    @affectzoo.register_backbone("toy-forgetful")
    class Forgetful(affectzoo.Backbone):
        def __init__(self) -> None:
            super().__init__()
            self.input = affectzoo.WaveformInput()

        def forward(self, x):
            return x

    with pytest.raises(PluginError, match=r"must set self\.feature_dim"):
        affectzoo.create_backbone("toy-forgetful")

    @affectzoo.register_fusion("toy-widthless")
    class Widthless(affectzoo.Fusion):
        def __init__(self, dims, seq_len, *, width=3) -> None:  # noqa: ARG002
            super().__init__()
            self.out_dim = width

    for width in ("3", None, 0, 2.5, True):
        with pytest.raises(PluginError, match=r"toy-widthless.* self\.out_dim must be a whole number from 1 up, not "):
            affectzoo.create_fusion("toy-widthless", {"a": 2, "b": 2}, 3, width=width)

    @affectzoo.register_backbone("toy-foreign")
    class Foreign(torch.nn.Module):
        pass

    with pytest.raises(PluginError, match=r"must derive from affectzoo\.Backbone"):
        affectzoo.create_backbone("toy-foreign")


def test_configuration_that_is_not_json_is_refused_when_built():
    with pytest.raises(ConfigError, match="finite number"):
        affectzoo.create_backbone("toy-audio", width=float("nan"))


def test_a_subclass_registered_again_replaces_the_first():
    @affectzoo.register_backbone("toy-again")
    class First(ToyAudio):
        pass

    @affectzoo.register_backbone("toy-again")
    class Second(ToyAudio):
        pass

    assert type(affectzoo.create_backbone("toy-again")) is Second
    assert affectzoo.list_backbones().count("toy-again") == 1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_keeps_masks_harmless(dtype):
    model = audio_visual_model(visual={"backbone": "toy-visual", "temporal": "tcn"}, head={"pool": "median"})
    model = model.to(dtype).eval()
    inputs = {name: x.to(dtype) for name, x in random_inputs().items()}
    masks = {name: torch.rand(2, 4) > 0.5 for name in inputs}
    poisoned = {n: x.masked_fill(~masks[n].view(2, 4, *[1] * (x.ndim - 2)), float("nan")) for n, x in inputs.items()}
    output = model(poisoned, masks)
    assert output.dtype == dtype
    assert torch.equal(output, model(inputs, masks))
