"""Adapted, pruned, reparametrised and wrapped modules: masks are autograd's, parameters are all counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastrf

torch = pytest.importorskip("torch")
nn = torch.nn
utils = torch.nn.utils
prune: Any = pytest.importorskip("torch.nn.utils.prune")
pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
SHAPE = (3, 9, 7)


class Net(nn.Module):  # type: ignore[misc,name-defined]
    """Two convolutions and a linear layer over channels."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1, dtype=torch.float64)
        self.second = nn.Conv2d(4, 4, (1, 3), stride=2, groups=2, dtype=torch.float64)
        self.head = nn.Linear(4, 3, dtype=torch.float64)

    def forward(self, x: Any) -> Any:
        return self.head(self.second(self.first(x)).permute(0, 2, 3, 1))


class LoRA(nn.Module):  # type: ignore[misc,name-defined]
    """A layer, and beside it one of low rank; with `magnitude`, by columns as DoRA has it; with `scale`, as IA3."""

    def __init__(self, base: Any, magnitude: bool = False, scale: bool = False) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        rows, columns = base.weight.shape[0], base.weight[0].numel()
        self.down = nn.Parameter(torch.rand(2, columns, dtype=torch.float64))
        self.up = nn.Parameter(torch.rand(rows, 2, dtype=torch.float64))
        self.magnitude = nn.Parameter(torch.rand(rows, dtype=torch.float64)) if magnitude else None
        self.scale = nn.Parameter(torch.rand(rows, dtype=torch.float64)) if scale else None
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Any) -> Any:
        weight = self.base.weight + (self.up @ self.down).view_as(self.base.weight) * 0.5
        if self.magnitude is not None:
            norm = weight.flatten(1).norm(dim=1).detach()
            weight = weight * (self.magnitude / norm).reshape(-1, *[1] * (weight.dim() - 1))
        if isinstance(self.base, nn.Linear):
            y = nn.functional.linear(self.dropout(x), weight, self.base.bias)
        else:
            y = self.base._conv_forward(self.dropout(x), weight, self.base.bias)
        if self.scale is None:
            return y
        return y * (self.scale if isinstance(self.base, nn.Linear) else self.scale[:, None, None])


class Skew(nn.Module):  # type: ignore[misc,name-defined]
    """A kernel without its last column."""

    def forward(self, weight: Any) -> Any:
        return weight * torch.tensor([1.0, 1.0, 0.0], dtype=weight.dtype)


def adapted(**how: bool) -> Callable[[Any], Any]:
    def of(net: Any) -> Any:
        net.first, net.head = LoRA(net.first, **how), LoRA(net.head, **how)
        return net

    return of


def pruned(net: Any) -> Any:
    prune.custom_from_mask(net.first, "weight", torch.rand(4, 3, 3, 3) > 0.5)
    prune.ln_structured(net.head, "weight", 1, n=1, dim=1)
    return net


def parametrized(net: Any) -> Any:
    utils.parametrize.register_parametrization(net.first, "weight", Skew())
    return net


def normed(new: bool, norm: str) -> Callable[[Any], Any]:
    made = getattr(utils.parametrizations if new else utils, norm)

    def of(net: Any) -> Any:
        net.first, net.second, net.head = made(net.first), made(net.second), made(net.head)
        return net

    return of


CHANGES: dict[str, Callable[[Any], Any]] = {
    "LoRA": adapted(),
    "DoRA": adapted(magnitude=True),
    "IA3": adapted(scale=True),
    "pruned": pruned,
    "parametrised": parametrized,
    "LoRA of what is pruned": lambda net: nn.Sequential(pruned(net), LoRA(nn.Linear(3, 3, dtype=torch.float64))),
    **{
        f"{norm} {'as a parametrisation' if new else 'as a hook'}": normed(new, norm)
        for new in (False, True)
        for norm in ("weight_norm", "spectral_norm")
    },
    "compiled": torch.compile,
    "parallel": nn.DataParallel,
    "part compiled": lambda net: nn.Sequential(torch.compile(net), nn.Identity()),
}


def by_autograd(model: Any, place: tuple[int, int]) -> Any:
    """Which pixels change any channel of the output at a place."""
    x = torch.rand(1, *SHAPE, dtype=torch.float64, requires_grad=True)
    model = getattr(model, "_orig_mod", getattr(model, "module", model)).eval()
    model = model[0]._orig_mod if isinstance(model, nn.Sequential) and hasattr(model[0], "_orig_mod") else model
    found = np.zeros(SHAPE[1:], bool)
    for one in model(x)[0][place]:
        (gradient,) = torch.autograd.grad(one, x, retain_graph=True)
        found |= (gradient[0] != 0).any(0).numpy()
    return found


@pytest.mark.parametrize("change", CHANGES)
def test_masks_are_those_of_autograd(change: str) -> None:
    torch.manual_seed(0)
    model = CHANGES[change](Net())
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    asked = [p.requires_grad for p in model.parameters()]
    analysis = fastrf.analyze(model, SHAPE)
    field = analysis.output
    assert field.exact
    for place in ((0, 0), (2, 1), (4, 2)):
        np.testing.assert_array_equal(field.mask(place), by_autograd(model, place))
    counts = [node.parameters or 0 for node in analysis.network.nodes]
    assert sum(counts) + sum(analysis.network.unused.values()) == sum(p.numel() for p in model.parameters())
    assert [p.requires_grad for p in model.parameters()] == asked
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
