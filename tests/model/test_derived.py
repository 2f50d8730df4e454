"""A derived value is the expectation of the coordinates under the class probabilities."""

from __future__ import annotations

import numpy as np

import affectzoo
from affectzoo.config import DerivedTargetConfig, ModelConfig, target_columns
from affectzoo.model.derived import derived_values
from tests.model.toys import register_toys

MOOD = {"name": "mood", "kind": "categorical", "classes": ["sad", "calm", "glad"]}
#: In another order than the classes.
COORDINATES = {"glad": 0.8, "sad": -0.6, "calm": 0.1}
DERIVED = [
    {"name": "valence", "of": "mood", "coordinates": COORDINATES, "source": "A"},
    {"name": "arousal", "of": "mood", "coordinates": {"sad": -0.3, "calm": -0.5, "glad": 0.5}, "source": "A"},
]
CONFIG = ModelConfig.parse({"streams": {"visual": "x"}, "targets": ["dominance", MOOD], "derived": DERIVED})


def test_the_expectation_is_taken_over_the_classes_by_name():
    values = np.array([[9.0, 1.0, 0.0, 0.0], [9.0, 0.2, 0.3, 0.5]])
    found = derived_values(values, CONFIG.targets, CONFIG.derived)
    np.testing.assert_allclose(found, [[-0.6, -0.3], [-0.12 + 0.03 + 0.4, -0.06 - 0.15 + 0.25]], atol=1e-12)


def test_blanks_stay_blank_and_spread_to_no_other_target():
    values = np.array([[np.nan, 0.2, 0.3, 0.5], [0.1, np.nan, np.nan, np.nan]])
    found = derived_values(values, CONFIG.targets, CONFIG.derived)
    assert np.isfinite(found[0]).all()
    assert np.isnan(found[1]).all()
    assert derived_values(values, CONFIG.targets, ()).shape == (2, 0)


def test_slices_follow_the_columns():
    assert target_columns(CONFIG.targets) == {"dominance": slice(0, 1), "mood": slice(1, 4)}


def test_a_model_keeps_what_is_derived_apart_from_what_the_network_outputs(tmp_path):
    register_toys()
    model = affectzoo.create_model(
        audio="toy-audio",
        targets=[{**MOOD, "temperature": 1.5}],
        derived=DERIVED,
        smoothing="gaussian:4",
        sequence={"length": 4},
    )
    again = affectzoo.load(str(model.save_pretrained(tmp_path / "model")))
    assert again.config == model.config
    assert again.columns == ("mood.sad", "mood.calm", "mood.glad")
    assert again.predicted_columns == (*again.columns, "valence", "arousal")
    assert again.config.derived == tuple(map(DerivedTargetConfig.parse, DERIVED))
    assert again.state_dict().keys() == model.state_dict().keys()
    assert not any("valence" in name for name in again.state_dict())
