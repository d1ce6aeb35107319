"""Numbers that constants decide of tensors made from parameters, such as the zeros of masked weights.

The values of parameters are never read. Where nothing but parameters comes together nothing is computed, so that large
weights cost nothing.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.fx import Node

from fastrf.errors import UnsupportedOpError
from fastrf.frontends.lowering import Known, Value, compressed
from fastrf.frontends.masking import exclusions
from fastrf.frontends.torch import names
from fastrf.frontends.torch.arguments import bound, fake_shape, short_name
from fastrf.frontends.torch.known import applied, computed, moved, sloped, table_of
from fastrf.frontends.torch.registry import Walk

__all__ = ["all_loosened", "is_random", "of_weight", "zeros_are_missed"]


def of_weight(walk: Walk, node: Node) -> Any:
    """What is known of a tensor that parameters make, or of each of several: a table, or None where nothing is.

    A node whose zeros cannot be followed joins `walk.lost`.
    """
    try:
        return _of_weight(walk, node)
    except (UnsupportedOpError, RuntimeError, TypeError, ValueError):  # an operator that NaN does not pass
        walk.lost.add(node)
        return None


def is_random(node: Node) -> bool:
    """Whether an operator draws numbers, which may be any."""
    return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())


def zeros_are_missed(walk: Walk, node: Node) -> bool:
    """Whether a weight may be zero where the rule of an operator takes it for any number."""
    weights = [n for n in node.all_input_nodes if walk.has_parameters(n)]
    if not weights:
        return False
    mask = (
        bound(node)["attn_mask"] if short_name(node) == "scaled_dot_product_attention" else None
    )  # which is looked at
    decided = any(walk.decided(n) is not None for n in weights if n is not mask)
    missed = short_name(node) not in names.ZEROS_LEFT_OUT and decided
    return missed or any(n in walk.lost for n in weights)


def all_loosened(walk: Walk, result: Any) -> Any:
    """A result, or each of several, made now or when it is asked for, as `loosened`."""
    if isinstance(result, list):
        return [all_loosened(walk, one) for one in result]
    if callable(result):
        return lambda: all_loosened(walk, result())
    return walk.loosened(result) if isinstance(result, Value) else result


def _of_weight(walk: Walk, node: Node) -> Any:
    sources, name = node.all_input_nodes, short_name(node)
    if node.op != "call_function":
        return None
    if any(source in walk.lost for source in sources):
        walk.lost.add(node)
    if node.target is operator.getitem:
        pieces = walk.decided(sources[0])
        return pieces[node.args[1]] if isinstance(pieces, list) and isinstance(node.args[1], int) else pieces
    if name in names.MOVES or name in names.SHUFFLES:
        return moved(walk, node)
    constants = [source for source in sources if not walk.has_parameters(source)]
    partly = any(walk.decided(source) is not None for source in sources if source not in constants)
    if any(walk.known(source) is None for source in constants):
        walk.lost.add(node)  # a constant without values, as on the meta device
    follow = _FOLLOWED.get(name)
    if follow is not None and (partly or constants or name in names.OF_SEVERAL or follow is _filled):
        return follow(walk, node)
    if partly and name not in names.MIXES and name not in names.VALUE_FREE and not _is_shifted(walk, node):
        walk.lost.add(node)
    return None


def _is_shifted(walk: Walk, node: Node) -> bool:
    """Whether a normalization ends in adding a parameter that may be any number, so that no zero of it is decided."""
    bias = bound(node).get("bias") if short_name(node) in names.NORMS else None
    return isinstance(bias, Node) and walk.has_parameters(bias) and walk.decided(bias) is None


def _first(results: Any, table: Known | None) -> Any:
    """The table of the first of several results; nothing is known of the others."""
    several = isinstance(results, list | tuple)
    return [table, *[None] * (len(results) - 1)] if several else table


def _copied(walk: Walk, node: Node) -> Any:
    return _first(node.meta["val"], compressed(table_of(walk, node.args[0])))


def _shaped(walk: Walk, node: Node) -> Known | None:
    source = node.all_input_nodes[0]
    return compressed(np.broadcast_to(table_of(walk, source), fake_shape(source)).reshape(fake_shape(node)))


def _permuted(walk: Walk, node: Node) -> Known | None:
    return compressed(applied(node, lambda n: torch.from_numpy(table_of(walk, n).copy())).numpy())


def _rounded(walk: Walk, node: Node) -> Any:
    """Zeros alone: an infinity is rounded to a number; what weights are stored as is not looked at."""
    if not walk.has_parameters(node.args[0]):
        return None
    table = table_of(walk, node.args[0])
    return _first(node.meta["val"], compressed(np.where(table == 0, 0.0, np.nan)))


def _pointwise(walk: Walk, node: Node) -> Known | None:
    if not node.meta["val"].is_floating_point() and any(walk.decided(n) is not None for n in node.all_input_nodes):
        walk.lost.add(node)
    return computed(walk, node)


def _summed(walk: Walk, node: Node) -> Any:
    """Zero where every summand is: the operator is applied to where its operands are not zero."""

    def support(source: Node) -> torch.Tensor:
        table = table_of(walk, source) != 0
        return torch.from_numpy(table.astype(np.float64)).expand(fake_shape(source))

    wide = {} if node.kwargs.get("dtype") is None else {"dtype": torch.float64}
    result = applied(node, support, **wide)
    first = result[0] if isinstance(result, tuple | list) else result
    return _first(result, compressed(np.where(first.numpy() == 0, 0.0, np.nan)))


def _closed(walk: Walk, node: Node) -> Any:
    """Zero where no power of the matrix reaches."""
    source = node.all_input_nodes[0]
    n = fake_shape(source)[-1]
    used = (table_of(walk, source) != 0) | np.eye(n, dtype=bool)
    reached = np.broadcast_to(used, fake_shape(source)).astype(np.float64)
    for _ in range(n.bit_length()):
        reached = (reached @ reached > 0).astype(np.float64)
    return _first(node.meta["val"], compressed(np.where(reached == 0, 0.0, np.nan)))


def _softmax(walk: Walk, node: Node) -> Known | None:
    """Zero where a mask excludes."""
    a = bound(node)
    shut, said = exclusions(table_of(walk, a["self"]), a["dim"], walk.options.mask_below)
    if said:
        walk.assumes.append(f"node {walk.names.of(node)!r}: {said}")
    return compressed(np.where(shut, -np.inf if short_name(node) == "log_softmax" else 0.0, np.nan))


def _filled(walk: Walk, node: Node) -> Known | None:
    """What every element becomes."""
    given = 0.0 if short_name(node) == "zero" else bound(node)["value"]
    return compressed(np.broadcast_to(table_of(walk, given), (1,) * len(fake_shape(node))))


#: How what is known passes operators between whole tensors.
_FOLLOWED: dict[str, Callable[[Walk, Node], Any]] = {
    "prelu": sloped,
    **dict.fromkeys(("fill", "zero"), _filled),
    **dict.fromkeys(names.SUMS, _summed),
    **dict.fromkeys(names.CLOSED, _closed),
    **dict.fromkeys(names.SOFTMAXES, _softmax),
    **dict.fromkeys(names.OF_ONE | names.OF_SEVERAL, _pointwise),
    **dict.fromkeys(names.PERMUTES, _permuted),
    **dict.fromkeys(names.ROUNDS, _rounded),
    **dict.fromkeys(names.SHAPES, _shaped),
    **dict.fromkeys(names.COPIES | names.RESCALES, _copied),
}
