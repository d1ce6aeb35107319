"""PyTorch operators and sources off the beaten track: what each neuron reads, in small worked cases."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import fastrf

torch = pytest.importorskip("torch")


class Function(torch.nn.Module):
    """A plain function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Pair(torch.nn.Module):
    """A function of two inputs as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x, y):
        return self.function(x, y)


def field(function, *shape, wrt=None):
    return fastrf.analyze(Function(function), shape, wrt=wrt).output


def numbers(found):
    """The number of the element that each output element copies; -1 where it copies none."""
    matrix = found.to_csr(channels=True).toarray()
    assert (matrix.sum(axis=1) <= 1).all()
    return np.where(matrix.any(axis=1), matrix.argmax(axis=1), -1).reshape(found.shape)


@pytest.mark.parametrize(
    "move",
    [
        lambda x: torch.rot90(x, 1, (1, 2)),
        lambda x: torch.take_along_dim(x, torch.tensor([[[2, 0, 1]]]), 2),
        lambda x: torch.index_fill(x, 2, torch.tensor([1]), 0.0),
        torch.diag_embed,
        lambda x: x.narrow(2, 1, 2),
        lambda x: torch.tensor_split(x, 2, 2)[1],
        lambda x: x.movedim(1, 2),
        lambda x: x.transpose(1, 2).contiguous().as_strided((1, 3, 2), (6, 2, 1)),
        lambda x: x.roll(2),
        lambda x: x.repeat(2, 1, 1, 2),
        lambda x: x.diagonal(0, 1, 2),
        lambda x: torch.stack([x[0, 0], torch.zeros(3), x[0, 1]]),
        lambda x: x[:, :, torch.tensor([[0, 2], [1, 1]])],
        lambda x: x[:, torch.tensor([0, 1]), torch.tensor([2, 0])],
        lambda x: torch.cat([x, torch.zeros(1, 1, 3)], 1),
        lambda x: x.new_zeros(1, 2, 3).copy_(x[:, :1]),
        lambda x: x.clone().fill_(0) + x.flip(1),
        lambda x: torch.zeros_like(x).fill_(0.0) + x,
        lambda x: x.tril(),
        lambda x: x.movedim(1, 2).contiguous(),
    ],
)
def test_movements_copy_the_elements_that_torch_copies(move):
    with torch.no_grad():
        truth = move(torch.arange(1.0, 7.0).reshape(1, 2, 3)).long().numpy() - 1
    found = field(move, 2, 3)
    assert (numbers(found).reshape(truth.shape) == truth).all()


def test_products_and_reductions_of_scalars():
    assert field(lambda x: x.sum().sum(-1), 2, 3).neuron_mask(()).all()
    assert not field(lambda x: x.sum().std(-1, unbiased=False), 2, 3).neuron_mask(()).any()
    assert field(lambda x: torch.dist(x, x.flip(-1)), 2, 3).exact


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x[:, :, x[0, 0].argsort()],
        lambda x: x.masked_scatter(torch.tensor([True, False, True]), x.flip(-1)),
        lambda x: torch.nn.functional.grid_sample(x, x[:, :, :2, :2].permute(0, 2, 3, 1)),
        lambda x: torch.gather(x, 2, x.argsort(-1)),
        lambda x: torch.nn.functional.conv1d(x, x[:, :, :2]),
        lambda x: torch.nn.functional.layer_norm(torch.zeros(1, 2, 3), (3,), x[0, 0]),
    ],
)
def test_what_depends_on_data_reads_everything_and_says_so(function):
    shape = (2, 3, 3) if "grid_sample" in function.__code__.co_names else (2, 3)
    found = fastrf.analyze(Function(function), shape).output
    assert not found.exact
    assert found.approximate_at


def test_deformable_convolution():
    torchvision = pytest.importorskip("torchvision")
    layer = torchvision.ops.DeformConv2d(2, 3, 3, padding=1)
    offsets = torch.nn.Conv2d(2, 18, 1)
    found = fastrf.analyze(Function(lambda x: layer(x, offsets(x))), (2, 4, 4)).output
    assert found.neuron_mask((0, 0, 0)).all()
    assert not found.exact


def test_one_element_everywhere_and_rows_looked_up():
    assert field(lambda x: torch.zeros_like(x).fill_(x[0, 1, 2]), 2, 3).neuron_mask((0, 0)).sum() == 1
    table = torch.nn.Embedding(5, 4)
    found = field(lambda x: table(x[0, :, 0].long()), 2, 3)
    assert found.shape == (2, 4)
    assert found.neuron_mask((1, 3)).tolist() == [[False] * 3, [True, False, False]]


def test_values_of_a_shape_only():
    found = field(lambda x: x * torch.ones_like(x) + torch.zeros_like(x) + x.new_full((3,), 2.0), 2, 3)
    assert (numbers(found) == np.arange(6).reshape(2, 3)).all()


def test_contexts_are_walked_through():
    def function(x):
        with torch.set_grad_enabled(False):
            y = x.flip(-1)
        with torch.autocast("cpu"):
            return y + 1

    assert (numbers(field(function, 2, 3)) == [[2, 1, 0], [5, 4, 3]]).all()


def test_normalisation_in_training_form():
    function = torch.nn.functional.batch_norm
    found = field(lambda x: function(x, None, None, training=True), 2, 4)
    assert found.neuron_mask((0, 1)).tolist() == [[True] * 4, [False] * 4]
    found = field(lambda x: function(x.view(2, 1, 4), None, None, training=True), 2, 4)
    assert found.neuron_mask((0, 0, 1)).all()
    found = field(torch.nn.functional.instance_norm, 2, 4)
    assert found.neuron_mask((1, 0)).tolist() == [[False] * 4, [True] * 4]


def test_calls_of_a_module_and_their_numbers():
    class Twice(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv1d(2, 2, 3, padding=1)

        def forward(self, x):
            return self.conv(self.conv(self.conv(x)))

    analysis = fastrf.analyze(Twice(), (2, 9))
    assert [call.size for call in analysis.calls("conv")] == [(3,), (5,), (7,)]
    assert analysis["conv@0"].size == (3,)
    assert analysis["conv"].size == (7,)
    assert analysis.network == fastrf.Network.from_dict(analysis.network.to_dict())
    assert len({hash(analysis.network), hash(fastrf.load(analysis.network))}) == 1
    assert "conv" in str(analysis.summary(depth=1))
    single = fastrf.analyze(torch.nn.Sequential(torch.nn.ReLU()), (2, 3))
    assert single.calls("0") == (single["0"],)


def test_two_inputs_and_an_input_as_output():
    analysis = fastrf.analyze(Pair(lambda x, y: {"x": x, "sum": [x + y]}), {"x": (2, 3), "y": (2, 3)})
    assert analysis["sum.0"].neuron_mask((0, 0)).sum() == 1
    assert analysis.network.outputs == ("out.x", "sum.0")
    assert analysis.outputs[0].neuron_mask((1, 2)).sum() == 1


def test_torch_that_is_not_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(fastrf.MissingExtraError, match=r"pip install 'fastrf\[torch\]'"):
        fastrf.load("torchvision.models:resnet18", (3, 64, 64))
    with pytest.raises(fastrf.FormatError, match="is not a network"):
        fastrf.load(object())


def test_what_unsupported_operators_may_become():
    with pytest.raises(fastrf.NetworkError, match="must be 'raise' or 'full'"):
        fastrf.load(Function(torch.relu), (2, 3), on_unsupported="maybe")


def test_an_output_that_depends_on_nothing():
    table = torch.nn.Parameter(torch.ones(1, 2, 3))
    found = fastrf.analyze(Function(lambda _: table * 2), (4, 5)).output
    assert found.shape == (2, 3)
    assert not found.neuron_mask((1, 2)).any()
    both = fastrf.analyze(Function(lambda x: (table * 2, x + 1)), (4, 5))
    assert list(both.network.outputs) == ["out.1"]
