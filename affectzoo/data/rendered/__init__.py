"""Talking faces with sound, rendered from known affect, severity and pain: data for training and tests that anyone may use."""

from affectzoo.data.rendered.clip import RenderedClip
from affectzoo.data.rendered.files import write_clip
from affectzoo.data.rendered.splits import Task, make_clips

__all__ = ["RenderedClip", "Task", "make_clips", "write_clip"]
