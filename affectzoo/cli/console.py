"""Where commands print: results to standard output, remarks and progress to standard error."""

from __future__ import annotations

from rich.console import Console

out = Console(highlight=False, soft_wrap=False)
err = Console(stderr=True, highlight=False)


def complain(sentence: str) -> None:
    """One sentence about what went wrong; never wrapped, never read as markup."""
    err.print(f"affectzoo: {sentence}", markup=False, style="red", soft_wrap=True)


def remark(sentence: str) -> None:
    """One sentence the user should know, which is not an error."""
    err.print(sentence, markup=False, style="dim", soft_wrap=True)
