"""Which axis of an input holds channels: guessed from how it is used, stated by the user, shown either way."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import pytest

import fastrf
from fastrf.engine.recipe import record

torch = pytest.importorskip("torch")
nn, functional = torch.nn, torch.nn.functional


class Model(nn.Module):
    """Layers by keyword, and a function of them and the input."""

    def __init__(self, function: Any, **layers: Any) -> None:
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Any) -> Any:
        return self.function(self, x)


class Tabled(nn.Module):
    """Features with a table of positions added, and a norm by hand, before attention."""

    def __init__(self, tokens: int, features: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.rand(1, tokens, features))
        self.scale = nn.Parameter(torch.ones(features))
        self.qkv = nn.Linear(features, 3 * features)

    def forward(self, x: Any) -> Any:
        x = x + self.table
        y = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.scale
        q, k, v = self.qkv(y).chunk(3, -1)
        return x + functional.scaled_dot_product_attention(q, k, v)


def patches(x: Any) -> Any:
    b, c, h, w = x.shape
    return x.reshape(b, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 3, 5, 1).reshape(b, -1, 16 * c)


#: A model, the shape of its input, and the axis that holds channels.
CASES: dict[str, tuple[Any, tuple[int, ...], int | None]] = {
    "image": (nn.Conv2d(3, 4, 3), (3, 8, 8), 0),
    "tokens": (nn.Linear(8, 4), (24, 8), 1),
    "tokens with a table and a norm by hand": (Tabled(24, 8), (24, 8), 1),
    "tokens, normed": (nn.LayerNorm(8), (24, 8), 1),
    "tokens, root mean square by hand alone": (
        Model(lambda _, x: x / x.square().mean(-1, keepdim=True).sqrt()),
        (24, 8),
        1,
    ),
    "tokens times a weight": (Model(lambda _, x: (x + 1) @ torch.rand(8, 4)), (24, 8), 1),
    "tokens by einsum": (Model(lambda _, x: torch.einsum("bnc,dc->bnd", x, torch.rand(4, 8))), (24, 8), 1),
    "tokens mixed along tokens after a norm": (
        Model(lambda m, x: m.mix(m.norm(x).mT).mT, norm=nn.LayerNorm(8), mix=nn.Linear(24, 24)),
        (24, 8),
        1,
    ),
    "transformer": (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (24, 8), 1),
    "recurrent": (Model(lambda m, x: m.cell(x)[0], cell=nn.LSTM(8, 4, batch_first=True)), (24, 8), 1),
    "tokens last on a map": (
        Model(lambda m, x: m.up(m.norm(x)), norm=nn.LayerNorm(12), up=nn.Linear(12, 24)),
        (8, 6, 12),
        2,
    ),
    "features of a grid": (nn.Linear(5, 8), (16, 16, 5), 2),
    "linear over the width of an image": (nn.Linear(16, 4), (3, 12, 16), 0),
    "linear over the width of a square map": (nn.Linear(16, 16), (8, 16, 16), 0),
    "linear over the width, then a convolution": (
        nn.Sequential(nn.Linear(16, 16), nn.Conv2d(9, 2, 3)),
        (9, 12, 16),
        0,
    ),
    "channels last": (Model(lambda m, x: m.conv(x.permute(0, 3, 1, 2) / 255), conv=nn.Conv2d(5, 4, 3)), (8, 9, 5), 2),
    "channels last, there and back": (
        Model(
            lambda m, x: m.up(m.conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)),
            conv=nn.Conv2d(5, 4, 1),
            up=nn.Linear(4, 4),
        ),
        (8, 9, 5),
        2,
    ),
    "spectrogram as an image": (Model(lambda m, x: m.conv(x.unsqueeze(1)), conv=nn.Conv2d(1, 4, 3)), (20, 16), None),
    "spectrogram turned": (Model(lambda m, x: m.conv(x.mT), conv=nn.Conv1d(16, 4, 3)), (20, 16), 1),
    "spectrogram of channels": (nn.Conv1d(16, 4, 3), (16, 20), 0),
    "spectrogram with a channel": (nn.Sequential(nn.InstanceNorm2d(1), nn.Conv2d(1, 4, 3)), (1, 20, 16), 0),
    "audio with channels last": (Model(lambda m, x: m.conv(x.mT), conv=nn.Conv1d(1, 4, 3)), (40, 1), 1),
    "audio squeezed": (Model(lambda m, x: m.conv(x.squeeze(-1)[:, None]), conv=nn.Conv1d(1, 4, 3)), (40, 1), 1),
    "audio": (Model(lambda m, x: m.conv(x[:, None]), conv=nn.Conv1d(1, 4, 3)), (40,), None),
    "audio in frames": (
        Model(lambda m, x: m.conv(x.unfold(-1, 8, 4).mT), conv=nn.Conv1d(8, 4, 3)),
        (40,),
        None,
    ),
    "normed along time": (nn.Sequential(nn.InstanceNorm1d(6), nn.Conv1d(6, 4, 3)), (6, 20), 0),
    "video": (nn.Conv3d(3, 4, 3), (3, 5, 8, 8), 0),
    "frames as channels": (
        Model(lambda m, x: m.conv(x.flatten(1, 2)), conv=nn.Conv2d(15, 4, 3)),
        (5, 3, 8, 8),
        0,
    ),
    "frame by frame": (
        Model(lambda m, x: m.conv(x.flatten(0, 1)), conv=nn.Conv2d(3, 4, 3)),
        (5, 3, 8, 8),
        1,
    ),
    "patches": (Model(lambda m, x: m.embed(patches(x)), embed=nn.Linear(48, 8)), (3, 8, 12), 0),
    "tokens to a map": (
        Model(lambda m, x: m.conv(m.up(x).mT.reshape(1, 4, 5, 6)), up=nn.Linear(7, 4), conv=nn.Conv2d(4, 2, 3)),
        (30, 7),
        1,
    ),
    "features of nodes": (
        Model(lambda m, x: m.up(x.index_select(1, torch.tensor([2, 0, 1]))), up=nn.Linear(4, 2)),
        (3, 4),
        1,
    ),
    "pooled": (nn.AvgPool2d(2), (6, 8, 8), 0),
    "gated by channels": (
        Model(lambda m, x: x * m.gate(x.mean((2, 3)))[:, :, None, None], gate=nn.Linear(6, 6)),
        (6, 8, 9),
        0,
    ),
    "nothing told": (nn.ReLU(), (6, 8), 0),
    "nothing told of an image with channels last": (nn.ReLU(), (9, 8, 3), 2),
}


@pytest.mark.parametrize("name", CASES)
def test_the_guess(name: str) -> None:
    model, shape, axis = CASES[name]
    network = fastrf.load(model, shape)
    (found,) = network.inputs.values()
    assert found.channel_axis == axis
    assert found.guessed
    assert found.told_axis in repr(network)
    assert "(guessed)" in found.told_axis


@pytest.mark.parametrize("name", ["image", "tokens", "channels last", "spectrogram as an image", "audio squeezed"])
def test_the_same_guess_in_onnx(name: str) -> None:
    onnx = pytest.importorskip("onnx")
    model, shape, axis = CASES[name]
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model.eval(), (torch.rand(1, *shape),), file, dynamo=False)
    (found,) = fastrf.load(onnx.load_from_string(file.getvalue())).inputs.values()
    assert (found.channel_axis, found.guessed) == (axis, True)


@pytest.mark.parametrize(
    ("axis", "positions"), [(0, (8,)), (1, (24,)), (-1, (24,)), (None, (24, 8)), ({"input": 1}, (24,))]
)
def test_a_stated_axis_wins(axis: Any, positions: tuple[int, ...]) -> None:
    analysis = fastrf.analyze(nn.ReLU(), (24, 8), channel_axis=axis)
    assert analysis.output.position_shape == positions
    assert not analysis.network.inputs["input"].guessed


class Graph(nn.Module):
    """Messages along edges: features of both ends, summed where they arrive."""

    def __init__(self) -> None:
        super().__init__()
        self.message = nn.Linear(6, 3)

    def forward(self, nodes: Any, edges: Any) -> Any:
        both = torch.cat([nodes[edges[0]], nodes[edges[1]]], -1)
        return torch.zeros(nodes.shape[0], 3).index_add(0, edges[1], self.message(both))


def test_nodes_and_edges() -> None:
    edges = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]])
    network = fastrf.load(Graph(), {"nodes": torch.rand(5, 3), "edges": edges})
    assert {name: given.channel_axis for name, given in network.inputs.items()} == {"nodes": 1, "edges": 0}
    field = fastrf.analyze(Graph(), {"nodes": torch.rand(5, 3)}, values={"edges": edges}).output
    assert np.flatnonzero(field.mask((2,))).tolist() == [1, 2]
    assert fastrf.load(Model(lambda _, x: x[0][torch.tensor([0, 2])].sum(-1)), (7, 3)).inputs["x"].channel_axis == 0


@pytest.mark.parametrize("out", [1, 2])
def test_a_stencil_with_zeros_keeps_its_channels(out: int) -> None:
    kernel = torch.tensor([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]]).expand(out, 1, 3, 3)
    field = fastrf.analyze(Model(lambda _, x: functional.conv2d(x, kernel, padding=1)), (1, 6, 7)).output
    assert field.channel_axis == field.input_channel_axis == 0
    assert field.position_shape == (6, 7)
    assert np.argwhere(field.mask((2, 3))).tolist() == [[r, c] for r in (1, 2, 3) for c in (2, 4)]


@pytest.mark.parametrize(
    ("old", "axis", "new", "expected"),
    [
        ((8, 12, 1), 2, (96, 1), 1),
        ((6, 16, 1), 2, (2, 3, 4, 4, 1), 4),
        ((1, 8, 12), 0, (1, 96), 0),
        ((8, 12, 3), 2, (96, 3), 1),
        ((3, 8, 12), 0, (3, 96), 0),
    ],
)
def test_reshape_takes_one_channel_along_as_it_takes_several(old, axis, new, expected):
    (tensor,), _ = record([old], [axis])
    assert tensor.reshape(new).channel_axis == expected


# Channels after elements moved ---------------------------------------------------------------------------

#: Functions of a map (4, 8, 8) of a 3 x 3 convolution: where its channels are then, and the sizes of the fields.
PLACES = torch.tensor([1, 3])
ONES = torch.zeros(1, 4, 8, 8, dtype=torch.long)
MASK = (torch.arange(64).reshape(8, 8) % 5 == 0, torch.arange(256).reshape(1, 4, 8, 8) % 7 == 0)


def written(y: Any, where: Any) -> Any:
    """The map with zeros written at some places."""
    y = y.clone()
    y[where] = 0
    return y


AFTER = {
    "selected": (lambda y: y[:, 2], None, (3, 3)),
    "summed": (lambda y: y.sum(1), None, (3, 3)),
    "one, squeezed": (lambda y: y[:, :1].squeeze(1), None, (3, 3)),
    "one, kept": (lambda y: y[:, 1:2], 0, (3, 3)),
    "one, flattened": (lambda y: y[:, :1].flatten(2), 0, None),
    "channels last, selected": (lambda y: y.permute(0, 2, 3, 1)[..., 0], None, (3, 3)),
    "a row": (lambda y: y[:, :, 3], 0, (3, 3)),
    "some places": (lambda y: y[:, :, [1, 3], [0, 2]], 0, None),
    "diagonal": (lambda y: y.diagonal(dim1=2, dim2=3), 0, None),
    "on a diagonal": (lambda y: y[:, :, 0].diag_embed(), 0, None),
    "filled": (lambda y: y.index_fill(2, PLACES, 0.0), 0, None),
    "masked": (lambda y: written(y, MASK[1]), 0, None),
    "masked in the plane": (lambda y: written(y, (slice(None), slice(None), MASK[0])), 0, None),
    "copied": (lambda y: y.index_copy(2, PLACES, torch.zeros(1, 4, 2, 8)), 0, None),
    "added": (lambda y: y.index_add(3, PLACES, y[..., :2]), 0, None),
    "scattered": (lambda y: y.scatter_add(2, ONES, y), 0, None),
    "taken": (lambda y: y.take_along_dim(ONES, 2), 0, None),
    "rolled": (lambda y: y.roll(5), 0, None),
    "turned": (lambda y: torch.rot90(y, 1, (2, 3)), 0, (3, 3)),
}


@pytest.mark.parametrize("name", AFTER)
@pytest.mark.parametrize("capture", ["record", pytest.param("export", marks=pytest.mark.slow)])
def test_channels_are_where_elements_went(name: str, capture: str) -> None:
    function, axis, size = AFTER[name]
    model = Model(lambda m, x: function(m.conv(x)), conv=nn.Conv2d(3, 4, 3, padding=1))
    field = fastrf.analyze(model, (3, 8, 8), capture=capture).output
    assert field.channel_axis == axis
    assert size is None or field.size == size
