"""Attention masks in every form that models write them in, against what each token may read."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import pytest

import fastrf
from fastrf.frontends import mixing
from fastrf.frontends.masking import exclusions

torch = pytest.importorskip("torch")
nn, functional = torch.nn, torch.nn.functional

TOKENS = 4
LOW = {torch.float16: -65504.0, torch.float32: float(np.finfo(np.float32).min), torch.bfloat16: -3.3895313892515355e38}
FORMS: dict[str, Callable] = {}


def form(function: Callable) -> Callable:
    FORMS[function.__name__] = function
    return function


class Masked(nn.Module):
    """Every form of one causal mask, on the same queries, keys and values."""

    def __init__(self, low: float, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.low, self.dtype = low, dtype
        self.q, self.k, self.v = (nn.Linear(2, 2, dtype=dtype) for _ in range(3))
        self.attend = nn.MultiheadAttention(2, 1, batch_first=True, dtype=dtype)
        self.register_buffer("open", torch.ones(TOKENS, TOKENS, dtype=torch.bool).tril())

    @property
    def mask(self) -> torch.Tensor:
        return torch.zeros((TOKENS, TOKENS), dtype=self.dtype).masked_fill(~self.open, self.low)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        q, k, v = self.q(x), self.k(x), self.v(x)
        return {name: function(self, q, k, v) for name, function in FORMS.items()}


def mixed(change: Callable) -> Callable:
    """A form that changes the scores before the softmax."""

    def run(m: Masked, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return change(m, q @ k.transpose(-1, -2) / 2).softmax(-1) @ v

    FORMS[change.__name__] = run
    return change


@mixed
def filled(m, s):
    return s.masked_fill(~m.open, m.low)


@mixed
def filled_twice(m, s):
    return s.masked_fill(~m.open, m.low).masked_fill((~m.open)[:, :], m.low)


@mixed
def added(m, s):
    return s + m.mask


@mixed
def multiplied(m, s):
    return s + (1.0 - m.open.to(m.dtype)) * max(m.low, torch.finfo(m.dtype).min)  # 0 times infinity is no number


@mixed
def chosen(m, s):
    return torch.where(m.open, s, torch.full((), m.low, dtype=m.dtype))


@mixed
def subtracted(m, s):
    return s - -m.mask


@mixed
def scaled(m, s):
    return (s + m.mask) * 0.5


@mixed
def clamped(m, s):
    return torch.clamp(s + m.mask, min=torch.finfo(m.dtype).min)


@mixed
def bounded(m, s):
    return torch.max(s + m.mask, torch.tensor(torch.finfo(m.dtype).min, dtype=m.dtype))


@mixed
def several(m, s):
    return (s + m.mask) + (m.mask + m.mask.unsqueeze(0))


@mixed
def cut(m, s):
    wide = functional.pad(m.mask, (0, 3, 0, 3), value=m.low)[None, None]
    return s + wide[:, :, :TOKENS, :TOKENS].expand(1, 2, TOKENS, TOKENS)[:, 0]


@mixed
def moved(m, s):
    return torch.cat([(s + m.mask).transpose(1, 2), s], 1)[:, :TOKENS].transpose(1, 2).reshape(1, TOKENS, TOKENS)


@form
def wider(m, q, k, v):
    return (q @ k.mT + m.mask).softmax(-1, dtype=torch.float64) @ v.double()


@form
def product_added(m, q, k, v):
    return torch.baddbmm(m.mask[None], q, k.mT).softmax(-1) @ v


@form
def fused(m, q, k, v):
    return functional.scaled_dot_product_attention(q, k, v, m.mask)


@form
def heads(m, q, k, v):
    return m.attend(q, k, v, attn_mask=m.mask, need_weights=False)[0]


@form
def heads_with_weights(m, q, k, v):
    return m.attend(q, k, v, attn_mask=m.mask, need_weights=True)[0]


def seen(field: fastrf.ReceptiveField) -> list[int]:
    """How many leading tokens each token reads; no others."""
    rows = [field.neuron_mask((t, 0)).any(-1) for t in range(TOKENS)]
    assert all(np.array_equal(row, np.arange(TOKENS) < row.sum()) for row in rows)
    return [int(row.sum()) for row in rows]


def analysed(low: float, dtype: torch.dtype = torch.float32, **options) -> fastrf.Analysis:
    return fastrf.analyze(Masked(low, dtype), torch.zeros(1, TOKENS, 2, dtype=dtype), **options)


@pytest.mark.parametrize(
    ("low", "dtype"), [(-math.inf, torch.float32), (-1e9, torch.float32), *((low, dtype) for dtype, low in LOW.items())]
)
def test_low_numbers_exclude_in_every_form(low: float, dtype: torch.dtype) -> None:
    analysis = analysed(low, dtype)
    for name in FORMS:
        assert seen(analysis[name]) == [1, 2, 3, 4], name
        assert analysis[name].exact


def test_what_a_finite_mask_takes_for_granted_is_said_by_every_form() -> None:
    analysis = analysed(-1e9)
    for name in FORMS:
        said = " ".join(analysis[name].assumes)
        assert re.search(r"node '.*': -.*e\+0. in what a softmax reads excludes", said), name
    plain = {name: analysis[name].assumes for name in ("added", "fused", "filled")}
    assert all("-1e+09" in said[0] for said in plain.values()), plain
    assert analysed(-math.inf)["added"].assumes == ()


@pytest.mark.parametrize("low", [-1e4, -100.0])
def test_ordinary_numbers_exclude_nothing_unless_asked(low: float) -> None:
    analysis = analysed(low)
    assert {tuple(seen(analysis[name])) for name in FORMS if name != "several"} == {(4, 4, 4, 4)}
    assert analysis["added"].assumes == ()
    assert seen(analysed(low, mask_below=low)["fused"]) == [1, 2, 3, 4]
    assert seen(analysed(-1e9, mask_below=-math.inf)["added"]) == [4, 4, 4, 4]


def test_a_row_masked_alike_reads_everything() -> None:
    class Rows(nn.Module):
        def forward(self, x):
            mask = torch.zeros(3, 3)
            mask[0] = -1e9
            mask[1, 2] = -1e9
            return (x @ x.mT + mask).softmax(-1) @ x

    field = fastrf.analyze(Rows(), torch.zeros(1, 3, 2)).output
    assert [int(field.neuron_mask((t, 0)).any(-1).sum()) for t in range(3)] == [3, 2, 3]


@pytest.mark.parametrize("change", [lambda s: s == 3, lambda s: s.to(torch.bool), torch.isnan])
def test_low_numbers_that_become_truths_exclude_nothing(change: Callable) -> None:
    """Whether a score plus -1e9 is 3 is a 0 or a 1, and a softmax of those reads all of them."""

    class Compared(nn.Module):
        def forward(self, x):
            return change(x + torch.tensor([0.0, 0.0, -1e9, -1e9])).float().softmax(-1)

    field = fastrf.analyze(Compared(), (4,)).output
    assert field.to_csr(channels=True).toarray().all()
    assert field.assumes == ()


def test_infinities_that_are_counted_exclude_nothing() -> None:
    class Counted(nn.Module):
        def forward(self, x):
            shut = x + torch.tensor([0.0, 0.0, -math.inf, -math.inf])
            return torch.count_nonzero(shut, 0).float().softmax(-1)

    assert fastrf.analyze(Counted(), (4,)).output.to_csr(channels=True).toarray().tolist() == [[1, 1, 0, 0]] * 4


def test_low_numbers_away_from_a_softmax_are_plain_numbers() -> None:
    class Plain(nn.Module):
        def forward(self, x):
            return (x + torch.tensor([0.0, -1e9])).relu() + (x * torch.tensor([-1e9, 1.0]))

    field = fastrf.analyze(Plain(), torch.zeros(1, 3, 2)).output
    assert int(field.neuron_mask((1, 1)).sum()) == 1
    assert field.assumes == ()


@pytest.mark.parametrize("low", [-math.inf, -1e9, -1e30])
def test_a_softmax_by_hand_tells_what_it_cannot(low: float) -> None:
    """Minus infinity stays what it is less a maximum; of a number it is not known how low the others are."""

    class ByHand(nn.Module):
        def forward(self, x):
            seen = x.expand(-1, 4, -1).masked_fill(~torch.ones(4, 4, dtype=torch.bool).tril(), low)
            e = (seen - seen.amax(-1, keepdim=True)).exp()
            return e / e.sum(-1, keepdim=True)

    field = fastrf.analyze(ByHand(), torch.zeros(1, 1, 4)).output
    assert field.exact == (low == -math.inf)
    seen = field.to_csr(channels=True).toarray().reshape(4, 4, 4).any(1) > 0
    assert (seen >= np.tri(4, dtype=bool)).all()
    assert not field.exact or np.array_equal(seen, np.tri(4, dtype=bool))


@pytest.mark.parametrize(
    "call", ["max(x, t)", "max(t, x)", "max(x, y)", "min(x, y)", "maximum(t, x)", "where(c, t, x)"]
)
def test_two_tensors_either_way_round(call: str) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.t = nn.Parameter(torch.zeros(1, 3, 1))

        def forward(self, x):
            names = {"x": x, "y": x.flip(-1), "t": self.t, "c": torch.tensor([True, False, False, False])}
            name, _, rest = call.partition("(")
            return getattr(torch, name)(*(names[k] for k in rest.rstrip(")").split(", ")))

    field = fastrf.analyze(Two(), torch.zeros(1, 3, 4)).output
    assert field.shape == (3, 4)
    wanted = {"where(c, t, x)": [0, 1, 1, 1]}.get(call, [2, 2, 2, 2] if "y" in call else [1, 1, 1, 1])
    assert [int(field.neuron_mask((1, p)).sum()) for p in range(4)] == wanted


JOINED = {
    "picked": lambda s, ok: s + torch.where(ok, 0.0, LOW[torch.float32]),
    "filled": lambda s, ok: s.masked_fill(~ok, -1e9),
    "chosen": lambda s, ok: torch.where(ok, s, torch.tensor(-torch.inf)),
    "multiplied": lambda s, ok: s + (1.0 - ok.float()) * LOW[torch.float32],
    "either": lambda s, ok: s.masked_fill(torch.logical_not(ok) | ~ok, -torch.inf),
}


def test_a_causal_mask_joined_with_padding_that_is_an_input_still_excludes() -> None:
    """False and anything is False, whatever the padding is; every token reads it where it may."""

    class Padded(nn.Module):
        def forward(self, x, padding):
            ok = torch.ones(TOKENS, TOKENS, dtype=torch.bool).tril() & padding[:, None, :].bool()
            scores = x @ x.mT
            results = {name: change(scores, ok).softmax(-1) @ x for name, change in JOINED.items()}
            return {**results, "fused": functional.scaled_dot_product_attention(x, x, x, ok)}

    given = {"x": torch.zeros(1, TOKENS, 2), "padding": torch.ones(1, TOKENS, dtype=torch.long)}
    for wrt in given:
        analysis = fastrf.analyze(Padded(), given, channel_axis={"x": 1, "padding": None}, wrt=wrt)
        for name in (*JOINED, "fused"):
            rows = [analysis[name].neuron_mask((t, 0)).reshape(TOKENS, -1).any(-1) for t in range(TOKENS)]
            assert all(not row[t + 1 :].any() for t, row in enumerate(rows)), (wrt, name)
            assert rows[-1].all(), (wrt, name)


@pytest.mark.parametrize("made", ["buffer", "view", "anew"])
def test_equal_masks_of_several_layers_are_followed_once(made: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether layers share a buffer, read it as views, or make each its own: what the first needed is kept."""
    tokens, layers, met = 130, 3, []
    monkeypatch.setattr(mixing, "exclusions", lambda *given: met.append(0) or exclusions(*given))

    class Eager(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mask", torch.full((tokens, tokens), -torch.inf).triu(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for _ in range(layers):
                own = torch.full((tokens, tokens), -torch.inf).triu(1)
                mask = {"buffer": self.mask, "view": self.mask[:, :tokens], "anew": own}[made]
                scores = x @ x.transpose(-1, -2) * 0.5 + mask
                x = x + torch.softmax(scores, dim=-1) @ x
            return x

    field = fastrf.analyze(Eager(), (tokens, 4)).output
    assert len(met) == 1
    assert [field.neuron_mask([at, 0]).any(1).sum() for at in (0, 40, tokens - 1)] == [1, 41, tokens]
