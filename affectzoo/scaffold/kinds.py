"""What differs from kind to kind beside the templates of `templates/KIND`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One kind of plugin.

    Attributes:
        summary: the spec's: what the component of the template does.
        requires: what its component needs beside affectzoo.
        noun: what people call it, where that is not the kind's own name.
        fields: lines of the spec beside those that every spec has.
        miniature: empty files of the little corpus that a dataset's tests read.
    """

    summary: str
    requires: tuple[str, ...] = ("torch>=2.6",)
    noun: str = ""
    fields: str = ""
    miniature: tuple[str, ...] = ()


KINDS = {
    "fusion": Kind("a weighted sum of the modalities, gated step by step by their features"),
    "backbone": Kind(
        "a small 3D convolutional network for the face crops of a sub-sequence", fields='    modality="visual",\n'
    ),
    "block": Kind("a residual block of a spatial and a temporal convolution"),
    "dataset": Kind(
        "a folder for each subject, with clips named by their emotion",
        requires=(),
        miniature=("anna/happy_1.mp4", "anna/neutral_1.wav", "ben/happy_1.mp4", "ben/sad_1.mp4"),
    ),
    "detector": Kind("the largest face that another detector finds", requires=("numpy>=1.26",)),
    "temporal": Kind("every step beside an attentive mean over the window", noun="temporal encoder"),
}
