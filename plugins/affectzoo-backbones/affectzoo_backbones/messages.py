"""Other libraries' errors, made fit to stand inside a sentence."""

from __future__ import annotations


def one_line(error: BaseException) -> str:
    """An exception's message on one line, cut to a readable length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:297] + "..."
