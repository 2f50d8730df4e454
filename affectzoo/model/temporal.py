"""Temporal encoders over the L sub-sequences of a window: `[B, L, D]` and a mask to `[B, L, out_dim]`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from affectzoo.errors import ConfigError
from affectzoo.model.contracts import Temporal, zero_masked


class TCN(Temporal):
    """Residual dilated convolutions, dilation doubling with each level (Bai et al. 2018, fig. 1; non-causal here).

    Masked steps are zeroed again before every level, so that padding at the ends equals no padding at all.

    Args:
        in_dim: D of the input.
        hidden: channels of every level, and the output's D.
        levels: number of residual levels; the receptive field is `1 + 2 * (kernel - 1) * (2 ** levels - 1)` steps.
        kernel: odd width of each convolution.
        dropout: after each activation.
    """

    def __init__(self, in_dim: int, *, hidden: int = 128, levels: int = 2, kernel: int = 3, dropout: float = 0.1) -> None:
        super().__init__()
        if kernel % 2 == 0 or kernel < 1:
            raise ConfigError(f"temporal 'tcn': kernel must be odd, not {kernel}")
        if levels < 1:
            raise ConfigError(f"temporal 'tcn': levels must be at least 1, not {levels}")
        self.out_dim = hidden
        self.levels = nn.ModuleList(
            _ResidualLevel(in_dim if i == 0 else hidden, hidden, kernel, dilation=2**i, dropout=dropout) for i in range(levels)
        )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        for level in self.levels:
            x = level(x, mask)
        return x


class _ResidualLevel(nn.Module):
    def __init__(self, in_dim: int, out_dim: int, kernel: int, *, dilation: int, dropout: float) -> None:
        super().__init__()
        padding = dilation * (kernel - 1) // 2
        self.first = nn.Conv1d(in_dim, out_dim, kernel, padding=padding, dilation=dilation)
        self.second = nn.Conv1d(out_dim, out_dim, kernel, padding=padding, dilation=dilation)
        self.shortcut = nn.Linear(in_dim, out_dim) if in_dim != out_dim else nn.Identity()
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        x = zero_masked(x, mask)
        hidden = self.dropout(torch.relu(self.first(x.transpose(1, 2)))).transpose(1, 2)
        hidden = zero_masked(hidden, mask)
        hidden = self.dropout(torch.relu(self.second(hidden.transpose(1, 2)))).transpose(1, 2)
        return torch.relu(hidden + self.shortcut(x))


class _Recurrent(Temporal):
    """What the recurrent encoders share. A masked step enters as zeros; the state passes through it."""

    def __init__(
        self, cell: type[nn.RNNBase], in_dim: int, hidden: int, layers: int, dropout: float, bidirectional: bool
    ) -> None:
        super().__init__()
        self.rnn = cell(  # pyright: ignore[reportCallIssue]
            in_dim,
            hidden,
            num_layers=layers,
            batch_first=True,
            dropout=dropout if layers > 1 else 0.0,
            bidirectional=bidirectional,
        )
        self.out_dim = hidden * (2 if bidirectional else 1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.rnn(zero_masked(x, mask))[0]


class BiLSTM(_Recurrent):
    """Bidirectional LSTM (Graves and Schmidhuber 2005).

    Args:
        in_dim: D of the input.
        hidden: units of each direction; the output's D is twice that.
        layers: stacked layers.
        dropout: between layers.
    """

    def __init__(self, in_dim: int, *, hidden: int = 128, layers: int = 1, dropout: float = 0.0) -> None:
        super().__init__(nn.LSTM, in_dim, hidden, layers, dropout, bidirectional=True)


class GRU(_Recurrent):
    """Gated recurrent unit (Cho et al. 2014).

    Args:
        in_dim: D of the input.
        hidden: units of each direction.
        layers: stacked layers.
        dropout: between layers.
        bidirectional: false for online use; the output's D is `hidden`, doubled when true.
    """

    def __init__(
        self, in_dim: int, *, hidden: int = 128, layers: int = 1, dropout: float = 0.0, bidirectional: bool = True
    ) -> None:
        super().__init__(nn.GRU, in_dim, hidden, layers, dropout, bidirectional)
