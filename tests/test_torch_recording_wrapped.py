"""Recorded modules that are wrapped, or use what torch.export refuses: FlexAttention, sparse matrices, transforms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastrf

torch = pytest.importorskip("torch")
nn = torch.nn
flex = pytest.importorskip("torch.nn.attention.flex_attention")


def near_or_first(_batch: Any, _head: Any, query: Any, key: Any) -> Any:
    return ((query - key).abs() <= 3) | (key == 0)


class Attending(nn.Module):
    """Two heads over 32 tokens of 8 features, with what FlexAttention is asked for."""

    def __init__(self, **given: Any) -> None:
        super().__init__()
        self.parts, self.given = nn.Linear(8, 24), given
        self.bias = nn.Parameter(torch.rand(2, 63))

    def forward(self, x: Any) -> Any:
        q, k, v = self.parts(x).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        given = {name: item(self) if name == "block_mask" else item for name, item in self.given.items()}
        if "score_mod" in given:
            given["score_mod"] = given["score_mod"](self)
        return flex.flex_attention(q, k, v, **given).transpose(1, 2).flatten(2)


def block_mask(function: Any) -> Any:
    return flex.create_block_mask(function, None, None, 32, 32, device="cpu", BLOCK_SIZE=16)


def shut(_net: Any) -> Any:
    return lambda score, *place: torch.where(near_or_first(*place), score, -float("inf"))


def biased(net: Any) -> Any:
    return lambda score, _batch, head, query, key: score + net.bias[head, query - key + 31]


HELD = block_mask(near_or_first)
ASKED: list[dict[str, Any]] = [
    {"block_mask": lambda _: HELD},
    {"block_mask": lambda _: block_mask(near_or_first)},
    {"score_mod": shut},
    {"score_mod": biased, "block_mask": lambda _: HELD},
]


def attended(token: int, **given: Any) -> list[int]:
    field = fastrf.analyze(Attending(**given), (32, 8), channel_axis=-1, capture="record").output
    assert field.exact
    return np.flatnonzero(field.mask((token,))).tolist()


@pytest.mark.parametrize("given", ASKED, ids=["held", "made", "score", "bias"])
def test_flex_attention_reads_what_its_functions_keep(given: dict[str, Any]) -> None:
    assert attended(20, **given) == [0, *range(17, 24)]


def test_flex_attention_without_functions_reads_everything() -> None:
    assert attended(20) == list(range(32))


def test_functions_of_flex_attention_act_place_by_place() -> None:
    def summed(_net: Any) -> Any:
        return lambda score, *_: score - score.sum()

    with pytest.raises(fastrf.NetworkError, match="does not act place by place"):
        attended(20, score_mod=summed)
    whole = flex.create_block_mask(
        lambda _b, _h, query, key: query >= key, None, None, 32, 32, device="cpu", BLOCK_SIZE=16
    )
    sparser = flex.BlockMask.from_kv_blocks(
        whole.kv_num_blocks, whole.kv_indices, BLOCK_SIZE=16, mask_mod=near_or_first, seq_lengths=(32, 32)
    )
    with pytest.raises(fastrf.NetworkError, match="leaves out what its mask function keeps"):
        attended(20, block_mask=lambda _: sparser)


class Neighbours(nn.Module):
    """A layer on every node of a ring, and each node's sum with the one before it."""

    def __init__(self, layout: Any) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.register_buffer("graph", (torch.eye(6) + torch.eye(6).roll(1, 0)).to_sparse(layout=layout))

    def forward(self, x: Any) -> Any:
        return torch.stack([torch.sparse.mm(self.graph, self.layer(rows)) for rows in x])


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta state")
@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr])
def test_products_with_a_sparse_constant(layout: Any) -> None:
    field = fastrf.analyze(Neighbours(layout), (6, 4), channel_axis=-1, capture="record").output
    assert field.exact
    assert [np.flatnonzero(field.mask((k,))).tolist() for k in (0, 3)] == [[0, 5], [2, 3]]


class Outer(nn.Module):
    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner, self.last = inner, nn.Conv2d(4, 2, 1)

    def forward(self, x: Any) -> Any:
        return self.last(self.inner(x))


@pytest.mark.parametrize("capture", ["record", "export"])
def test_compiled_modules_and_those_on_several_devices_are_named_as_what_they_wrap(capture: str) -> None:
    def body() -> Any:
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True))

    for model in (torch.compile(body()), nn.DataParallel(body()), nn.DataParallel(torch.compile(body()))):
        assert set(fastrf.analyze(model, (3, 8, 8), capture=capture).network.returns) == {"0", "1"}
    names = set(fastrf.analyze(Outer(torch.compile(body())), (3, 8, 8), capture=capture).network.returns)
    assert names == {"inner", "inner.0", "inner.1", "last"}


def test_transforms_of_recorded_tensors_are_refused() -> None:
    class Mapped(nn.Module):
        def __init__(self, function: Any) -> None:
            super().__init__()
            self.weight, self.function = nn.Parameter(torch.rand(2, 6)), function

        def forward(self, x: Any) -> Any:
            return self.function(self, x)

    functions = [
        lambda _, x: torch.func.vmap(lambda row: row * x[0, 0])(torch.eye(6)[:2])[None],
        lambda net, x: torch.func.vmap(lambda row: row * x[0, 0])(net.weight)[None],
        lambda _, x: torch.func.vmap(lambda row: row + 1)(x),
    ]
    for function in functions:
        with pytest.raises(fastrf.NetworkError, match="cannot be recorded"):
            fastrf.analyze(Mapped(function), (2, 6), capture="record")
    doubled = Mapped(lambda _, x: x * torch.func.vmap(lambda row: row * 2)(torch.eye(6))[1])
    assert fastrf.analyze(doubled, (2, 6), capture="record").output.to_csr(channels=True).nnz == 2


@pytest.mark.parametrize("capture", ["record", "export"])
def test_what_a_call_returns_is_what_its_own_hooks_make_of_it(capture: str) -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.ReLU())
    model[0].register_forward_hook(lambda _module, _given, output: output.flip(-1) + output.mean())
    hooks = list(model[0]._forward_hooks.items())
    analysis = fastrf.analyze(model, (1, 8, 8), capture=capture)
    assert (analysis["0"].areas() == 64).all()
    assert (analysis["1"].areas() == 64).all()
    assert list(model[0]._forward_hooks.items()) == hooks


@pytest.mark.parametrize("cell", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
def test_a_cell_is_taken_apart_once_for_all_steps(monkeypatch: pytest.MonkeyPatch, cell: Any) -> None:
    from fastrf.frontends.torch import simplifying

    class Steps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = cell(2, 3)

        def forward(self, x: Any) -> Any:
            state = None
            for step in range(x.shape[1]):
                state = self.cell(x[:, step], state)
            return state[0] if isinstance(state, tuple) else state

    made: list[int] = []
    trace = simplifying.make_fx
    monkeypatch.setattr(simplifying, "make_fx", lambda *a, **k: made.append(1) or trace(*a, **k))
    monkeypatch.setattr(simplifying, "_known", {})
    fastrf.load(Steps(), (3, 2))
    fastrf.load(Steps(), (5, 2))
    few = len(made)
    field = fastrf.analyze(Steps(), (12, 2), channel_axis=-1).output
    assert len(made) <= 2 * few
    assert (field.neuron_mask((0,))).all()


@pytest.mark.parametrize("capture", ["auto", "record", "export"])
@pytest.mark.parametrize("derivative", ["grad", "jacrev", "jacfwd", "hessian"])
def test_derivatives_that_torch_cannot_follow_are_refused(capture: str, derivative: str) -> None:
    class Derived(nn.Module):
        def forward(self, x: Any) -> Any:
            return getattr(torch.func, derivative)(lambda y: (y.cumsum(-1) ** 2).sum())(x)

    with pytest.raises(fastrf.UnsupportedOpError, match=r"use torch\.autograd\.grad in forward"):
        fastrf.analyze(Derived(), (1, 3, 3), capture=capture)
