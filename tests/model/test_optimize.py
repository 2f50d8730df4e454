"""`AffectModel.optimize_for_inference`: the same predictions, whatever the backbone does with its batch norms."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import affectzoo
from affectzoo.errors import CheckpointError, InputError
from affectzoo.model.folding import fold_norms
from tests.model.toys import audio_visual_model, random_inputs


class Toy(affectzoo.Backbone):
    """Convolution, batch norm and ReLU; subclasses connect them in other ways."""

    def __init__(self) -> None:
        super().__init__()
        self.feature_dim = 8
        self.input = affectzoo.FramesInput(frames=2, height=8, width=8)
        self.first, self.second = nn.Conv3d(3, 8, 3, padding=1), nn.Conv3d(8, 8, (1, 3, 3), padding=(0, 1, 1), bias=False)
        self.first_norm, self.second_norm = nn.BatchNorm3d(8), nn.BatchNorm3d(8)
        self.relu, self.again = nn.ReLU(inplace=True), nn.ReLU()
        for norm in (self.first_norm, self.second_norm):
            nn.init.uniform_(norm.weight, 0.5, 2.0)
            nn.init.normal_(norm.bias)
            nn.init.normal_(norm.running_mean)
            nn.init.uniform_(norm.running_var, 0.5, 2.0)

    def body(self, x: Tensor) -> Tensor:
        x = self.relu(self.first_norm(self.first(x)))
        return self.again(self.second_norm(self.second(x)))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x).mean(dim=(2, 3, 4))


class OutputUsedTwice(Toy):
    """What the first convolution gives goes past its batch norm, too."""

    def body(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.again(self.second_norm(self.second(self.first_norm(x)))) + x


class NormUsedTwice(Toy):
    """The batch norm's output is needed before the ReLU as well as after it."""

    def body(self, x: Tensor) -> Tensor:
        x = self.first_norm(self.first(x))
        return self.second_norm(self.second(self.again(x))) + x


class SharedNorm(Toy):
    """One batch norm and one ReLU after two convolutions."""

    def body(self, x: Tensor) -> Tensor:
        x = self.again(self.first_norm(self.first(x)))
        return self.again(self.first_norm(self.second(x)))


class SharedConvolution(Toy):
    """One convolution, two batch norms."""

    def body(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.second_norm(self.second(self.first_norm(self.second(x))))


class ReluBeforeNorm(Toy):
    """The in-place ReLU comes first: the batch norm sees the same tensor, changed."""

    def body(self, x: Tensor) -> Tensor:
        return self.first_norm(self.relu(self.first(x)))


class NormAct(nn.BatchNorm3d):
    """Batch norm with an activation inside, as timm has it."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.drop, self.act = nn.Identity(), nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.drop(super().forward(x)))


class WithNormAct(Toy):
    """The activation stays when the norm goes."""

    def __init__(self) -> None:
        super().__init__()
        self.first_norm = NormAct(8)


class Standardised(nn.Conv3d):
    """Normalises its weights at every call: scaling them changes nothing."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean(dim=(1, 2, 3, 4), keepdim=True)
        return self._conv_forward(x, weight / weight.flatten(1).norm(dim=1).view(-1, 1, 1, 1, 1), self.bias)


class WithStandardised(Toy):
    """The first convolution is not one that a norm can be folded into."""

    def __init__(self) -> None:
        super().__init__()
        self.first = Standardised(3, 8, 3, padding=1)


class Rewritten(nn.Conv3d):
    """Computes what its weights say, in its own way."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([super(Rewritten, self).forward(clip[None])[0] for clip in x])


class WithRewritten(Toy):
    """A subclass that is a plain convolution by its numbers: packed as one."""

    def __init__(self) -> None:
        super().__init__()
        self.first = Rewritten(3, 8, 3, padding=1)


class NoNorms(Toy):
    """Nothing to fold."""

    def body(self, x: Tensor) -> Tensor:
        return self.again(self.second(self.relu(self.first(x))))


FOLDED = {
    Toy: 2,
    OutputUsedTwice: 1,
    NormUsedTwice: 2,
    SharedNorm: 0,
    SharedConvolution: 0,
    ReluBeforeNorm: 0,
    WithNormAct: 2,
    WithStandardised: 1,
    WithRewritten: 2,
    NoNorms: 0,
}


def toy_model(kind: type[Toy] = Toy, **more) -> affectzoo.AffectModel:
    affectzoo.register_backbone("toy-kind")(kind)
    return affectzoo.create_model(visual="toy-kind", sequence={"length": 3}, **more)


def windows(batch: int = 2) -> dict[str, Tensor]:
    return {"visual": torch.randn(batch, 3, 3, 2, 8, 8)}


@pytest.mark.parametrize(("kind", "expected"), FOLDED.items(), ids=lambda value: getattr(value, "__name__", str(value)))
def test_only_norms_that_alone_follow_a_convolution_are_folded(kind, expected):
    backbone, x = kind().eval(), torch.randn(2, 3, 2, 8, 8)
    folded, count, _ = fold_norms(backbone, x)
    assert count == expected
    torch.testing.assert_close(folded(x), backbone(x), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", FOLDED, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("layout", ["contiguous", "channels-last", "packed"])
def test_every_layout_gives_the_same_features(kind, layout):
    from affectzoo.model.optimize import _variants

    backbone, x = kind().eval(), torch.randn(2, 3, 2, 8, 8)
    variants = {v.layout: v for v in _variants(backbone, x, ["float32"])}
    if layout == "packed" and layout not in variants:
        pytest.skip("this build of torch packs no weights")
    for size in (2, 5):  # packed for two, and used for any number
        y = torch.randn(size, 3, 2, 8, 8)
        torch.testing.assert_close(variants[layout].run(y), backbone(y), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("kind", "plain"), [(Toy, True), (WithRewritten, True), (WithStandardised, False)])
def test_a_convolution_is_packed_where_it_computes_what_its_weights_say(kind, plain):
    from affectzoo.model.optimize import _is_plain

    first = kind().first.requires_grad_(False)
    assert _is_plain(first, [2, 3, 2, 8, 8]) == plain
    assert _is_plain(first.bfloat16(), [2, 3, 2, 8, 8]) == plain


def test_the_original_is_untouched_and_trains_on():
    model = toy_model().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    optimised = model.optimize_for_inference(batch_size=2, seconds=0.01)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert model.training
    assert model.backbones["visual"].training
    assert not any(module.training for module in optimised.modules())
    model(windows()).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_predictions_agree_with_float32_also_for_a_half_model(dtype, tmp_path):
    toy_model().to(getattr(torch, dtype)).save_pretrained(tmp_path)
    model = affectzoo.AffectModel.from_folder(tmp_path)
    exact = affectzoo.AffectModel.from_folder(tmp_path, dtype="float32")
    optimised = model.optimize_for_inference(batch_size=2, dtypes=["float32"], seconds=0.01)
    inputs = windows()
    y = optimised(inputs)
    assert y.dtype == torch.float32
    assert next(optimised.parameters()).dtype == torch.float32
    assert next(model.parameters()).dtype == getattr(torch, dtype)
    torch.testing.assert_close(y, exact(inputs), atol=1e-4, rtol=1e-3)
    features = optimised.encode("visual", inputs["visual"])
    assert features.dtype == torch.float32
    torch.testing.assert_close(optimised.forward_features({"visual": features}), y)


def test_masks_absent_streams_and_fusion_work_as_before():
    model = audio_visual_model().eval()
    optimised = model.optimize_for_inference(batch_size=2, dtypes=["float32"], seconds=0.01)
    inputs = random_inputs()
    masks = {"visual": torch.tensor([[True, False, True, False], [False] * 4])}
    inputs["visual"][0, 1] = float("nan")
    torch.testing.assert_close(optimised(inputs, masks), model(inputs, masks), atol=1e-4, rtol=1e-3)
    only = {"audio": inputs["audio"]}
    torch.testing.assert_close(optimised(only), model(only), atol=1e-4, rtol=1e-3)
    with pytest.raises(InputError, match="this model takes visual, audio"):
        optimised({"smell": inputs["audio"]})


def test_a_low_dtype_gives_float32_and_the_report_says_what_it_changes():
    model = toy_model().eval()
    optimised = model.optimize_for_inference(batch_size=4, dtypes=["bfloat16"], seconds=0.01)
    report = optimised.report
    assert optimised(windows()).dtype == torch.float32
    assert list(report.differences) == ["valence", "arousal"]
    (stream,) = report.streams
    assert (stream.stream, report.batch_size, report.device) == ("visual", 4, "cpu")
    assert stream.before_ms is not None
    assert "visual: " in str(report)
    assert "valence by at most" in str(report)


def test_a_tolerance_is_honoured(monkeypatch):
    from affectzoo.model import optimize

    real = optimize._timed

    def favour_bfloat16(variant, x):
        y = real(variant, x)
        variant.ms = {"bfloat16": 1.0, "float32": 2.0}.get(variant.dtype, 3.0)
        return y

    monkeypatch.setattr(optimize, "_timed", favour_bfloat16)
    model = toy_model().eval()
    options = {"batch_size": 2, "dtypes": ["float32", "bfloat16"], "seconds": 0.01}
    fast = model.optimize_for_inference(**options).report
    assert fast.streams[0].dtype == "bfloat16"
    assert max(fast.differences.values()) > 1e-4
    close = model.optimize_for_inference(**options, tolerance=1e-4).report
    assert close.streams[0].dtype == "float32"
    assert max(close.differences.values()) <= 1e-4
    exact = model.optimize_for_inference(**options, tolerance=0.0).report
    assert max(exact.differences.values()) == 0.0


def test_a_broken_variant_is_never_chosen():
    class Overflows(Toy):
        """Leaves the range of float16."""

        def body(self, x: Tensor) -> Tensor:
            return super().body(x) * 1e5 * 1e5

    report = toy_model(Overflows).eval().optimize_for_inference(batch_size=2, dtypes=["float16"], seconds=0.01).report
    assert report.streams[0].layout == "as it was"
    assert report.streams[0].dtype == "float32"


def test_what_an_optimised_model_cannot_do_is_one_sentence(tmp_path):
    optimised = toy_model().optimize_for_inference(batch_size=1, seconds=0.01)
    with pytest.raises(InputError, match="cannot be trained; train the original"):
        optimised.train()
    with pytest.raises(CheckpointError, match="save the original"):
        optimised.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="optimised for cpu"):
        optimised.half()
    with pytest.raises(InputError, match="optimised for cpu"):
        optimised.to("meta")
    with pytest.raises(InputError, match="optimised already"):
        optimised.optimize_for_inference()
    assert optimised.eval().to("cpu").float() is optimised
    assert not optimised(windows()).requires_grad


@pytest.mark.parametrize(
    "options", [{"dtypes": ["int8"]}, {"dtypes": []}, {"batch_size": 0}, {"seconds": 0}, {"tolerance": -1.0}]
)
def test_a_wrong_option_is_one_sentence(options):
    with pytest.raises(InputError, match="must"):
        toy_model().optimize_for_inference(**options)


def test_it_counts_the_weights_of_the_original():
    model = toy_model()
    assert model.optimize_for_inference(batch_size=1, seconds=0.01).parameter_count() == model.parameter_count()


@pytest.mark.parametrize(("kernel", "stride", "padding", "width"), [(7, 2, 3, 16), (3, 1, 1, 9), (4, 3, 0, 11), (1, 1, 0, 5)])
def test_a_stem_of_few_channels_computes_the_same_in_bfloat16(kernel, stride, padding, width):
    from affectzoo.model.optimize import _Packed

    for convolution, shape in ((nn.Conv3d, (2, 3, 8, 8, width)), (nn.Conv2d, (2, 1, 8, width))):
        stem = convolution(shape[1], 8, kernel, stride, padding).bfloat16().requires_grad_(False)
        x = torch.randn(shape).bfloat16()
        try:
            packed = _Packed(stem, True, list(shape))
        except (RuntimeError, NotImplementedError, AttributeError):
            pytest.skip("this build of torch packs no weights")
        torch.testing.assert_close(packed(x).float(), stem.float()(x.float()).relu(), atol=0.03, rtol=0.02)
