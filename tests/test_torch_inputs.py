"""What a model is called with, what it gives back, and what is left of a capture in it."""

from __future__ import annotations

import dataclasses
import functools
import os
import random
from typing import Any

import numpy as np
import pytest

import fastrf

torch = pytest.importorskip("torch")
nn = torch.nn


class Function(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(x)


# Arguments of which only shape, type or device is read --------------------------------------------------

TABLE = torch.arange(12.0).reshape(1, 3, 4)

FREE = {
    "type_as": TABLE.type_as,
    "to": TABLE.to,
    "expand_as": TABLE[:, :, :1].expand_as,
    "view_as": lambda x: TABLE.flatten().view_as(x),
    "reshape_as": lambda x: TABLE.flatten().reshape_as(x),
    "new_tensor": lambda x: x.new_tensor([1.0, 2.0, 3.0, 4.0]),
    "new_zeros": lambda x: x.new_zeros(3, 4),
    "new_full": lambda x: x.new_full((4,), 2.0),
    "new_empty": lambda x: x.new_empty(4).fill_(2),
    "zeros_like": torch.zeros_like,
    "full_like": lambda x: torch.full_like(x, 2.0),
    "empty_like": lambda x: torch.empty_like(x).fill_(1),
    "rand_like": torch.rand_like,
    "randn_like": torch.randn_like,
    "randint_like": lambda x: torch.randint_like(x, 3),
    "bernoulli": lambda x: torch.bernoulli(torch.full_like(x, 1.0)),
    "empty_strided": lambda x: x.new_empty_strided((3, 4), (4, 1)).fill_(3),
    "broadcast_to": lambda x: torch.broadcast_to(TABLE[:, :1], x.shape),
    "result_type": lambda x: TABLE.to(torch.result_type(x, TABLE)),
    "of a shape of a shape": lambda x: torch.ones_like(torch.zeros_like(x)[:, :1]),
}


@pytest.mark.parametrize("name", FREE)
def test_of_a_value_free_argument_nothing_is_read(name: str) -> None:
    field = fastrf.analyze(Function(lambda x: x + FREE[name](x.flip(-1) @ x.mT @ x)), (3, 4)).output
    assert field.exact
    for neuron in np.ndindex(3, 4):
        assert np.argwhere(field.neuron_mask(neuron)).tolist() == [list(neuron)]


@pytest.mark.parametrize("name", ["type_as", "to", "expand_as", "view_as"])
def test_the_other_argument_is_read(name: str) -> None:
    field = fastrf.analyze(Function(lambda x: getattr(x.flip(-1), name)(x)), (3, 4)).output
    assert np.argwhere(field.neuron_mask((1, 0))).tolist() == [[1, 3]]


def test_operators_without_a_rule_are_taken_apart() -> None:
    other = torch.rand(1, 3, 4)
    cases = {
        "cosine_similarity": (lambda x: torch.cosine_similarity(x, other, dim=1), lambda m: m[:, 1], (1,)),
        "pairwise_distance": (lambda x: torch.pairwise_distance(x, other), lambda m: m[2], (2,)),
    }
    for function, part, neuron in cases.values():
        field = fastrf.analyze(Function(function), (3, 4)).output
        mask = field.neuron_mask(neuron)
        assert field.exact
        assert part(mask).all()
        assert mask.sum() == part(mask).size


def test_programs_that_work_in_place() -> None:
    def function(x: Any) -> Any:
        y, z = x.flip(-1), x * 1
        y[:, 0] += 1
        z.copy_(y)
        functional = torch.nn.functional.relu_(z)
        z[:, 2].zero_()
        return z + 0 * functional

    exported = torch.export.export(Function(function), (torch.rand(1, 3, 4),), strict=False)
    field = fastrf.analyze(exported).output
    assert np.argwhere(field.neuron_mask((1, 0))).tolist() == [[1, 3]]
    assert not field.neuron_mask((2, 0)).any()


def test_dropout_of_inference_is_its_argument() -> None:
    def function(x: Any) -> Any:
        y = x * 1
        torch.nn.functional.dropout(y, 0.5, False)[:, 1].zero_()
        return y

    field = fastrf.analyze(Function(function), (3, 4)).output
    assert [bool(field.neuron_mask((channel, 0)).any()) for channel in range(3)] == [True, False, True]


def test_an_operator_that_nobody_knows_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from fastrf.frontends.torch import capture

    exported = capture(Function(lambda x: x + torch.geqrf(x)[0]), (3, 4))
    monkeypatch.setattr(type(exported), "run_decompositions", None)  # no pass over the whole program
    with pytest.raises(fastrf.UnsupportedOpError, match=r"node 'geqrf'.*aten::geqrf has no rule"):
        fastrf.analyze(exported)


# Arguments ----------------------------------------------------------------------------------------------


class Scaled(nn.Module):
    """Arguments that are no tensors decide what is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, padding=1)

    def forward(self, x: Any, times: int, *, flip: bool = False, mode: str | None = None, grid: Any = None) -> Any:
        for _ in range(times):
            x = self.conv(x)
        x = x if mode is None else {"mean": x.mean(-1, keepdim=True)}[mode]
        x = x if grid is None else x * grid
        return x.flip(-1) if flip else x


def test_arguments_that_are_no_tensors() -> None:
    net = Scaled()
    assert fastrf.analyze(net, {"x": (1, 9), "times": 2}).output.size == (5,)
    assert fastrf.analyze(net, (1, 9), values={"times": 3}).output.size == (7,)
    assert fastrf.analyze(net, (torch.rand(1, 1, 9), 1)).output.size == (3,)
    assert fastrf.analyze(net, np.zeros((1, 1, 9), np.float32), values={"times": 1}).output.size == (3,)
    flipped = fastrf.analyze(net, {"x": (1, 9), "times": 0, "flip": True}).output
    assert np.flatnonzero(flipped.neuron_mask((0, 0))).tolist() == [8]
    assert fastrf.analyze(net, {"x": (1, 9), "times": 0, "mode": "mean"}).output.neuron_mask((0, 0)).all()


def test_values_of_tensors_are_constants() -> None:
    grid = np.float32([[[1, 0, 1]]])
    analysis = fastrf.analyze(Scaled(), (1, 3), values={"times": 0, "grid": grid})
    assert list(analysis.network.inputs) == ["x"]
    assert [bool(analysis.output.neuron_mask((0, k)).any()) for k in range(3)] == [True, False, True]
    assert [sentence.split()[0] for sentence in analysis.output.assumes] == ["'times'", "'grid'"]


@pytest.mark.parametrize(
    ("given", "values", "message"),
    [
        ((1, 8), {}, r"'x' of the exported program is \(1, 9\), not \(1, 8\); export it again"),
        (torch.rand(1, 1, 8), {}, r"'x' of the exported program is \(1, 9\), not \(1, 1, 8\)"),
        ({"y": (1, 9)}, {}, "'y' is not one of the exported program; it takes x, times"),
        (None, {"times": 1}, "'times' of the exported program is 2, not 1"),
        (None, {"time": 2}, "'time' is not one of the exported program"),
    ],
)
def test_an_exported_program_has_the_inputs_it_has(given: Any, values: Any, message: str) -> None:
    program = torch.export.export(Scaled(), (torch.rand(1, 1, 9), 2))
    for fits in (None, (1, 9), (1, 1, 9), {"x": (1, 9)}, (torch.rand(1, 1, 9), 2)):
        assert fastrf.analyze(program, fits, values={"times": 2}).output.size == (5,)
    with pytest.raises(fastrf.ShapeError, match=message):
        fastrf.analyze(program, given, values=values)


@pytest.mark.parametrize(
    ("given", "values", "message"),
    [
        ((1, 9), {}, r"Scaled\(x, times, .*missing a required argument: 'times'.*values="),
        ((1, 9), {"times": 1, "nope": 2}, "'nope' is not an argument of Scaled.forward; it takes x, times"),
        ({"times": 1}, {}, "missing a required argument: 'x'"),
        ({"x": (1, 0), "times": 1}, {}, r"positive integers such as .* not '\(1, 0\)'"),
        ((1, 9), {"times": 1, "x": 2}, "multiple values for argument 'x'"),
        ("1x9", {"times": 1}, "positive integers"),
    ],
)
def test_arguments_that_do_not_fit(given: Any, values: Any, message: str) -> None:
    with pytest.raises(fastrf.ShapeError, match=message) as caught:
        fastrf.analyze(Scaled(), given, values=values)
    assert "\n" not in str(caught.value)


# Results ------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Output:
    last_hidden_state: Any
    hidden_states: Any = None
    steps: int = 3


class Cache:
    def __init__(self, tensor: Any) -> None:
        self.layers = [{"keys": tensor}]
        self.myself = self


class Slotted:
    __slots__ = ("tensor",)

    def __init__(self, tensor: Any) -> None:
        self.tensor = tensor


class Private:
    def __init__(self, tensor: Any) -> None:
        self._tensor, self.name = tensor, "private"


@pytest.mark.parametrize(
    ("pack", "names"),
    [
        (lambda x: Output(x, (x * 2, None, x * 3)), ("last_hidden_state", "hidden_states.0", "hidden_states.2")),
        (lambda x: {"y": x * 1, "cache": Cache(x * 2), "n": 3}, ("y", "cache.layers.0.keys")),
        (Slotted, ("tensor",)),
        (lambda x: [Private(x * 2)], ("out.0._tensor",)),
        (lambda x: (x, "text", {3: {x.shape: x}}), ("out.0", "out.2.3.torch.Size([1, 3, 4])")),
    ],
)
def test_results_of_any_type_have_names(pack: Any, names: tuple[str, ...]) -> None:
    analysis = fastrf.analyze(Function(pack), (3, 4))
    assert analysis.network.outputs == names
    assert all(field.neuron_mask((1, 2)).sum() == 1 for field in analysis.outputs)


def test_results_without_a_tensor() -> None:
    with pytest.raises(fastrf.NetworkError, match="Function returns no tensor but a dict"):
        fastrf.analyze(Function(lambda x: {"n": x.ndim}), (3, 4))


# What is left ------------------------------------------------------------------------------------------

STORE: dict[str, Any] = {}


@functools.lru_cache
def ramp(n: int) -> Any:
    return torch.arange(n) + 0.5


@functools.cache
def ramps(n: int) -> Any:
    return (torch.arange(n) + 0.5,)


class Keeping(nn.Module):
    """Keeps what it computes wherever a module can."""

    shape, grid, shared = None, torch.empty(0), {}

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, padding=1)
        self.log: list[Any] = []
        self.cache = {"first": 1}
        self.seen = seen = {}
        self.conv.register_forward_hook(lambda _, __, y: seen.update(y=y))
        self.register_buffer("last", None)

    def forward(self, x: Any) -> Any:
        y = self.conv(x)
        if self.shape != y.shape:
            self.grid, self.shape = torch.arange(y.shape[-1]) + 0.5, y.shape
        self.log.append(y)
        self.cache["y"] = self.shared["y"] = STORE["y"] = self.last = type(self).kept = y
        self.conv.weight.requires_grad_(False)
        torch.set_default_dtype(torch.float64)
        torch.rand(3), random.random(), np.random.rand()  # noqa: NPY002
        n = y.shape[-1]
        return y + self.grid + ramp(n) + ramps(n)[0] + (self.wrong if x.shape[-1] == 5 else 0)


@pytest.mark.parametrize("n", [9, 5])
def test_the_model_and_the_process_are_left_as_they_were(n: int) -> None:
    net = Keeping()
    before = {name: repr(value) for name, value in vars(net).items()}
    states = torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    if n == 9:
        assert fastrf.analyze(net, (1, n)).output.size == (3,)
    else:
        with pytest.raises(fastrf.NetworkError, match="no attribute 'wrong'"):
            fastrf.analyze(net, (1, n))
    assert {name: repr(value) for name, value in vars(net).items()} == before
    assert net.training
    assert net.conv.weight.requires_grad
    assert not Keeping.shared
    assert not isinstance(STORE.pop("y", None), torch._subclasses.fake_tensor.FakeTensor)
    assert not hasattr(Keeping, "kept")
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()
    assert not torch._subclasses.fake_tensor.FakeTensor in map(type, [ramp(n), *ramps(n)])  # noqa: E713
    assert states == (torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist())  # noqa: NPY002


def test_a_model_that_runs_on_after_an_analysis_is_the_same() -> None:
    net = Function(lambda x: x)
    net.function = inner = Keeping().requires_grad_(False)
    x = torch.rand(1, 1, 9)
    try:
        wanted = inner(x)
        torch.set_default_dtype(torch.float32)
        fastrf.analyze(net, (1, 9))
        assert torch.equal(net(x), wanted)
    finally:
        torch.set_default_dtype(torch.float32)
        STORE.clear()
        Keeping.shared.clear()
        del Keeping.kept


# What is said ------------------------------------------------------------------------------------------


def test_what_a_failure_says(capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnx")
    cases = {
        r"depends on values; give capture='record', which follows it": lambda x: x if x.sum() > 0 else -x,
        r"fails in its own forward .*IndexError.*give x as tensors of whole numbers": lambda x: torch.ones(3)[x],
        r"fails in its own forward .*RuntimeError: .*give inputs that it takes": lambda x: x @ torch.ones(7, 7),
    }
    for message, function in cases.items():
        with pytest.raises(fastrf.NetworkError, match=message) as caught:
            fastrf.analyze(Function(function), (3, 4), capture="export")
        assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_nothing_reaches_the_error_stream(capfd: pytest.CaptureFixture[str]) -> None:
    """Torch warns of a transform without a window past every handler of Python's."""
    field = fastrf.analyze(Function(lambda x: torch.stft(x, 8, 4, return_complex=True).abs()), (40,)).output
    assert field.exact
    os.write(2, b"still there")
    assert capfd.readouterr() == ("", "still there")


def test_a_model_without_layers() -> None:
    analysis = fastrf.analyze(nn.Sequential(nn.Identity(), nn.Dropout()), (3, 4))
    assert analysis.network.outputs == ("output",)
    assert analysis["1"].neuron_mask((1, 2)).sum() == analysis.output.neuron_mask((1, 2)).sum() == 1


def leaving(_: Any = None) -> Any:
    raise SystemExit(3)


def test_a_model_that_ends_the_process() -> None:
    with pytest.raises(
        fastrf.NetworkError, match=r"Function ends the process with inputs \(1, 3, 4\) \(SystemExit: 3\)"
    ):
        fastrf.analyze(Function(leaving), (3, 4))
    with pytest.raises(fastrf.FormatError, match="SystemExit: 3"):
        fastrf.analyze(f"{__name__}:leaving", (3, 4))
