"""What all six fusions promise, and each one against its equations in plain loops."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from affectzoo.errors import ConfigError, InputError
from affectzoo.model.contracts import Fusion
from affectzoo_fusion.concat import Concat
from affectzoo_fusion.cross_attention import CrossAttention
from affectzoo_fusion.joint_cross_attention import JointCrossAttention
from affectzoo_fusion.leader_follower import LeaderFollower
from affectzoo_fusion.recursive_joint_cross_attention import RecursiveJointCrossAttention
from affectzoo_fusion.self_attention import SelfAttention

DIMS = {"audio": 6, "visual": 10}
L = 5
RESIDUAL = {"dim": 8, "hidden": 4, "output": "visual-residual"}

#: A case is a class and a config; small widths keep the naive loops quick.
CASES: dict[str, tuple[type[Fusion], dict[str, Any]]] = {
    "concat": (Concat, {}),
    "concat-projected": (Concat, {"dim": 8}),
    "self-attention": (SelfAttention, {"dim": 8, "heads": 2}),
    "leader-follower": (LeaderFollower, {"dim": 4}),
    "cross-attention": (CrossAttention, {"dim": 8}),
    "joint-cross-attention": (JointCrossAttention, {"dim": 8, "hidden": 4}),
    "joint-cross-attention-visual-residual": (JointCrossAttention, RESIDUAL),
    "recursive-joint-cross-attention": (RecursiveJointCrossAttention, {"dim": 8, "hidden": 4, "iterations": 3}),
}
CLASSES = sorted({fusion for fusion, _ in CASES.values()}, key=lambda fusion: fusion.__name__)
PAIRS_ONLY = {CrossAttention, JointCrossAttention, RecursiveJointCrossAttention}
every_case = pytest.mark.parametrize("case", CASES)


def build(case: str, dims: Mapping[str, int] = DIMS, seq_len: int = L, seed: int = 0) -> Any:
    fusion, config = CASES[case]
    torch.manual_seed(seed)
    return fusion(dims, seq_len, **config).eval()


def inputs(dims: Mapping[str, int] = DIMS, batch: int = 4, seq_len: int = L, seed: int = 1) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(batch, seq_len, dim, generator=generator) for name, dim in dims.items()}


def some_masks() -> dict[str, Tensor]:
    """Window 0 whole, 1 with gaps in each modality, 2 without audio, 3 without anything."""
    audio, visual = torch.ones(4, L, dtype=torch.bool), torch.ones(4, L, dtype=torch.bool)
    audio[1, 1:3] = False
    visual[1, 2:4] = False
    audio[2:] = False
    visual[3] = False
    return {"audio": audio, "visual": visual}


# What all of them promise.


@pytest.mark.parametrize("fusion", CLASSES)
def test_every_default_is_json_and_works(fusion: type[Any]) -> None:
    defaults = fusion.__init__.__kwdefaults__
    assert json.loads(json.dumps(defaults)) == defaults
    made = fusion(DIMS, L)
    assert made(inputs()).shape == (4, L, made.out_dim)


@pytest.mark.parametrize("case", [case for case, (fusion, _) in CASES.items() if fusion not in PAIRS_ONLY])
def test_three_modalities(case: str) -> None:
    dims = {"visual": 10, "audio": 6, "text": 3}
    fusion = build(case, dims)
    whole = fusion(inputs(dims))
    without_text = fusion({name: x for name, x in inputs(dims).items() if name != "text"})
    assert whole.shape == without_text.shape == (4, L, fusion.out_dim)
    assert without_text.isfinite().all()


@every_case
@pytest.mark.parametrize("missing", DIMS)
def test_an_absent_modality_counts_as_masked_throughout(case: str, missing: str) -> None:
    fusion, features = build(case), inputs()
    masked = fusion(features, {missing: torch.zeros(4, L, dtype=torch.bool)})
    absent = fusion({name: x for name, x in features.items() if name != missing})
    torch.testing.assert_close(absent, masked, atol=0, rtol=0)
    assert absent.isfinite().all()


@every_case
def test_what_a_masked_step_holds_never_matters(case: str) -> None:
    fusion, features, masks = build(case), inputs(), some_masks()
    fused, attention = fusion(features, masks, return_attention=True)
    for value in (7.0, 1e30, float("inf"), float("nan")):
        spoilt = {name: x.masked_fill(~masks[name].unsqueeze(-1), value) for name, x in features.items()}
        again, maps = fusion(spoilt, masks, return_attention=True)
        torch.testing.assert_close(again, fused, atol=0, rtol=0)
        for key, expected in attention.items():
            torch.testing.assert_close(maps[key], expected, atol=0, rtol=0)


@every_case
def test_masked_steps_take_and_give_no_gradient(case: str) -> None:
    fusion, masks = build(case), some_masks()
    features = {name: x.requires_grad_() for name, x in inputs().items()}
    fusion(features, masks).square().sum().backward()
    for name, x in features.items():
        assert x.grad is not None
        assert x.grad.isfinite().all()
        assert (x.grad[~masks[name]] == 0).all()
    assert all(p.grad.isfinite().all() for p in fusion.parameters() if p.grad is not None)


@every_case
def test_a_window_without_anything_gives_zeros(case: str) -> None:
    fused = build(case)(inputs(), some_masks())
    assert (fused[3] == 0).all()


@every_case
def test_all_present_equals_no_masks(case: str) -> None:
    fusion, features = build(case), inputs()
    ones = {name: torch.ones(4, L, dtype=torch.bool) for name in DIMS}
    torch.testing.assert_close(fusion(features, ones), fusion(features), atol=0, rtol=0)


@every_case
def test_the_order_in_which_modalities_are_listed_never_matters(case: str) -> None:
    fusion, turned = build(case), build(case, dict(reversed(DIMS.items())))
    turned.load_state_dict(fusion.state_dict())
    features = inputs()
    torch.testing.assert_close(turned(dict(reversed(features.items()))), fusion(features), atol=0, rtol=0)


@every_case
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_bfloat16_and_autocast_stay_finite_and_near(case: str, scale: float) -> None:
    fusion, masks = build(case), some_masks()
    features = {name: (scale * x).requires_grad_() for name, x in inputs().items()}
    expected = fusion(features, masks)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        autocast = fusion(features, masks)
        autocast.float().square().mean().backward()
    half = copy.deepcopy(fusion).bfloat16()
    low = half({name: x.bfloat16() for name, x in features.items()}, masks)
    assert low.dtype is torch.bfloat16
    assert all(p.grad.isfinite().all() for p in fusion.parameters() if p.grad is not None)
    for fused in (autocast, low):
        assert fused.isfinite().all()
        if scale == 1.0:
            torch.testing.assert_close(fused.float(), expected, atol=0.1, rtol=0.1)


@every_case
def test_asking_for_attention_changes_nothing(case: str) -> None:
    fusion = build(case)
    fused, _ = fusion(inputs(), some_masks(), return_attention=True)
    torch.testing.assert_close(fused, fusion(inputs(), some_masks()), atol=0, rtol=0)


@every_case
def test_compiles_without_a_graph_break(case: str) -> None:
    torch.compiler.reset()
    fusion, masks = build(case), some_masks()
    features = {name: x.requires_grad_() for name, x in inputs().items()}
    compiled = torch.compile(fusion, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(features, masks), fusion(features, masks), atol=1e-6, rtol=1e-5)
    compiled(features, masks).sum().backward()
    with_maps = torch.compile(lambda x: fusion(x, return_attention=True), fullgraph=True, backend="eager")
    torch.testing.assert_close(with_maps(features)[0], fusion(features), atol=1e-6, rtol=1e-5)


@every_case
def test_exports_with_a_free_batch_size(case: str) -> None:
    fusion, features, masks = build(case), inputs(), some_masks()
    batch = torch.export.Dim("batch", min=1, max=64)
    dynamic = {name: {0: batch} for name in DIMS}
    program = torch.export.export(fusion, (features, masks), dynamic_shapes={"features": dynamic, "masks": dynamic})
    for size in (4, 2):
        x, m = {n: t[:size] for n, t in features.items()}, {n: t[:size] for n, t in masks.items()}
        torch.testing.assert_close(program.module()(x, m), fusion(x, m), atol=1e-6, rtol=1e-5)


# Attention maps.


def test_concat_has_no_maps() -> None:
    assert build("concat")(inputs(), return_attention=True)[1] == {}


@pytest.mark.parametrize(
    ("case", "shapes"),
    [
        ("self-attention", {"attention": (4, 2, L, L)}),
        ("leader-follower", {"attention": (4, L, 2, 2)}),
        ("cross-attention", {"audio": (4, L, L), "visual": (4, L, L)}),
    ],
)
def test_softmax_maps_sum_to_one_over_what_is_present(case: str, shapes: dict[str, tuple[int, ...]]) -> None:
    fusion = build(case)
    _, whole = fusion(inputs(), return_attention=True)
    assert {key: tuple(attention.shape) for key, attention in whole.items()} == shapes
    for attention in whole.values():
        assert (attention >= 0).all()
        torch.testing.assert_close(attention.sum(-1), torch.ones(attention.shape[:-1]))
    _, masked = fusion(inputs(), some_masks(), return_attention=True)
    for attention in masked.values():
        total = attention.sum(-1)
        assert ((total - 1).abs().lt(1e-5) | total.eq(0)).all()
        assert (attention[3] == 0).all()


def test_masked_steps_get_no_attention() -> None:
    masks = some_masks()
    _, maps = build("cross-attention")(inputs(), masks, return_attention=True)
    for name, other in (("audio", "visual"), ("visual", "audio")):
        assert (maps[name][1][:, ~masks[name][1]] == 0).all()
        assert (maps[name][1][~masks[other][1]] == 0).all()
    _, maps = build("self-attention")(inputs(), masks, return_attention=True)
    neither = ~(masks["audio"] | masks["visual"])[1]
    assert neither.sum() == 1
    assert (maps["attention"][1][..., neither] == 0).all()
    _, maps = build("leader-follower")(inputs(), masks, return_attention=True)
    torch.testing.assert_close(maps["attention"][2], torch.tensor([[0.0, 0.0], [0.0, 1.0]]).expand(L, 2, 2))


@pytest.mark.parametrize(
    ("case", "shape"),
    [
        ("joint-cross-attention", (4, 8, 16)),
        ("joint-cross-attention-visual-residual", (4, 8, 16)),
        ("recursive-joint-cross-attention", (4, 3, 8, 16)),
    ],
)
def test_joint_correlations_lie_between_minus_one_and_one(case: str, shape: tuple[int, ...]) -> None:
    _, maps = build(case)(inputs(), some_masks(), return_attention=True)
    assert list(maps) == ["audio", "visual"]
    for correlation in maps.values():
        assert correlation.shape == shape
        assert (correlation.abs() <= 1).all()
        assert correlation.abs().max() > 0
    assert (maps["audio"][2] == 0).all(), "an absent modality correlates with nothing"


# Wrong configurations.


@pytest.mark.parametrize("fusion", CLASSES)
@pytest.mark.parametrize(
    ("dims", "seq_len"),
    [
        ({}, L),
        ({"visual": 4}, L),
        ({"audio": 0, "visual": 4}, L),
        ({"audio": 2.0, "visual": 4}, L),
        ({"audio": True, "visual": 4}, L),
        ({"a.b": 4, "visual": 4}, L),
        ({"keys": 4, "visual": 4}, L),
        (DIMS, 0),
        (DIMS, "5"),
    ],
)
def test_wrong_dims_or_length_are_refused(fusion: type[Any], dims: dict[str, Any], seq_len: Any) -> None:
    with pytest.raises(ConfigError):
        fusion(dims, seq_len)


@pytest.mark.parametrize("fusion", sorted(PAIRS_ONLY, key=lambda fusion: fusion.__name__))
def test_pairwise_fusions_refuse_a_third_modality(fusion: type[Any]) -> None:
    with pytest.raises(ConfigError, match="exactly 2 modalities; got audio, visual, text"):
        fusion({**DIMS, "text": 3}, L)


@pytest.mark.parametrize(
    ("fusion", "config", "message"),
    [
        (Concat, {"dim": 0}, "dim must be a positive integer, not 0"),
        (SelfAttention, {"heads": 3}, "heads must divide the fused width of 256; got 3"),
        (SelfAttention, {"dropout": 1.0}, "dropout must be a number"),
        (SelfAttention, {"dim": "8"}, "dim must be a positive integer, not '8'"),
        (LeaderFollower, {"leader": "text"}, "leader must be one of 'audio', 'visual', not 'text'"),
        (LeaderFollower, {"dim": True}, "dim must be a positive integer"),
        (CrossAttention, {"dim": -1}, "dim must be a positive integer"),
        (JointCrossAttention, {"hidden": 0}, "hidden must be a positive integer"),
        (JointCrossAttention, {"output": "visual"}, "output must be one of 'attended', 'visual-residual', not 'visual'"),
        (JointCrossAttention, {"output": "visual-residual", "residual": "face"}, "residual must be one of 'audio', 'visual'"),
        (RecursiveJointCrossAttention, {"iterations": 0}, "iterations must be a positive integer"),
    ],
)
def test_wrong_options_are_refused_in_one_sentence(fusion: type[Any], config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        fusion(DIMS, L, **config)
    assert "\n" not in str(caught.value)


@every_case
def test_wrong_inputs_are_refused(case: str) -> None:
    fusion, features = build(case), inputs()
    for wrong in ({}, {"text": features["audio"]}, {**features, "audio": features["visual"]}):
        with pytest.raises(InputError):
            fusion(wrong)


@pytest.mark.parametrize("case", [case for case in CASES if "joint" in case or case == "self-attention"])
def test_a_fusion_whose_weights_span_time_refuses_another_length(case: str) -> None:
    with pytest.raises(InputError, match=f"built for L = {L}"):
        build(case)(inputs(seq_len=L + 1))


# The equations, once more, in plain float64 loops over batch and time.

Weights = Mapping[str, np.ndarray]
Window = dict[str, np.ndarray]  # modality -> [L, D_m], masked steps zero
Present = dict[str, np.ndarray]  # modality -> [L] bool


def softmax(scores: list[float]) -> list[float]:
    """Of a list; an empty one stays empty."""
    top = max(scores, default=0.0)
    powers = [np.exp(score - top) for score in scores]
    return [float(power / sum(powers)) for power in powers]


def linear(w: Weights, layer: str, x: np.ndarray) -> np.ndarray:
    y = w[f"{layer}.weight"] @ x
    return y + w[f"{layer}.bias"] if f"{layer}.bias" in w else y


def layer_norm(w: Weights, layer: str, x: np.ndarray) -> np.ndarray:
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5) * w[f"{layer}.weight"] + w[f"{layer}.bias"]


def projected(w: Weights, layers: str, x: Window, here: Present) -> Window:
    """Linear at every present step, zero at the others."""
    result = {}
    for name in sorted(x):
        width = len(w[f"{layers}.layers.{name}.bias"])
        rows = [
            linear(w, f"{layers}.layers.{name}", x[name][t]) if here[name][t] else np.zeros(width) for t in range(len(x[name]))
        ]
        result[name] = np.stack(rows)
    return result


def naive_concat(w: Weights, x: Window, here: Present) -> np.ndarray:
    rows = []
    for t in range(L):
        row = np.concatenate([x[name][t] for name in sorted(x)])
        if "project.weight" in w:
            row = linear(w, "project", row) if any(here[name][t] for name in x) else np.zeros(len(w["project.bias"]))
        rows.append(row)
    return np.stack(rows)


def naive_self_attention(w: Weights, x: Window, here: Present, heads: int = 2) -> np.ndarray:
    parts = projected(w, "project", x, here)
    rows = [np.concatenate([parts[name][t] for name in sorted(x)]) + w["position"][t] for t in range(L)]
    steps = [t for t in range(L) if any(here[name][t] for name in x)]
    width = len(rows[0])
    size = width // heads
    triples = [linear(w, "query_key_value", layer_norm(w, "norm", row)) for row in rows]
    result = np.zeros((L, width))
    for t in steps:
        attended = np.zeros(width)
        for h in range(heads):
            part = slice(h * size, (h + 1) * size)
            q, k, v = ([triple[i * width : (i + 1) * width][part] for triple in triples] for i in range(3))
            weights = softmax([float(q[t] @ k[s]) / np.sqrt(size) for s in steps])
            attended[part] = sum(weight * v[s] for weight, s in zip(weights, steps, strict=True))
        y = rows[t] + linear(w, "mix", attended)
        hidden = np.maximum(linear(w, "feed_forward.1", layer_norm(w, "feed_forward.0", y)), 0)
        result[t] = y + linear(w, "feed_forward.3", hidden)
    return result


def naive_leader_follower(w: Weights, x: Window, here: Present) -> np.ndarray:
    q, k, v = (projected(w, which, x, here) for which in ("query", "key", "value"))
    rows = []
    for t in range(L):
        row = [x["visual"][t]]
        present = [name for name in sorted(x) if here[name][t]]
        for name in sorted(x):
            attended = np.zeros(v[name].shape[1])
            if name in present:
                weights = softmax([float(q[name][t] @ k[other][t]) / np.sqrt(len(attended)) for other in present])
                attended = sum((weight * v[o][t] for weight, o in zip(weights, present, strict=True)), attended)
            row.append(attended)
        rows.append(np.concatenate(row))
    return np.stack(rows)


def naive_cross_attention(w: Weights, x: Window, here: Present) -> np.ndarray:
    p = projected(w, "project", x, here)
    Z = np.array([[p["audio"][i] @ w["W.weight"] @ p["visual"][j] for j in range(L)] for i in range(L)])
    rows = []
    for t in range(L):
        row = []
        for name, other, scores in (("audio", "visual", Z[:, t]), ("visual", "audio", Z[t, :])):
            received = np.zeros_like(p[name][t])
            steps = [s for s in range(L) if here[name][s]] if here[other][t] else []
            for weight, s in zip(softmax([float(scores[s]) for s in steps]), steps, strict=True):
                received = received + weight * p[name][s]
            row.append(np.tanh(p[name][t] + received))
        rows.append(np.concatenate(row))
    return np.stack(rows)


def joint_pass(w: Weights, x: Window) -> Window:
    d = x["audio"].shape[1]
    J = [np.concatenate([x["audio"][t], x["visual"][t]]) for t in range(L)]
    attended = {}
    for name in ("audio", "visual"):
        W_j, W_c, W, W_h = (w[f"attention.{name}.{part}.weight"] for part in ("W_j", "W_c", "W", "W_h"))
        result = np.zeros((L, d))
        for i in range(d):
            C = sum(x[name][s, i] * W_j[s, t] * J[t] for s in range(L) for t in range(L))
            C = np.tanh(C / np.sqrt(2 * d))
            H = np.maximum(W_c @ C + sum(W[:, t] * x[name][t, i] for t in range(L)), 0)
            for t in range(L):
                result[t, i] = W_h[t] @ H + x[name][t, i]
        attended[name] = result
    return attended


def naive_jca(w: Weights, x: Window, here: Present) -> np.ndarray:
    attended = joint_pass(w, projected(w, "project", x, here))
    return np.concatenate([attended["audio"], attended["visual"]], axis=1)


def naive_jca_residual(w: Weights, x: Window, here: Present) -> np.ndarray:
    return np.concatenate([x["visual"], joint_pass(w, projected(w, "project", x, here))["visual"]], axis=1)


def naive_rjca(w: Weights, x: Window, here: Present) -> np.ndarray:
    attended = projected(w, "project", x, here)
    for _ in range(3):
        attended = joint_pass(w, attended)
    return np.concatenate([attended["audio"], attended["visual"]], axis=1)


NAIVE: dict[str, Callable[[Weights, Window, Present], np.ndarray]] = {
    "concat": naive_concat,
    "concat-projected": naive_concat,
    "self-attention": naive_self_attention,
    "leader-follower": naive_leader_follower,
    "cross-attention": naive_cross_attention,
    "joint-cross-attention": naive_jca,
    "joint-cross-attention-visual-residual": naive_jca_residual,
    "recursive-joint-cross-attention": naive_rjca,
}


@every_case
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
def test_agrees_with_the_equations_in_plain_loops(case: str, masked: bool) -> None:
    fusion = build(case).double()
    features = {name: x.double() for name, x in inputs().items()}
    masks = some_masks() if masked else {name: torch.ones(4, L, dtype=torch.bool) for name in DIMS}
    weights = {name: value.numpy() for name, value in fusion.state_dict().items()}
    fused = fusion(features, masks).detach()
    for b in range(4):
        here = {name: masks[name][b].numpy() for name in DIMS}
        window = {name: np.where(here[name][:, None], features[name][b].numpy(), 0.0) for name in DIMS}
        expected = torch.from_numpy(NAIVE[case](weights, window, here))
        torch.testing.assert_close(fused[b], expected, atol=1e-10, rtol=1e-10)


def test_one_recursion_is_jca() -> None:
    torch.manual_seed(0)
    once = RecursiveJointCrossAttention(DIMS, L, iterations=1)
    jca = JointCrossAttention(DIMS, L)
    jca.load_state_dict(once.state_dict(), strict=True)
    torch.testing.assert_close(once(inputs()), jca(inputs()), atol=0, rtol=0)


def test_dropout_of_self_attention_acts_in_training_only() -> None:
    fusion = SelfAttention(DIMS, L, dim=8, heads=2, dropout=0.5)
    assert not torch.equal(fusion.train()(inputs()), fusion(inputs()))
    assert torch.equal(fusion.eval()(inputs()), fusion(inputs()))
