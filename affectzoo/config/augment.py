"""How training windows are changed at random."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from affectzoo.config.base import StrictConfig

Share = Annotated[float, Field(ge=0, le=1)]
PartOf = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=0)]
Level = Annotated[float, Field(ge=0)]
Degrees = Annotated[float, Field(ge=0, le=180)]

#: Options that change face crops, and log-mel.
FRAMES = ("flip", "rotate", "crop", "brightness", "contrast", "saturation", "grey", "jitter", "frame_drop", "blur", "cutout")
LOG_MEL = ("stretch", "shift", "pitch", "time_masks", "time_width", "frequency_masks", "frequency_width")


class AugmentConfig(StrictConfig):
    """Random changes to training windows; each is drawn once for a window of L sub-sequences and leaves its labels alone.

    A value of 0 switches a change off. Those of log-mel act in this order: stretch, shift, pitch (as one), gain, masks, noise.

    Attributes:
        flip: share of windows whose face crops are mirrored.
        rotate: the picture turns by up to so many degrees either way, about the middle of what `crop` leaves; at the edges its
            last pixels are repeated.
        crop: a part of each picture, anywhere in it and with sides `1 - crop` to 1 of its own, is resized to the whole.
        brightness, contrast, saturation: factor of `1 - x` to `1 + x` on the pixels, on their distance from the window's
            mean luminance, on the distance of each from its own luminance.
        grey: share of windows that lose their colour.
        jitter: up to so many frame slots by which the pictures move against labels and sound. Where they move out of the
            window, or into a sub-sequence without a face, the nearest picture of the own sub-sequence is repeated.
        frame_drop: share of frame slots that show the picture before them; never the first of a sub-sequence.
        blur: share of windows whose pictures are shrunk to `0.4` to 1 of their sides and enlarged again, as of a small face.
        cutout: side of a square that is filled with the mean, as a share of the picture's shorter side; its centre is
            anywhere in the picture.
        stretch: log-mel plays `1 - x` to `1 + x` times as fast, all sub-sequences of the window as one time axis, about the
            middle of those that are there. What enters is silence, the floor of the input; labels stay where they are.
        shift: log-mel moves along time by up to this share of the window, earlier or later; as for `stretch`.
        pitch: each band moves to `1 - x` to `1 + x` times its place on the mel axis, as of a speaker with another vocal
            tract (Jaitly and Hinton, 2013); the lowest band stays, and what enters at the top is the floor.
        time_masks, time_width: SpecAugment (Park et al., 2019, arXiv 1904.08779): so many stretches of the log-mel are
            filled with the mean, each 0 to `time_width` of the time axis of the whole window, across sub-sequences.
        frequency_masks, frequency_width: so many bands are filled with the mean, each 0 to `frequency_width` of all.
        gain_db: sound is up to so many decibels louder or softer.
        noise: modality that is no picture -> standard deviation of Gaussian noise, in the units in which the model reads
            it: for log-mel and for normalised waveforms those are standard deviations.
    """

    flip: Share = 0.0
    rotate: Degrees = 0.0
    crop: PartOf = 0.0
    brightness: Share = 0.0
    contrast: Share = 0.0
    saturation: Share = 0.0
    grey: Share = 0.0
    jitter: Count = 0
    frame_drop: PartOf = 0.0
    blur: Share = 0.0
    cutout: PartOf = 0.0
    stretch: PartOf = 0.0
    shift: PartOf = 0.0
    pitch: PartOf = 0.0
    time_masks: Count = 0
    time_width: PartOf = 0.0
    frequency_masks: Count = 0
    frequency_width: PartOf = 0.0
    gain_db: Level = 0.0
    noise: dict[str, Level] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> AugmentConfig:
        for axis in ("time", "frequency"):
            if bool(getattr(self, f"{axis}_masks")) != bool(getattr(self, f"{axis}_width")):
                raise ValueError(f"{axis}_masks and {axis}_width have an effect only together; give both, or neither")
        return self

    def asked(self) -> list[str]:
        """The options that are switched on."""
        return [name for name in type(self).model_fields if self.on(name)]

    def on(self, name: str) -> bool:
        """Whether an option is switched on."""
        value: Any = getattr(self, name)
        return any(value.values()) if isinstance(value, dict) else bool(value)
