"""Talking faces with sound, rendered from known valence and arousal: data for training and tests that anyone may use."""

from affectzoo.data.rendered.clip import RenderedClip, make_clips
from affectzoo.data.rendered.files import write_clip

__all__ = ["RenderedClip", "make_clips", "write_clip"]
