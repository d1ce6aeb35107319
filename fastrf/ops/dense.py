"""Operators that mix whole axes: linear, products, attention, normalisation, reductions, recurrence."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fastrf.engine import axis_map as maps
from fastrf.engine.axis_map import AxisMap
from fastrf.engine.recipe import Tensor
from fastrf.engine.relation import Relation
from fastrf.errors import NetworkError, ShapeError
from fastrf.ops.arguments import in_groups, integer, integers, one_of, spatial_axes
from fastrf.ops.registry import Attributes, Shape, operator
from fastrf.ops.truths import Truths
from fastrf.ops.zeros import table_of

__all__ = ["affine_cost", "attention", "einsum", "linear", "matmul", "softmax"]

Axes = int | list[int] | None

#: A stack of recurrent layers in one operator may not be higher.
MAX_RECURRENT_LAYERS = 1000


def _features(_: Attributes, inputs: Sequence[Shape], __: Shape) -> int:
    return inputs[0][-1]


def _linear_cost(attributes: Attributes, inputs: Sequence[Shape], output: Shape) -> tuple[int, int]:
    weights = inputs[0][-1] * output[-1]
    return weights + output[-1] * attributes.get("bias", True), weights * math.prod(output[:-1])


@operator(paths="sum", cost=_linear_cost, fan_in=_features, channel_axis=-1)
def linear(x: Tensor, *, out_features: int, bias: bool = True, used: Sequence[Sequence[bool]] | None = None) -> Tensor:
    """A fully connected layer over the last axis: `(*, in)` to `(*, out)`.

    `used[o][i]` false says that the weight is 0 there by definition. Source: torch.nn.Linear.
    """
    if x.ndim == 0:
        raise ShapeError("a scalar has no axis to be connected; reshape it to (1,)")
    last = x.ndim - 1
    if used is not None:
        table = table_of(used, (integer(out_features, "out_features", 0), x.shape[last]))
        return x.map_axis(last, maps.from_relation(Relation.from_mask(table))).with_channel(last)
    return x.reduce(last).insert(last, integer(out_features, "out_features", 0)).with_channel(last)


def _matmul_cost(_: Attributes, inputs: Sequence[Shape], output: Shape) -> tuple[int, int]:
    return 0, math.prod(output) * inputs[0][-1]


@operator(paths="sum", cost=_matmul_cost, fan_in=_features, role="contraction")
def matmul(a: Tensor, b: Tensor, *, used: Sequence[Sequence[bool]] | None = None) -> Tensor:
    """Matrix product `(..., M, K) x (..., K, N)`; leading axes broadcast, vectors as in NumPy.

    `y[m, n]` reads row `m` of the first and column `n` of the second operand. `used[m][k]` false says that the first
    operand is 0 there by definition, as attention weights of masked keys are. Source: numpy.matmul.
    """
    if 0 in (a.ndim, b.ndim):
        raise ShapeError("a scalar cannot be multiplied as a matrix; use mul")
    left = a.insert(0, 1) if a.ndim == 1 else a
    right = b.insert(1, 1) if b.ndim == 1 else b
    inner = left.shape[-1]
    if inner != right.shape[-2]:
        raise ShapeError(
            f"shapes {a.shape} and {b.shape} do not multiply: {inner} columns against {right.shape[-2]} rows"
        )
    lead = broadcast_shape([left.shape[:-2], right.shape[:-2]])
    shape = (*lead, left.shape[-2], right.shape[-1])
    rows = left.reduce(-1, keepdims=True).broadcast_to(shape)
    if used is None:
        columns = right.reduce(-2, keepdims=True).broadcast_to(shape)
    else:
        taken = Relation.from_mask(_allowed(left.shape[-2], inner, False, used))
        columns = right.map_axis(-2, maps.from_relation(taken)).broadcast_to(shape)
    result = rows.union(columns).with_channel(_product_channel(left, right, len(shape)))
    if a.ndim == 1:
        result = result.reduce(result.ndim - 2)
    return result.reduce(result.ndim - 1) if b.ndim == 1 else result


@operator(paths="sum", role="contraction")
def einsum(*operands: Tensor, equation: str) -> Tensor:
    """Einstein summation without ellipsis; a letter repeated in one operand takes its diagonal.

    Example: "ij,jk->ik" is a matrix product. Source: numpy.einsum.
    """
    if not isinstance(equation, str):
        raise NetworkError(f"equation must be text such as 'ij,jk->ik', not {equation!r}")
    left, arrow, output = equation.replace(" ", "").partition("->")
    inputs = left.split(",")
    if len(inputs) != len(operands) or any(len(s) != t.ndim for s, t in zip(inputs, operands, strict=False)):
        raise ShapeError(f"equation {equation[:60]!r} does not fit operands of shapes {[t.shape for t in operands]}")
    if not arrow:
        output = "".join(sorted(c for c in set(left) - {","} if left.count(c) == 1))
    if (
        not all(c.isalpha() for c in left.replace(",", "") + output)
        or set(output) - set(left)
        or len(set(output)) < len(output)
    ):
        raise NetworkError(f"equation {equation[:60]!r} is not an Einstein sum of letters")
    sizes: dict[str, int] = {}
    for letter, size in zip("".join(inputs), itertools.chain(*(t.shape for t in operands)), strict=True):
        known = sizes.get(letter, 1)
        if 1 not in (known, size) and known != size:
            raise ShapeError(f"letter {letter!r} of equation {equation[:60]!r} is both {known} and {size}")
        sizes[letter] = size if known == 1 else known
    parts = [_einsum_operand(t, s, output, sizes) for s, t in zip(inputs, operands, strict=True)]
    result = parts[0].union(*parts[1:])
    summed_nothing = any(sizes[c] == 0 for c in sizes if c not in output)
    return result.nothing() if summed_nothing else result


def _einsum_operand(x: Tensor, letters: str, output: str, sizes: dict[str, int]) -> Tensor:
    """One operand brought to the output's letters."""
    while len(set(letters)) < len(letters):
        letter = next(c for c in letters if letters.count(c) > 1)
        i, j = [k for k, c in enumerate(letters) if c == letter][:2]
        rest = [k for k in range(x.ndim) if k not in (i, j)]
        n = x.shape[i]
        x = x.permute([i, j, *rest]).reshape([n * n, *[x.shape[k] for k in rest]])
        x = x.map_axis(0, maps.strided_slice(n * n, 0, n + 1, n))
        letters = letter + "".join(letters[k] for k in rest)
    x = x.reduce([k for k, c in enumerate(letters) if c not in output])
    kept = [c for c in letters if c in output]
    x = x.permute([kept.index(c) for c in output if c in kept])
    for k, c in enumerate(output):
        x = x.stretch(k, sizes[c]) if c in kept else x.insert(k, sizes[c])
    return x


@operator("softmax", "log_softmax", "softmin", paths="data", role="attention")
def softmax(x: Tensor, *, axis: int) -> Tensor:
    """Couples its whole axis; over an axis of 1 it is constant and depends on nothing."""
    return _normalised(x, [x.axis(axis)])


def _attention_cost(_: Attributes, inputs: Sequence[Shape], output: Shape) -> tuple[int, int]:
    return 0, math.prod(output[:-1]) * inputs[1][-2] * (inputs[0][-1] + output[-1])


@operator(paths="data", cost=_attention_cost, role="attention")
def attention(
    query: Tensor, key: Tensor, value: Tensor, *, causal: bool = False, mask: Sequence[Sequence[bool]] | None = None
) -> Tensor:
    """Scaled dot-product attention of `(..., L, E)`, `(..., S, E)`, `(..., S, Ev)` to `(..., L, Ev)`.

    Row `l` reads the allowed `s` (`mask[l][s]` true; `s <= l` when causal) of the value at its own feature, and
    of the key at all features, and row `l` of the query. A row with a single allowed `s` has the constant weight
    1 and reads the value alone. A spec may also give numbers of 0 or less that are added to the scores: they exclude
    where they are minus infinity, the smallest number of a floating type, or at most `mask_below`.
    Source: torch.nn.functional.scaled_dot_product_attention.
    """
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise ShapeError(f"attention reads (..., length, features), not {query.shape}, {key.shape}, {value.shape}")
    length, span = query.shape[-2], key.shape[-2]
    lead = query.shape[:-2]
    if key.shape[:-2] != lead or value.shape[:-1] != key.shape[:-1] or query.shape[-1] != key.shape[-1]:
        raise ShapeError(f"attention shapes {query.shape}, {key.shape}, {value.shape} do not fit each other")
    shape, axis = (*lead, length, value.shape[-1]), len(lead)
    keys, asked = key.reduce(axis + 1, keepdims=True), query.reduce(axis + 1, keepdims=True)
    if mask is None and not causal:  # every row reads every key; a single key has the constant weight 1
        seen, scores = (x.reduce(axis).insert(axis, length) for x in (value, keys))
        scores, asked = (x.nothing() if span < 2 else x for x in (scores, asked))
    else:
        every, weighed, asking = _some_keys(length, span, causal, mask)
        seen, scores = value.map_axis(axis, every), keys.map_axis(axis, weighed)
        asked = asked.map_axis(axis, asking)
    return seen.union(*(x.broadcast_to(shape) for x in (scores, asked))).with_channel(len(shape) - 1)


def _some_keys(
    length: int, span: int, causal: bool, mask: Sequence[Sequence[bool]] | None
) -> tuple[AxisMap, AxisMap, AxisMap]:
    """Keys that a mask allows, up to the row's own place when causal; those of rows that have several; such rows."""
    if mask is None:
        stop = np.minimum(np.arange(length) + 1, span)
        several, zero = stop > 1, np.zeros(length)
        seen = Relation.from_runs(span, zero, stop)
        weighed = Relation.from_runs(span, zero, np.where(several, stop, 0))
        every = maps.cumulative(span) if length == span else maps.from_relation(seen)
    else:
        allowed = _allowed(length, span, causal, mask)
        several = allowed.sum(axis=1) > 1
        every, weighed = maps.from_relation(Relation.from_mask(allowed)), Relation.from_mask(allowed & several[:, None])
    return every, maps.from_relation(weighed), maps.take(length, np.where(several, np.arange(length), -1))


def _product_channel(left: Tensor, right: Tensor, ndim: int) -> int:
    """Where a product of matrices holds channels: features are its columns, unless its rows are channels already."""
    own = None if left.channel_axis is None else left.channel_axis - left.ndim
    mixes_positions = own not in (None, -1) and (right.channel_axis is None or right.channel_axis < right.ndim - 1)
    return ndim + own if own is not None and mixes_positions else ndim - 1


def _allowed(length: int, span: int, causal: bool, mask: Sequence[Sequence[bool]] | Truths) -> npt.NDArray[np.bool_]:
    """bool[length, span] of a mask given as nested lists."""
    flat: list[object] = []
    if isinstance(mask, Truths):
        fits = mask.array.shape == (length, span)
    else:
        flat = [value for row in mask for value in row]
        fits = len(mask) == length and all(len(row) == span for row in mask)
    if not fits or not all(isinstance(v, bool) for v in flat):
        raise ShapeError(f"a mask must be {length} rows of {span} booleans: which keys each query may read")
    allowed = np.array(mask, bool).reshape(length, span)
    return np.tril(allowed) if causal else allowed


def affine_cost(_: Attributes, __: Sequence[Shape], output: Shape) -> tuple[int, int]:
    """Two parameters a channel."""
    return 2 * output[0] if output else 0, 0


def _layer_norm_cost(attributes: Attributes, _: Sequence[Shape], output: Shape) -> tuple[int, int]:
    axes = attributes.get("axes", -1)
    axes = range(len(output)) if axes is None else [axes] if isinstance(axes, int) else axes
    return 2 * math.prod(output[a] for a in axes), 0


@operator(paths="through", cost=_layer_norm_cost, channel_axis="axes", statistics=True)
def layer_norm(x: Tensor, *, axes: Axes = -1) -> Tensor:
    """Normalisation by mean and deviation over whole axes; over a single element it is constant."""
    return _normalised(x, _axes(x, axes))


def _normalised(x: Tensor, axes: Sequence[int]) -> Tensor:
    """What reads whole axes; over a single element it is constant."""
    return x.nothing() if math.prod(x.shape[a] for a in axes) == 1 else x.couple(axes)


@operator("l2_normalize", paths="through", channel_axis="axes")
@operator("rms_norm", paths="through", channel_axis="axes", statistics=True)
def rms_norm(x: Tensor, *, axes: Axes = -1) -> Tensor:
    """Normalisation by the root mean square (or L2 norm) over whole axes."""
    return x.couple(_axes(x, axes))


@operator(paths="through", cost=affine_cost, channel_axis=0, statistics=True)
def group_norm(x: Tensor, *, groups: int) -> Tensor:
    """Normalisation over each group of channels and all positions. Source: torch.nn.GroupNorm."""
    grouped = x.reshape([*in_groups(x, groups), *x.shape[1:]])
    return _normalised(grouped, range(1, grouped.ndim)).reshape(x.shape).with_channel(x.channel_axis)


@operator(paths="through", channel_axis=0, statistics=True)
def instance_norm(x: Tensor) -> Tensor:
    """Normalisation of each channel over all its positions. Source: torch.nn.InstanceNorm2d."""
    return _normalised(x, spatial_axes(x))


@operator("sum", "prod", paths="sum", role="pool")
@operator("mean", "max", "min", "norm", "logsumexp", "any", "all", paths="mean", role="pool")
def reduction(x: Tensor, *, axes: Axes = None, keepdims: bool = False) -> Tensor:
    """One value per whole axis (default: all axes)."""
    return x.reduce(_axes(x, axes), keepdims=keepdims)


@operator("std", "var", paths="data")
def deviation(x: Tensor, *, axes: Axes = None, keepdims: bool = False) -> Tensor:
    """Standard deviation or variance; over a single element it is constant."""
    listed = _axes(x, axes)
    result = x.reduce(listed, keepdims=keepdims)
    return result.nothing() if math.prod(x.shape[a] for a in listed) == 1 else result


@operator("argmax", "argmin", paths="data")
def arg_reduction(x: Tensor, *, axis: int, keepdims: bool = False) -> Tensor:
    """The index of the largest or smallest value: reads the whole axis; over an axis of 1 it is constant."""
    return deviation(x, axes=axis, keepdims=keepdims)


@operator("cumsum", "cumprod", "cummax", "cummin", "logcumsumexp", paths="sum", role="total")
def cumulation(x: Tensor, *, axis: int, reverse: bool = False, exclusive: bool = False) -> Tensor:
    """Running total: element `o` reads `[0, o]`; from `o` on when reversed; without `o` when exclusive."""
    return x.map_axis(axis, maps.cumulative(x.shape[x.axis(axis)], bool(reverse), bool(exclusive)))


def _recurrent_cost(attributes: Attributes, inputs: Sequence[Shape], _: Shape) -> tuple[int, int]:
    gates = {"lstm": 4, "gru": 3, "rnn": 1}[attributes.get("mode", "lstm")]
    ways = 2 if attributes.get("direction") == "bidirectional" else 1
    hidden, features = attributes["hidden_size"], inputs[0][1]
    parameters = macs = 0
    for _layer in range(attributes.get("num_layers", 1)):
        weights = ways * gates * hidden * (features + hidden)
        parameters += weights + 2 * ways * gates * hidden * attributes.get("bias", True)
        macs += weights * inputs[0][0]
        features = ways * hidden
    return parameters, macs


@operator(paths="data", cost=_recurrent_cost, channel_axis=1, role="state")
def recurrent(
    x: Tensor,
    *,
    hidden_size: int,
    direction: str = "forward",
    num_layers: int = 1,
    mode: str = "lstm",
    bias: bool = True,
) -> Tensor:
    """LSTM, GRU or plain RNN over `(time, features)` to `(time, hidden)`, twice that when bidirectional.

    Forward, step `t` reads every feature of steps `[0, t]`; backward, of `[t, T)`; layers stack.
    Source: torch.nn.LSTM.
    """
    if x.ndim != 2:
        raise ShapeError(f"a recurrent layer reads (time, features), not shape {x.shape}; permute or reshape first")
    ways = {"forward": [False], "backward": [True], "bidirectional": [False, True]}
    one_of(direction, ways, "direction")
    one_of(mode, ("lstm", "gru", "rnn"), "mode")
    hidden = integer(hidden_size, "hidden_size", 1)
    if integer(num_layers, "num_layers", 1) > MAX_RECURRENT_LAYERS:
        raise NetworkError(f"num_layers is beyond {MAX_RECURRENT_LAYERS}; use a smaller number")
    for _ in range(num_layers):
        states = [
            x.reduce(1).map_axis(0, maps.cumulative(x.shape[0], way)).insert(1, hidden) for way in ways[direction]
        ]
        x = states[0].concat(1, *states[1:])
    return x.with_channel(1)


def _gate_cost(attributes: Attributes, _: Sequence[Shape], output: Shape) -> tuple[int, int]:
    squeezed: int = attributes["squeeze_channels"]
    return 2 * output[0] * squeezed + output[0] + squeezed, 2 * output[0] * squeezed


@operator(paths="mean", cost=_gate_cost, channel_axis=0)
def squeeze_excitation(x: Tensor, *, squeeze_channels: int) -> Tensor:
    """Each channel scaled by a gate that reads everything. Source: Hu et al. 2018."""
    squeezed = integer(squeeze_channels, "squeeze_channels", 1)
    spatial_axes(x)
    gate = x.couple(range(x.ndim)).insert(0, squeezed).reduce(0)  # a path through each squeezed channel
    return x.union(gate)


def _axes(x: Tensor, axes: Axes) -> list[int]:
    return list(range(x.ndim)) if axes is None else [x.axis(a) for a in integers(axes, "axes")]


def broadcast_shape(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The common shape by NumPy's rules."""
    sizes = []
    for column in itertools.zip_longest(*(reversed(shape) for shape in shapes), fillvalue=1):
        wanted = {n for n in column if n != 1}
        if len(wanted) > 1:
            raise ShapeError(f"shapes {' and '.join(map(str, shapes))} do not broadcast; make the sizes equal or 1")
        sizes.append(wanted.pop() if wanted else 1)
    return tuple(reversed(sizes))
