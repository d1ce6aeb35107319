"""A user's model is as it was, whatever its forward does to it, and whether or not that fails."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastrf

torch = pytest.importorskip("torch")
nn = torch.nn


class Meddling(nn.Module):  # type: ignore[misc,name-defined]
    """A forward that changes all that it can reach, and may fail afterwards."""

    def __init__(self, fails: bool) -> None:
        super().__init__()
        self.conv, self.norm, self.fails = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), fails
        self.norm.register_forward_hook(lambda *_: None)

    def forward(self, x: Any) -> Any:
        for part in (self.conv, self.norm):
            part.register_forward_hook(lambda *_: None)
            part.register_forward_pre_hook(lambda *_: None)
            part.register_full_backward_hook(lambda *_: None)
        self.conv.weight.register_hook(lambda gradient: gradient)
        self.register_buffer("seen", torch.ones(1))
        self.conv.weight.requires_grad_(False)
        self.train()
        torch.manual_seed(3)
        random.random()
        torch.set_default_dtype(torch.float64)
        self.norm.running_mean.add_(1)
        self.kept = x
        y = self.norm(self.conv(x))
        if self.fails:
            raise ValueError("as it says")
        return y


def state(model: Any) -> tuple[Any, ...]:
    """Everything about a model and the process that a forward may change."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_forward_hooks_with_kwargs")
    return (
        [(name, p.requires_grad, p._backward_hooks, p.tolist()) for name, p in model.named_parameters()],
        [(name, buffer.tolist()) for name, buffer in model.named_buffers()],
        [
            (part.training, sorted(vars(part)), [list(getattr(part, name)) for name in hooks])
            for part in model.modules()
        ],
        (torch.get_rng_state().tolist(), random.getstate(), torch.get_default_dtype(), torch.is_grad_enabled()),
    )


@pytest.mark.parametrize("capture", ["auto", "record", "export"])
@pytest.mark.parametrize("fails", [False, True])
def test_nothing_of_a_model_is_changed(capture: str, fails: bool) -> None:
    model = Meddling(fails)
    before = state(model)
    said = ""
    try:
        fastrf.load(model, (3, 8, 8), capture=capture)
    except fastrf.NetworkError as error:
        said = str(error)
    assert "\n" not in said
    if capture != "export":
        assert fails == ("Meddling fails in its own forward with inputs (1, 3, 8, 8): ValueError: as it says" in said)
    assert state(model) == before


WRITES: dict[str, Callable[[Any], Any]] = {
    "weight, past its version": lambda m: m.weight.data.mul_(2.0),
    "another memory of a weight": lambda m: setattr(m.weight, "data", m.weight.data * 2.0),
    "buffer": lambda m: m.count.add_(1),
    "buffer, by name": lambda m: setattr(m, "count", m.count + 1),
    "attribute": lambda m: m.own.add_(1),
    "gradient": lambda m: m.weight.grad.zero_(),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("branches", [False, True])
def test_finding_out_why_an_export_fails_writes_nothing(write: Callable[[Any], Any], branches: bool) -> None:
    class Writes(nn.Conv1d):  # type: ignore[misc,name-defined]
        def forward(self, x: Any) -> Any:
            write(self)
            return super().forward(x) if not branches or x.sum() >= 0 else x

    model = Writes(1, 1, 3)
    model.register_buffer("count", torch.zeros(2))
    model.own, model.weight.grad = torch.zeros(2), torch.ones(1, 1, 3)
    held = [model.weight, model.count, model.own, model.weight.grad]
    before = [(tensor.data_ptr(), tensor.tolist()) for tensor in held]
    with contextlib.suppress(fastrf.NetworkError):
        fastrf.load(model, (1, 8), capture="export")
    assert [(tensor.data_ptr(), tensor.tolist()) for tensor in held] == before
    now = [model.weight, model.count, model.own, model.weight.grad]
    assert all(one is other for one, other in zip(now, held, strict=True))


@pytest.mark.parametrize("choose", [lambda x: torch.where(x > 0)[0], lambda x: (x > 0).nonzero(as_tuple=True)[0]])
def test_an_exported_selection_by_values_is_one_line(choose: Callable[[Any], Any]) -> None:
    class Chooses(nn.Module):  # type: ignore[misc,name-defined]
        def forward(self, x: Any) -> Any:
            return x[choose(x[:, 0, 0])]

    with pytest.raises(fastrf.FastRFError, match=r"selects by values|nonzero") as caught:
        fastrf.analyze(Chooses(), (2, 3), capture="export")
    assert "\n" not in str(caught.value)


def test_numbers_of_tensors_in_lists_are_assumed() -> None:
    class Lists(nn.Module):  # type: ignore[misc,name-defined]
        def forward(self, x: Any) -> Any:
            low = torch.tensor([[x.min(), 0.5], [x[0, 0, 0], 2]])
            high = torch.as_tensor((x.max(), torch.ones(()))) + x.new_tensor([x.mean(), 1])
            return x * low.sum() + high.sum()

    field = fastrf.analyze(Lists(), (4, 5), capture="record").output
    assert (field.exact, field.size) == (True, (1,))
    assert np.flatnonzero(field.mask((2,))).tolist() == [2]
    assert len(field.assumes) == 1
    assert "numbers that it reads from tensors, are those of an input of zeros" in field.assumes[0]
    made: Any = torch.tensor
    assert made.__name__ == "tensor"
    assert not hasattr(made, "__wrapped__")
