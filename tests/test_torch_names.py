"""A module's name stands for what the module returned, in every call, whatever the nodes are called."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import fastrf

torch = pytest.importorskip("torch")
nn = torch.nn

#: Attributes that FX would name nodes by.
TAKEN = ("relu", "conv1d", "add", "x", "linear", "softmax", "flatten")


class Taken(nn.Module):
    """Modules whose names automatic node names have, too; each widens the field by 2."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv1d(1, 1, 3, padding=1), nn.ReLU())
        self.add_module(name, nn.Sequential(nn.Conv1d(1, 1, 3, padding=1), nn.ReLU()))
        self.name = name

    def forward(self, x: Any) -> Any:
        y = self.first(x) + 1
        return torch.softmax(getattr(self, self.name)(y), 1).flatten(1)[:, None] + y


@pytest.mark.parametrize("name", TAKEN)
def test_modules_win_over_nodes(name: str) -> None:
    analysis = fastrf.analyze(Taken(name), (1, 9))
    assert analysis[name].size == (5,)
    assert [field.size for field in analysis.calls(name)] == [(5,)]
    assert analysis["first"].size == (3,)
    assert {"first.0", "first.1", f"{name}.1"} < set(analysis)
    assert not set(analysis) & {name, "first"}
    assert len(list(analysis)) == len(analysis.network.nodes) + 1
    assert fastrf.Network.from_dict(analysis.network.to_dict()) == analysis.network


def test_a_module_that_never_ran_has_no_answer() -> None:
    net = Taken("conv1d")
    net.relu = nn.ReLU()
    with pytest.raises(fastrf.UnknownNodeError, match="'relu' is not in network"):
        _ = fastrf.analyze(net, (1, 9))["relu"]


class Several(nn.Module):
    """Returns its tensors in some container; the last node is none of them."""

    def __init__(self, pack: Any) -> None:
        super().__init__()
        self.a, self.b, self.pack = nn.Conv1d(1, 1, 3, padding=1), nn.Conv1d(1, 1, 5, padding=2), pack

    def forward(self, x: Any) -> Any:
        wide, narrow = self.b(x), self.a(x)
        self.seen = narrow * 2  # read by the caller, and returned by nobody
        return self.pack(narrow, wide)


class Pair(NamedTuple):
    low: Any
    high: Any


class Holder:
    def __init__(self, low: Any, high: Any) -> None:
        self.low, self.inner = low, {"high": high}


class Outer(nn.Module):
    def __init__(self, pack: Any, unpack: Any) -> None:
        super().__init__()
        self.inner, self.unpack = Several(pack), unpack

    def forward(self, x: Any) -> Any:
        low, high = self.unpack(self.inner(x))
        return low + high + self.inner.seen


@pytest.mark.parametrize(
    ("pack", "unpack", "names"),
    [
        (lambda a, b: (a, b), lambda t: t, ("inner[0]", "inner[1]")),
        (lambda a, b: {"p3": a, "p4": b}, lambda t: t.values(), ("inner[p3]", "inner['p4']")),
        (lambda a, b: [a, [None, b]], lambda t: (t[0], t[1][1]), ("inner[0]", "inner[1]")),
        (Pair, lambda t: t, ("inner[low]", "inner@0[high]")),
        (Holder, lambda t: (t.low, t.inner["high"]), ("inner[low]", "inner[inner][high]")),
    ],
)
def test_several_tensors_are_asked_for_one_by_one(pack: Any, unpack: Any, names: tuple[str, str]) -> None:
    analysis = fastrf.analyze(Outer(pack, unpack), (1, 9))
    assert [analysis[name].size for name in names] == [(3,), (5,)]
    for ask in (lambda: analysis["inner"], lambda: analysis.calls("inner"), lambda: analysis["inner[7]"]):
        with pytest.raises(fastrf.UnknownNodeError, match=r"inner.*\[.*\]"):
            ask()
    assert analysis.calls(names[0])[0].size == (3,)


def test_one_tensor_in_a_container_answers_for_the_module() -> None:
    analysis = fastrf.analyze(Outer(lambda a, _: (a, None), lambda t: (t[0], t[0])), (1, 9))
    assert analysis["inner"].size == analysis["inner[0]"].size == (3,)


class Passing(nn.Module):
    """Modules that hand on what they get, and one called three times."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, padding=1)
        self.drop, self.same, self.empty = nn.Dropout(0.5), nn.Identity(), nn.Sequential()
        self.tail = nn.Sequential(nn.Conv1d(1, 1, 1), nn.Identity(), nn.Dropout())
        self.alias = self.conv
        self.table = nn.Embedding(9, 1)

    def forward(self, x: Any) -> Any:
        y = self.same(self.drop(self.alias(self.conv(self.empty(x)))))
        z = self.tail(y)
        z += self.table(torch.arange(9)).T
        return self.conv(z)


def test_modules_that_pass_on_answer_with_what_they_return() -> None:
    analysis = fastrf.analyze(Passing(), (1, 9))
    sizes = {name: analysis[name].size for name in ("empty", "drop", "same", "tail", "tail.1", "conv")}
    assert sizes == {"empty": (1,), "drop": (5,), "same": (5,), "tail": (5,), "tail.1": (5,), "conv": (7,)}
    assert [field.size for field in analysis.calls("alias")] == [(3,), (5,), (7,)]
    assert analysis["conv@1"].size == (5,)
    assert analysis["table"].shape == (9, 1)
    assert not analysis["table"].neuron_mask((3, 0)).any()
    with pytest.raises(fastrf.UnknownNodeError):
        _ = analysis["conv@3"]


def test_the_row_of_a_module_tells_of_what_it_returned() -> None:
    class Early(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Several(lambda a, _: a)

        def forward(self, x: Any) -> Any:
            return self.inner(x) + self.inner.seen

    rows = fastrf.analyze(Early(), (1, 9)).summary(depth=1).rows
    assert rows[0].name == "inner"
    assert rows[0].size == (3,)
    rows = fastrf.analyze(Outer(lambda a, b: (a, b), lambda t: t), (1, 9)).summary(depth=1).rows
    assert rows[0].name == "inner.mul"


@pytest.mark.filterwarnings("ignore:The tensor attribute")
def test_modules_of_other_origin_are_what_is_read_outside_of_them() -> None:
    exported = torch.export.export(Outer(lambda a, b: (a, b), lambda t: t), (torch.rand(1, 1, 9),), strict=False)
    analysis = fastrf.analyze(exported)
    assert analysis["inner.a"].size == (3,)
    with pytest.raises(fastrf.UnknownNodeError, match="'inner' stands for several tensors; ask for one of inner"):
        _ = analysis["inner"]
    with pytest.raises(fastrf.UnknownNodeError, match="'relu_'"):
        _ = fastrf.analyze(torch.export.export(Taken("relu"), (torch.rand(1, 1, 9),), strict=False))["relu_"]
    assert fastrf.analyze(torch.export.export(Taken("relu"), (torch.rand(1, 1, 9),), strict=False))["relu"].size == (5,)


def test_outputs_whose_names_modules_have() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Conv1d(1, 1, 3, padding=1)

        def forward(self, x: Any) -> Any:
            return {"head": self.head(x) + x.flip(-1), "out": (x, x * 2)}

    analysis = fastrf.analyze(Named(), (1, 9))
    assert analysis.network.outputs == ("out.head", "out.0", "out.1")
    assert np.flatnonzero(analysis["head"].neuron_mask((0, 0))).tolist() == [0, 1]
    assert np.flatnonzero(analysis["out.head"].neuron_mask((0, 0))).tolist() == [0, 1, 8]
    with pytest.raises(fastrf.UnknownNodeError, match=r"several tensors; ask for one of out\.head, out\.0, out\.1"):
        _ = analysis["out"]


@pytest.mark.parametrize("returns", [["conv"], {"conv": "nope"}, {"conv": "one"}, {"input": "one"}, {"a\n": "one"}])
def test_returns_that_cannot_be(returns: Any) -> None:
    spec = {"input_shape": [1, 9], "layers": [{"name": "one", "op": "relu"}], "returns": returns}
    if returns == {"conv": "one"}:
        assert fastrf.analyze(fastrf.Network.from_dict(spec))["conv"].size == (1,)
        return
    with pytest.raises(fastrf.FastRFError, match="'returns'"):
        fastrf.Network.from_dict(spec)
