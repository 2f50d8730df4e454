"""Some classes alone: what is left out, what becomes of the probabilities, and what cannot be asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from affectzoo.config import TargetConfig
from affectzoo.errors import InputError
from affectzoo.train.evaluate import SplitPredictions, by_recording
from affectzoo.train.report.compare import Compared
from affectzoo.train.report.restrict import Restriction

VALENCE = TargetConfig.parse("valence")
EMOTION = TargetConfig.parse({"name": "emotion", "kind": "categorical", "classes": ["calm", "happy", "sad"]})
SPEECH = TargetConfig.parse({"name": "speech", "kind": "categorical", "classes": ["no", "yes"]})
BOTH = (VALENCE, EMOTION)
PREDICTION = [[0.1, 0.2, 0.2, 0.6], [0.2, 0.5, 0.3, 0.2], [0.3, 0.0, 1.0, 0.0], [0.4, 0.1, 0.8, 0.1]]
LABEL = [[-0.1, 1, 0, 0], [-0.2, 0, 0, 1], [-0.3, 1, 0, 0], [-0.4, 0, 1, 0]]


def steps() -> SplitPredictions:
    """Two clips of two steps."""
    return SplitPredictions(
        prediction=torch.tensor(PREDICTION),
        label=torch.tensor(LABEL),
        valid=torch.ones(4, dtype=torch.bool),
        present=torch.ones(4, dtype=torch.bool),
        row=torch.tensor([0, 0, 1, 1]),
        step=torch.tensor([0, 1, 0, 1]),
    )


def test_other_labels_are_not_valid_and_the_rest_of_the_probability_sums_to_one():
    restriction = Restriction.parse("sad, calm", BOTH)
    assert restriction.classes == ("calm", "sad")  # in the model's order
    assert [target.columns for target in restriction.targets] == [("valence",), ("emotion.calm", "emotion.sad")]
    found, recordings, left_out = restriction.of_split(steps(), None)
    assert recordings is None
    assert left_out == {"happy": 1}
    assert found.valid.tolist() == [True, True, True, False]
    expected = torch.tensor([[0.1, 0.25, 0.75], [0.2, 5 / 7, 2 / 7], [0.3, 0.5, 0.5], [0.4, 0.5, 0.5]])
    # The third clip gave everything to a class that is left out.
    torch.testing.assert_close(found.prediction, expected)
    assert found.label[0].tolist() == pytest.approx([-0.1, 1, 0])


def test_scores_of_recordings_are_made_of_all_classes_first():
    given = replace(steps(), label=torch.tensor(LABEL)[[0, 0, 3, 3]])
    restriction = Restriction.parse("emotion:calm,sad", BOTH)
    _, found, left_out = restriction.of_split(given, by_recording(given, "mean"))
    assert found is not None
    assert left_out == {"happy": 1}
    assert found.row.tolist() == [0]
    # (0.2 + 0.5) / 2 against (0.6 + 0.2) / 2, and not the mean of the two shares.
    assert found.prediction[0].tolist() == pytest.approx([0.15, 0.7 / 1.5, 0.8 / 1.5])


def test_what_a_protocol_compares_keeps_names_and_numbers_together():
    given = Compared(
        prediction=np.array(PREDICTION),
        label=np.array(LABEL),
        names=list("abcd"),
        subjects=list("stuv"),
        folds=[0, 1, 2, 3],
        time_s=np.arange(4.0),
        clips=[1, 2, 3, 4],
        rows=[[n] for n in range(4)],
    )
    found = Restriction.parse("happy,sad", BOTH).of_compared(given)
    assert (found.names, found.subjects, found.folds, found.clips, found.rows) == (
        ["b", "d"],
        ["t", "v"],
        [1, 3],
        [2, 4],
        [[1], [3]],
    )
    assert found.time_s is not None
    assert found.time_s.tolist() == [1, 3]
    assert found.prediction[1].tolist() == pytest.approx([0.4, 8 / 9, 1 / 9])
    assert found.label.tolist() == [[-0.2, 0, 1], [-0.4, 1, 0]]


def test_words_name_the_classes_and_what_was_done():
    words = Restriction.parse("happy,calm", BOTH).words
    assert words == "emotion of calm, happy alone: other labels left out, probabilities renormalised"


@pytest.mark.parametrize(
    ("text", "targets", "words"),
    [
        ("calm,sad", (VALENCE,), "this model predicts valence, and none of these has classes"),
        ("calm,hapy", BOTH, "emotion of this model has no class 'hapy'; did you mean 'happy'?"),
        ("calm,fear", BOTH, "no class 'fear'; there are calm, happy, sad"),
        ("calm,", BOTH, "no class ''"),
        ("calm,calm", BOTH, "is one class, and telling classes apart needs two"),
        ("calm,sad", (EMOTION, SPEECH), "emotion, speech have classes; write emotion:calm,sad"),
        ("speech:calm,sad", (EMOTION, SPEECH), "speech of this model has no class 'calm'"),
    ],
)
def test_classes_that_cannot_be_are_one_sentence(text, targets, words):
    with pytest.raises(InputError) as caught:
        Restriction.parse(text, targets)
    assert words in str(caught.value)


def test_a_split_without_the_classes_is_refused():
    alone = steps().at(torch.tensor([3]))
    with pytest.raises(InputError, match="--classes calm,sad: nothing is labelled with one of them"):
        Restriction.parse("calm,sad", BOTH).of_split(alone, None)
    with pytest.raises(InputError, match="nothing is labelled"):
        Restriction.parse("calm,sad", BOTH).of_compared(
            Compared(np.array(PREDICTION)[3:], np.array(LABEL)[3:], ["d"], ["v"], [None])
        )
