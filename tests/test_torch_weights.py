"""Weights that constants make partly zero: masked, pruned, parametrised, put together; against autograd."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastrf

torch = pytest.importorskip("torch")
nn, functional = torch.nn, torch.nn.functional
prune, parametrize = (pytest.importorskip(f"torch.nn.utils.{name}") for name in ("prune", "parametrize"))

frontend = pytest.importorskip("fastrf.frontends.torch")

from tests.autograd.cases import Weighted  # noqa: E402

TRIANGLE = torch.ones(4, 4).tril()


def some(*shape: int) -> torch.Tensor:
    """A fixed mask of zeros and ones, about half of each."""
    return (torch.from_numpy(np.random.default_rng(math.prod(shape)).random(shape)) < 0.5).float()


class Times(nn.Module):
    def __init__(self, mask: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, weight):
        return weight * self.mask


def parametrised() -> nn.Module:
    conv = nn.Conv2d(2, 3, 3, padding=1)
    parametrize.register_parametrization(conv, "weight", Times(some(3, 2, 3, 3)))
    return conv


def pruned(*layers: nn.Module) -> nn.Module:
    """Some weights of every layer pruned away, others kept."""
    for k, layer in enumerate(layers):
        if hasattr(layer, "weight"):
            prune.custom_from_mask(
                layer, "weight", some(*layer.weight.shape) if k else some(*layer.weight.shape).flip(0)
            )
    return nn.Sequential(*layers)


def made() -> nn.Module:
    """A masked autoencoder of 4 values: each output reads the values before its own."""
    degrees = [torch.arange(1, 5), torch.tensor([1, 2, 3, 3, 1]), torch.arange(0, 4)]
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(degrees):
        linear = nn.Linear(len(before), len(after))
        parametrize.register_parametrization(linear, "weight", Times((after[:, None] >= before).float()))
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers)


def pixels(kind: str, size: int, *channels: int) -> nn.Module:
    """A masked convolution: the pixels before, in order of rows, and with "B" the pixel itself."""
    conv = nn.Conv2d(*channels, size, padding=size // 2)
    mask = torch.ones(size, size)
    mask[size // 2, size // 2 + (kind == "B") :] = 0
    mask[size // 2 + 1 :] = 0
    parametrize.register_parametrization(conv, "weight", Times(mask))
    return conv


MASKS = {
    shape: some(*shape) for shape in [(2, 3, 4), (4, 2, 3, 3), (6, 2, 3, 3), (4, 1, 3, 3), (3, 2, 3, 3), (3, 2, 3)]
}
ZERO_ONE = torch.tensor([1.0, 0, 1, 1])


def masked(function: Callable, *shape: int, **arguments) -> Weighted:
    return Weighted(lambda x, w: function(x, w * MASKS[shape], **arguments), shape)


def decayed(x, q, k):
    """Causal linear attention: (q k^T * decay) v, by Einstein sums."""
    decay = TRIANGLE * 0.5
    scores = torch.einsum("bid,bjd->bij", x @ q, x @ k) * decay
    return torch.einsum("bij,bjd->bid", scores, x)


def without_a_row(w: Any, write: Callable[[Any], Any]) -> Any:
    """The weight, of which one row is written over."""
    w = w.clone()
    write(w)
    return w


def written(write: Callable[[Any], Any]) -> nn.Module:
    """A layer whose weight is written to before it is used."""
    return Weighted(lambda x, w: x @ without_a_row(w, write), (4, 4))


CASES = {
    "row of a number": (written(lambda w: w[1].fill_(0)), (3, 4)),
    "row of zeros": (written(lambda w: w[1:2].zero_()), (3, 4)),
    "row assigned": (written(lambda w: w.__setitem__((1, slice(2, 4)), 0.0)), (3, 4)),
    "row of a tensor": (written(lambda w: w.__setitem__(1, torch.zeros(4))), (3, 4)),
    "input written": (
        Weighted(lambda x, w: without_a_row(x, lambda y: y[..., 2].fill_(0)) * x.mean() @ w, (4, 4)),
        (3, 4),
    ),
    "pixels": (nn.Sequential(pixels("A", 5, 1, 2), nn.ReLU(), pixels("B", 3, 2, 1)), (1, 5, 5)),
    "made": (made(), (4,)),
    "parametrised": (parametrised(), (2, 4, 4)),
    "pruned": (pruned(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 2, 3, stride=2)), (2, 5, 5)),
    "pruned norm": (pruned(nn.Conv1d(2, 4, 1), nn.BatchNorm1d(4)), (2, 3)),
    "conv, groups": (masked(functional.conv2d, 6, 2, 3, 3, padding=1, groups=2, dilation=2), (4, 5, 5)),
    "conv, depthwise": (masked(functional.conv2d, 4, 1, 3, 3, padding=1, groups=4), (4, 4, 4)),
    "conv transposed": (masked(functional.conv_transpose1d, 2, 3, 4, stride=2, padding=1), (2, 4)),
    "conv transposed, groups": (masked(functional.conv_transpose2d, 4, 2, 3, 3, stride=2, groups=2), (4, 3, 3)),
    "conv, batch": (
        Weighted(lambda x, w: functional.conv2d(x.view(3, 2, 4, 4), w * MASKS[3, 2, 3, 3], padding=1), (3, 2, 3, 3)),
        (6, 4, 4),
    ),
    "weight norm": (
        Weighted(
            lambda x, v, g: functional.conv1d(x, torch._weight_norm(v * MASKS[3, 2, 3], g, 0)), (3, 2, 3), (3, 1, 1)
        ),
        (2, 5),
    ),
    "padded": (Weighted(lambda x, w: functional.conv1d(x, functional.pad(w, (1, 2)), padding=2), (2, 2, 3)), (2, 6)),
    "joined": (Weighted(lambda x, w: functional.conv1d(x, torch.cat([w, torch.zeros(1, 2, 3)])), (2, 2, 3)), (2, 5)),
    "dilated by hand": (
        Weighted(lambda x, w: functional.conv1d(x, torch.stack([w, torch.zeros_like(w)], -1).flatten(2)), (2, 2, 2)),
        (2, 6),
    ),
    "linear": (Weighted(lambda x, w: functional.linear(x, torch.where(TRIANGLE > 0, w, 0.0)), (4, 4)), (3, 4)),
    "in place": (Weighted(lambda x, w: functional.linear(x, w.clone().mul_(TRIANGLE)), (4, 4)), (3, 4)),
    "from the left": (Weighted(lambda x, w: w.tril() @ x, (4, 4)), (4, 3)),
    "product": (Weighted(lambda x, a, b: x @ ((a * TRIANGLE) @ (b * TRIANGLE)).T, (4, 4), (4, 4)), (3, 4)),
    "vector": (Weighted(lambda x, w: x @ (w * ZERO_ONE), (4,)), (3, 4)),
    "einsum": (Weighted(lambda x, w: torch.einsum("ij,bjd->bid", w.tril(), x), (4, 4)), (4, 3)),
    "einsum of three": (
        Weighted(lambda x, w, v: torch.einsum("ij,bjd,d->bi", w.tril(), x, v * ZERO_ONE[:3]), (4, 4), (3,)),
        (4, 3),
    ),
    "einsum, elements": (Weighted(lambda x, w: torch.einsum("bid,id->bid", x, w.tril()[:, :3]), (4, 4)), (4, 3)),
    "decay": (Weighted(decayed, (3, 3), (3, 3)), (4, 3)),
    "bilinear": (
        Weighted(lambda x, w: functional.bilinear(x, x.roll(1, 1), w * some(2, 3, 3)), (2, 3, 3)),
        (4, 3),
    ),
    "diagonal": (Weighted(lambda x, w: x @ torch.diag(w), (4,)), (3, 4)),
    "blocks": (Weighted(lambda x, a, b: x @ torch.block_diag(a, b), (2, 2), (2, 2)), (3, 4)),
    "exponential": (Weighted(lambda x, w: x @ torch.matrix_exp(w.tril()), (4, 4)), (3, 4)),
    "adjacency": (Weighted(lambda x, w: w.masked_fill(TRIANGLE == 0, -torch.inf).softmax(-1) @ x, (4, 4)), (4, 3)),
    "scale": (Weighted(lambda x, w: x * (w * ZERO_ONE), (4,)), (3, 4)),
    "layer norm": (Weighted(lambda x, w: functional.layer_norm(x, (4,), w * ZERO_ONE, w), (4,)), (3, 4)),
    "put": (
        Weighted(lambda x, w: x @ torch.zeros(4, 4).index_put((torch.tensor([0, 1]), torch.tensor([2, 3])), w), (2,)),
        (3, 4),
    ),
    "recurrence": (
        Weighted(lambda x, u, w: x[:, 1] @ u.tril() + torch.tanh(x[:, 0] @ u.tril()) @ w.triu(), (3, 3), (3, 3)),
        (2, 3),
    ),
}


def compare(module: nn.Module, shape: tuple[int, ...]) -> fastrf.ReceptiveField:
    """Every neuron of the output against autograd; the field, where none differs."""
    from tests.autograd import Oracle

    exported = frontend.capture(module.eval(), shape)
    field = fastrf.analyze(exported).output
    name = exported.graph_signature.user_outputs[0]
    oracle = Oracle(exported, (torch.ones(1, *shape),))
    full = tuple(oracle.values[name].shape)
    for index in np.ndindex(*full):
        mine, truth = field.neuron_mask(index[len(full) - len(field.shape) :]), oracle.mask(name, index)
        assert not (truth & ~mine).any(), index
        assert not field.exact or np.array_equal(mine, truth), index
    return field


@pytest.mark.parametrize("name", CASES)
@pytest.mark.slow
def test_weights_that_are_partly_zero_equal_autograd(name: str) -> None:
    assert compare(*CASES[name]).exact


LOST = {
    "factors": (Weighted(lambda x, w: x @ torch.linalg.qr(w.tril())[0], (4, 4)), (3, 4)),
    "a choice by weights": (Weighted(lambda x, w: x * (w.tril() > 0), (4, 4)), (4, 4)),
}


@pytest.mark.parametrize("name", LOST)
def test_zeros_that_cannot_be_followed_are_listed(name: str) -> None:
    field = compare(*LOST[name])
    assert not field.exact
    assert field.approximate_at == (field.name,)


@pytest.mark.parametrize("shifted", [True, False])
def test_a_normalization_that_adds_a_parameter_decides_no_zero(shifted: bool) -> None:
    """A convolution of zeros gives zeros, which only the shift makes any number."""

    def function(x, w, scale, shift):
        zeros = functional.conv1d(torch.zeros_like(x), w)
        normal = functional.batch_norm(zeros, torch.zeros(2), torch.ones(2), scale, shift if shifted else None)
        return x * normal

    assert fastrf.analyze(Weighted(function, (2, 2, 1), (2,), (2,)), (2, 3)).output.exact is shifted


def test_recurrent_layers_with_masked_weights_are_listed() -> None:
    layer = nn.GRU(2, 2, batch_first=True)
    prune.custom_from_mask(layer, "weight_ih_l0", some(6, 2))

    class Outputs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x):
            return self.layer(x)[0]

    assert not fastrf.analyze(Outputs(), (3, 2)).output.exact


def test_kernels_of_many_patterns_are_listed() -> None:
    """Every tap of 5 by 5 has channels of its own: more products than are worth it."""
    mask = torch.from_numpy(np.random.default_rng(0).random((5, 5, 5, 5)) < 0.5).float()
    field = compare(Weighted(lambda x, w: functional.conv2d(x, w * mask), (5, 5, 5, 5)), (5, 6, 6))
    assert field.approximate_at == (field.name,)


def test_sparse_kernels_one_after_another_end_in_an_over_approximation() -> None:
    """Products of channels and taps multiply along a network: 9, 81, 729."""
    layers = [nn.Conv2d(6, 6, 3, padding=1) for _ in range(5)]
    for seed, layer in enumerate(layers):
        mask = torch.from_numpy(np.random.default_rng(seed).random((6, 6, 3, 3)) < 0.1).float()
        prune.custom_from_mask(layer, "weight", mask)
    analysis = fastrf.analyze(nn.Sequential(*layers), (6, 8, 8))
    assert analysis["1"].exact
    assert not analysis.output.exact


def test_weights_without_constants_cost_nothing_and_are_not_read() -> None:
    """On the meta device there are no values; a large weight in many steps makes no table."""
    with torch.device("meta"):
        module = Weighted(lambda x, w: x @ (w / w.norm()).T.contiguous().view(4096, 4096), (4096, 4096))
    field = fastrf.analyze(module, (2, 4096)).output
    assert int(field.neuron_mask((1, 7)).sum()) == 4096


def test_drawn_numbers_may_be_any() -> None:
    class Noisy(nn.Module):
        def forward(self, x):
            return x * (torch.rand(4) < 0.5)

    field = fastrf.analyze(Noisy(), (3, 4)).output
    assert all(int(field.neuron_mask((0, k)).sum()) == 1 for k in range(4))


@pytest.mark.parametrize("capture", ["record", "export"])
@pytest.mark.parametrize("kind", ["written", "masked", "joined"])
def test_padding_stays_zero_where_constants_make_the_bias_zero(kind: str, capture: str) -> None:
    class Keys(nn.Module):
        def __init__(self):
            super().__init__()
            self.bias, self.weight = nn.Parameter(torch.rand(3)), nn.Parameter(torch.rand(3, 2))

        def forward(self, x):
            bias = self.bias
            if kind == "written":
                bias = bias.clone()
                bias[1:2].zero_()
            elif kind == "masked":
                bias = bias * torch.tensor([1.0, 0.0, 1.0])
            else:
                bias = torch.cat([bias[:1], torch.zeros(1), bias[2:]])
            y = torch.nn.functional.linear(torch.nn.functional.pad(x, (0, 0, 0, 2)), self.weight, bias)
            return y * x.sum()

    field = fastrf.analyze(Keys(), (4, 2), capture=capture).output
    assert field.exact
    assert [int(field.neuron_mask((5, k)).sum()) for k in range(3)] == [8, 0, 8]
    assert field.neuron_mask((2, 1)).all()
