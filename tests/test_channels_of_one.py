"""A channel axis with one entry: kept or put back it is one, and broadcast it says nothing of another map's axes."""

from __future__ import annotations

import io
import math
import warnings
from typing import Any

import pytest

import fastrf

torch = pytest.importorskip("torch")
nn, functional = torch.nn, torch.nn.functional

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
SIZES = {1: (10,), 2: (10, 12), 3: (6, 8, 10)}


class Model(nn.Module):
    """A convolution of two channels with a stride of 2, a gate of one number, and a function of both."""

    def __init__(self, ndim: int, function: Any, channels: int = 4) -> None:
        super().__init__()
        self.conv = CONVOLUTIONS[ndim](2, channels, 3, 2, 1)
        self.score = nn.Linear(2, 1)
        self.function = function

    def gate(self, x: Any) -> Any:
        return self.score(x.flatten(2).mean(2)).sigmoid()

    def forward(self, x: Any) -> Any:
        return self.function(self, self.conv(x), x)


def one(y: Any, ndim: int) -> Any:
    """A number per image beside a map that has no channels."""
    return y.view(-1, *(1,) * ndim)


#: What makes one channel of a map y, or two of one each.
KEPT: dict[str, Any] = {
    "mean": lambda y: y.mean(1, keepdim=True),
    "sum": lambda y: y.sum(1, True),
    "amax": lambda y: y.amax(1, True),
    "max": lambda y: y.max(1, True)[0],
    "argmax": lambda y: y.argmax(1, True).float(),
    "selected": lambda y: y[:, 0].unsqueeze(1),
    "selected, indexed": lambda y: y[:, 1][:, None],
    "gray": lambda y: (0.3 * y[:, 0] + 0.6 * y[:, 1] + 0.1 * y[:, 2]).unsqueeze(1),
    "viewed": lambda y: y.sum(1).view(1, 1, *y.shape[2:]),
    "stacked": lambda y: torch.stack([y.mean(1), y.amax(1)], 1),
    "joined": lambda y: torch.cat([y.mean(1, True), y.amax(1, True)], 1),
    "channels last": lambda y: y.movedim(1, -1).mean(-1, True).movedim(-1, 1),
    "sliced": lambda y: y[:, 0:1],
}
#: What leaves a map its channels.
BEHIND: dict[str, Any] = {
    "nothing": lambda y: y,
    "prelu": lambda y: functional.prelu(y, torch.ones(1)),
    "norm": lambda y: functional.batch_norm(y, torch.zeros(y.shape[1]), torch.ones(y.shape[1])),
    "twice": lambda y: functional.interpolate(y, scale_factor=2),
    "spread": lambda y: y[:, :1].expand(1, 3, *y.shape[2:]),
}


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("name", KEPT)
def test_a_channel_axis_of_one(name: str, ndim: int) -> None:
    n = SIZES[ndim]
    for behind, change in BEHIND.items():
        field = fastrf.analyze(Model(ndim, lambda _, y, __, c=change: c(KEPT[name](y))), (2, *n)).output
        half = tuple(k // 2 for k in n) if behind != "twice" else n
        assert (field.channel_axis, field.position_shape, field.size) == (0, half, (3,) * ndim), behind
        assert field.mask((2,) * ndim).sum() == 3**ndim


@pytest.mark.parametrize("name", ["mean", "argmax", "selected", "stacked", "joined"])
def test_the_same_in_onnx(name: str) -> None:
    onnx = pytest.importorskip("onnx")
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = Model(2, lambda _, y, __: KEPT[name](y)).eval()
        torch.onnx.export(model, (torch.rand(1, 2, 10, 12),), file, dynamo=False)
    field = fastrf.analyze(onnx.load_from_string(file.getvalue())).output
    assert (field.channel_axis, field.position_shape, field.size) == (0, (5, 6), (3, 3))


@pytest.mark.parametrize(
    "layers",
    [
        [{"op": "mean", "axes": 0, "keepdims": True}],
        [{"op": "select", "axis": 0, "index": 1}, {"op": "unsqueeze", "axis": 0}],
        [{"op": "select", "axis": 0, "index": 1}, {"op": "reshape", "shape": [1, 5, 6]}],
        [{"op": "max", "axes": 0, "name": "m"}, {"op": "stack", "inputs": ["m", "m"], "axis": 0}],
    ],
)
def test_the_same_in_a_spec(layers: list[dict[str, Any]]) -> None:
    field = fastrf.analyze({"input_shape": [2, 5, 6], "layers": layers}).output
    assert (field.channel_axis, field.position_shape) == (0, (5, 6))


#: Maps y without channels, how a number per image gates them, and what that number is brought to.
WITHOUT: dict[str, Any] = {
    "squeezed": lambda y: y[:, :1].squeeze(1),
    "taken": lambda y: y[:, 1],
    "mean": lambda y: y.mean(1),
}
JOINED: dict[str, Any] = {
    "times": lambda y, g: y * g,
    "gated first": lambda y, g: g * y,
    "scale and shift": lambda y, g: y * (1 + g) + 0.5 * g,
    "chosen": lambda y, g: torch.where(g > 0, y, g),
    "between": lambda y, g: torch.lerp(y, g, g),
}


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("joined", JOINED)
@pytest.mark.parametrize("name", WITHOUT)
def test_a_gate_of_one_says_nothing_of_a_map_without_channels(name: str, joined: str, ndim: int) -> None:
    model = Model(ndim, lambda m, y, x: JOINED[joined](WITHOUT[name](y), one(m.gate(x), ndim)))
    half = tuple(k // 2 for k in SIZES[ndim])
    field = fastrf.analyze(model, (2, *SIZES[ndim])).output
    assert (field.channel_axis, field.position_shape, field.stride) == (None, half, (2,) * ndim)
    if joined in ("times", "gated first"):
        assert fastrf.analyze(model, (2, *SIZES[ndim]), ignore="gates").output.size == (3,) * ndim


@pytest.mark.parametrize(
    "function",
    [
        lambda y: y - y.mean(),
        lambda y: y - y.mean(2, keepdim=True),
        lambda y: y + y.mean(1, keepdim=True),
        lambda y: y.mean(1, keepdim=True) + y.mean(2, keepdim=True),
        lambda y: torch.cat([y, y]),
    ],
)
def test_pixel_axes_of_one_hold_no_channels(function: Any) -> None:
    field = fastrf.analyze(Model(2, lambda _, y, __: function(y[:, 0])), (2, 10, 12)).output
    assert field.channel_axis is None
    assert math.prod(field.position_shape) == math.prod(field.shape)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_maxima_put_back(ndim: int) -> None:
    pool, back = (getattr(functional, f"max_{way}{ndim}d") for way in ("pool", "unpool"))
    n = (8, 8, 8)[:ndim]
    model = Model(ndim, lambda _, __, x: back(*pool(x, 2, return_indices=True), 2))
    field = fastrf.analyze(model, (2, *n)).output
    assert (field.shape, field.channel_axis, field.exact) == ((2, *n), 0, False)
    assert not field.neuron_mask((0, *(1,) * ndim))[1].any()


TABLE = torch.rand(9, 4)
LOOKED_UP: dict[str, Any] = {
    "embedding": lambda ids: functional.embedding(ids, TABLE),
    "indexed": lambda ids: TABLE[ids],
    "one hot": lambda ids: functional.one_hot(ids, 9),
    "bags": lambda ids: functional.embedding_bag(ids, TABLE, mode="sum"),
    "turned": lambda ids: functional.embedding(ids, TABLE).mT.relu(),
}


@pytest.mark.parametrize("name", LOOKED_UP)
def test_rows_of_a_table_are_features(name: str) -> None:
    class Looks(nn.Module):
        def forward(self, ids: Any) -> Any:
            return LOOKED_UP[name](ids)

    ids = torch.arange(6).reshape(1, 6)
    field = fastrf.analyze(Looks(), ids).output
    assert field.channel_axis == (0 if name == "turned" else len(field.shape) - 1)
    assert field.mask(() if not field.position_shape else (2,)).sum() == (6 if name == "bags" else 1)


@pytest.mark.parametrize("sorted_", [False, True])
def test_places_in_a_sorted_row(sorted_: bool) -> None:
    def found(x: Any) -> Any:
        return torch.searchsorted(x[:, 0], x[:, 1], sorter=x[:, 2].argsort(-1) if sorted_ else None)

    class Found(nn.Module):
        def forward(self, x: Any) -> Any:
            return found(x)

    analysis = fastrf.analyze(Found(), (3, 6))
    assert analysis.network.inputs["x"].channel_axis == 0
    assert analysis["searchsorted"].neuron_mask((1,)).sum(1).tolist() == [6, 1, 6 * sorted_]
    assert analysis.network.nodes[-1].op == "compare"
