"""PyTorch operators against the Jacobian of the module itself: composites, cells, transforms, hiding constants."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastrf

torch = pytest.importorskip("torch")
nn, functional = torch.nn, torch.nn.functional

X = (3, 4)
CLOSED = torch.tensor([[1, 0, 1], [1, 1, 0], [0, 1, 1]]) == 0
HALF = torch.tensor([[1.0, 0, 2, 0], [0, 0, 3, 1], [1, 1, 0, 0]])


def scores(x: Any) -> Any:
    return (x @ x.roll(1, 1).mT).masked_fill(CLOSED, -torch.inf)


class Recurrent(nn.Module):
    """A recurrent layer with computed initial states."""

    def __init__(self, kind: str, **options: Any) -> None:
        super().__init__()
        self.layer = getattr(nn, kind)(4, 4, batch_first=True, **options)
        self.count = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)

    def forward(self, x: Any) -> Any:
        states = x[:, :1].transpose(0, 1).repeat(self.count, 1, 1)
        if isinstance(self.layer, nn.LSTM):
            result, (h, c) = self.layer(x[:, 1:], (states, states.flip(-1)))
            return torch.cat([result.flatten(), h.flatten(), c.flatten()])
        result, h = self.layer(x[:, 1:], states)
        return torch.cat([result.flatten(), h.flatten()])


class Cell(nn.Module):
    """A recurrent cell, from half of the input and from the other half as state."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.cell = getattr(nn, kind)(2, 2)

    def forward(self, x: Any) -> Any:
        y = x[0]
        if isinstance(self.cell, nn.LSTMCell):
            return torch.cat(self.cell(y[:, :2], (y[:, 2:], y[:, 2:].flip(1))))
        return self.cell(y[:, :2], y[:, 2:])


CASES: dict[str, Callable[[Any], Any]] = {
    "tensordot": lambda x: torch.tensordot(x, x.flip(1), dims=([2], [2])),
    "outer": lambda x: torch.outer(x[0, 0], x[0, 1]),
    "kron": lambda x: torch.kron(x[0], x[0]),
    "diff": torch.diff,
    "trapezoid": torch.cumulative_trapezoid,
    "cross": lambda x: torch.linalg.cross(x[:, :, :3], x[:, :, 1:], dim=-1),
    "block diagonal": lambda x: torch.block_diag(x[0], x[0]),
    "trace": lambda x: torch.trace(x[0]),
    "diag": lambda x: torch.diag(x[0, 0]),
    "meshgrid": lambda x: torch.stack(torch.meshgrid(x[0, 0], x[0, 1], indexing="ij")),
    "cdist": lambda x: torch.cdist(x, x.flip(2) * 2),
    "inverse": lambda x: torch.linalg.inv(x[:, :, :3]),
    "determinant": lambda x: torch.linalg.det(x[:, :, :3]),
    "singular values": torch.linalg.svdvals,
    "fourier": lambda x: torch.fft.fft(x, dim=1).abs(),
    "fourier there and back": lambda x: torch.fft.irfft2(torch.fft.rfft2(x) * torch.rand(3, 3)),
    "complex rotation": lambda x: torch.view_as_real(
        torch.view_as_complex(x.reshape(1, 3, 2, 2)) * torch.polar(torch.ones(3, 2), torch.rand(3, 2))
    ),
    "scatter reduce": lambda x: torch.scatter_reduce(x, 1, torch.tensor([[[0, 1, 1, 2]]]), x[:, 2:], "prod"),
    "scatter mean without self": lambda x: torch.scatter_reduce(
        x, 1, torch.tensor([[[0, 1, 1, 2]]]), x[:, 2:], "mean", include_self=False
    ),
    "bilinear": lambda x: nn.Bilinear(4, 4, 3)(x, x.flip(1)),
    "transformer": nn.TransformerEncoderLayer(4, 2, 8, batch_first=True),
    "lstm cell": Cell("LSTMCell"),
    "gru cell": Cell("GRUCell"),
    "rnn cell": Cell("RNNCell"),
    "lstm from states": Recurrent("LSTM"),
    "lstm two ways, two layers": Recurrent("LSTM", num_layers=2, bidirectional=True),
    "gru from states": Recurrent("GRU", bidirectional=True),
    "rnn from states": Recurrent("RNN", num_layers=2),
    "mask through cat": lambda x: torch.cat([scores(x), scores(x)], 1).softmax(-1) @ x,
    "mask through repeat": lambda x: scores(x).repeat(1, 2, 1).softmax(-1) @ x,
    "mask through chunk": lambda x: scores(x).chunk(2, 1)[0].softmax(-1) @ x,
    "mask through unbind": lambda x: scores(x).unbind(1)[1].softmax(-1) @ x[0],
    "mask by where": lambda x: torch.where(CLOSED, torch.tensor(-torch.inf), x @ x.mT).softmax(-1) @ x,
    "mask by padding": lambda x: functional.pad((x @ x.mT)[:, :, :2], (0, 1), value=-torch.inf).softmax(-1) @ x,
    "mask by writing": lambda x: (
        torch.slice_scatter(x @ x.mT, torch.full((1, 3, 1), -torch.inf), 2, 1, 2).softmax(-1) @ x
    ),
    "zeros through cat": lambda x: torch.cat([x * HALF, x], 1) @ x.mT,
    "zeros through roll": lambda x: (x * HALF).roll(1, 2) @ x.mT,
    "zeros in addcmul": lambda x: torch.addcmul(x.roll(1, 1), x, HALF) + torch.addcdiv(x, HALF, x.roll(1, 2)),
    "ends of lerp": lambda x: torch.lerp(x, x.roll(1, 1), (HALF > 0).to(x.dtype)),
    "power of zero": lambda x: x.roll(1, 1) ** (HALF > 0).to(x.dtype),
    "product that is zero": lambda x: (x * HALF) * x.roll(1, 1) + 0 * x.roll(2, 1),
}


class Wrapped(nn.Module):
    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(x)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.slow
def test_masks_equal_the_jacobian(name: str) -> None:
    torch.manual_seed(5)
    module = Wrapped(CASES[name]).double()
    x = torch.rand(1, *X, dtype=torch.float64) + 0.1
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        torch.manual_seed(6)
        jacobian = torch.autograd.functional.jacobian(module, x).reshape(-1, *X).abs().numpy() > 1e-12
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.manual_seed(6)
            analysis = fastrf.analyze(module, input_shape=x)
    finally:
        torch.set_default_dtype(before)
    field = analysis.output
    shape = field.shape
    assert math.prod(shape) == len(jacobian)
    assert field.exact
    for k, truth in enumerate(jacobian):
        mine = field.neuron_mask(tuple(int(i) for i in np.unravel_index(k, shape)))
        np.testing.assert_array_equal(mine.reshape(X), truth, err_msg=f"{name} {k}")
