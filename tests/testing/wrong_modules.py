"""Ways to break one promise of a module, mixed into a component that keeps them all.

Such a component calls `setup` when it is built, and `twist` with its input and output.
"""

from __future__ import annotations

import random
import sys

import torch
from torch import Tensor, nn

from affectzoo.testing.running import draw

#: The first number of every input that is drawn.
_FIRST = draw(100)[0].item()


class Keeps(nn.Module):
    """Nothing is broken."""

    def setup(self) -> None:
        """Called last in the constructor."""

    def twist(self, x: Tensor, y: Tensor) -> Tensor:  # noqa: ARG002
        """The output that is returned, of input `x` and sound output `y`."""
        return y


class Unused(Keeps):
    """A parameter that nothing uses."""

    def setup(self) -> None:
        self.unused = nn.Parameter(torch.ones(1))


class LooksAtTheBatch(Keeps):
    """Subtracts the mean of the batch."""

    def twist(self, x: Tensor, y: Tensor) -> Tensor:  # noqa: ARG002
        return y - y.mean(0, keepdim=True)


class LooksAtTheOrder(Keeps):
    """Right for a single row, and for rows as the checks draw them; wrong where another row comes first."""

    def twist(self, x: Tensor, y: Tensor) -> Tensor:
        return y + (x.flatten()[0] != _FIRST) if len(x) > 1 else y


class Unsaved(Keeps):
    """A random buffer outside the state dict."""

    noise: Tensor

    def setup(self) -> None:
        self.register_buffer("noise", torch.randn(1), persistent=False)

    def twist(self, x: Tensor, y: Tensor) -> Tensor:  # noqa: ARG002
        return y + self.noise


class Float32(Keeps):
    """Adds a float32 number whatever the precision."""

    def twist(self, x: Tensor, y: Tensor) -> Tensor:  # noqa: ARG002
        return y + torch.ones(1)


class Unseeded(Keeps):
    """Chance that torch knows nothing of, in training only."""

    def twist(self, x: Tensor, y: Tensor) -> Tensor:  # noqa: ARG002
        return y + random.random() if self.training else y


class ChangesItsInput(Keeps):
    """In place, after its output was computed."""

    def twist(self, x: Tensor, y: Tensor) -> Tensor:
        if not torch.is_grad_enabled():  # or autograd itself would refuse
            x.add_(1)
        return y


class OtherCompiled(Keeps):
    """Other numbers under torch.compile."""

    def twist(self, x: Tensor, y: Tensor) -> Tensor:  # noqa: ARG002
        return y * 2 if torch.compiler.is_dynamo_compiling() else y


class OtherExported(Keeps):
    """Other numbers through torch.export."""

    def twist(self, x: Tensor, y: Tensor) -> Tensor:  # noqa: ARG002
        return y * 2 if torch.compiler.is_exporting() else y


_BROKEN: dict[str, type[Keeps]] = {
    "gradients-reach-every-parameter": Unused,
    "batch-of-one-equals-batch-of-many": LooksAtTheBatch,
    "permutation": LooksAtTheOrder,
    "save-and-load": Unsaved,
    "half-precision": Float32,
    "deterministic": Unseeded,
    "inputs-unchanged": ChangesItsInput,
    "compiled": OtherCompiled,
    "exported": OtherExported,
}


def broken(sound: type[Keeps]) -> dict[str, type]:
    """Check -> `sound` with what only it catches; put into the module of `sound`, where a spec's target looks for them."""
    made = {check: type(how.__name__, (how, sound), {"__module__": sound.__module__}) for check, how in _BROKEN.items()}
    for component in made.values():
        setattr(sys.modules[sound.__module__], component.__name__, component)
    return made
