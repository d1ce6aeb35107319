"""Whether transforms may cancel, so that less is read than all that each of them reads.

A transform of a spectrum gives back what was transformed unless something came between that has no structure: weights
that differ by frequency, a function that is not linear, frequencies left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch.fx import Node

from fastrf.frontends.torch import names
from fastrf.frontends.torch.arguments import bound, fake_shape, short_name
from fastrf.frontends.torch.registry import Walk
from fastrf.frontends.torch.transforms import Transform, support, transform_of

__all__ = ["may_cancel"]

_SUMS = frozenset(("add", "sub", "rsub", "complex"))
_PRODUCTS = frozenset(("mul", "div"))

#: Functions after which every element has its part in every one of a transform.
_BENT = (
    (names.OF_ONE - {"neg", "imag", "deg2rad", "rad2deg"})
    | (names.OF_SEVERAL - _SUMS - _PRODUCTS)
    | names.SOFTMAXES
    | names.MIXES
    | frozenset(("layer_norm", "native_layer_norm", "group_norm", "native_group_norm", "rms_norm", "glu", "prelu"))
)

#: In a transform's `meta`: whether it is turned back by what it reads itself.
_CLOSED = "fastrf_closed"


def may_cancel(walk: Walk, node: Node) -> bool:
    """Whether a transform may read less than all of its axes, by those in front of it; notes what it makes of them."""
    transform = transform_of(node)
    assert transform is not None
    between, before = _region(node)
    open_ones = [one for one in before if one.source in walk.values and not _is_closed(before[one])]
    node.meta[_CLOSED] = bool(open_ones)
    met = [one for one in before if _meets_another(walk, one, before, between)]
    if any(not support(walk, one).all() for one in met):
        return True
    turned = any(_is_turned(one, transform.axes) for one in between)
    axes = {axis for one in open_ones for axis in transform.axes if turned or axis in one.axes}
    if not axes or (not turned and _is_resized(transform, open_ones, axes)):
        return False
    return not _is_mixed(walk, between, axes, fake_shape(transform.source))


def _region(node: Node) -> tuple[list[Node], dict[Transform, Node]]:
    """The nodes that a transform reads up to other transforms, and these."""
    between, before = list[Node](), dict[Transform, Node]()
    seen, left = {node}, list(node.all_input_nodes)
    while left:
        one = left.pop()
        if one in seen:
            continue
        seen.add(one)
        found = transform_of(one)
        if found is not None:
            before[found] = one
        else:
            between.append(one)
            left += one.all_input_nodes
    return between, before


def _is_closed(node: Node) -> bool:
    """Whether a transform is turned back already."""
    return bool(node.meta.get(_CLOSED))


def _meets_another(walk: Walk, one: Transform, before: dict[Transform, Node], between: list[Node]) -> bool:
    """Whether a spectrum is multiplied with another, or with itself."""
    if one.source not in walk.values:
        return True
    squared = any(short_name(node) == "mul" and len(list(_dynamic(walk, node))) > 1 for node in between)
    return one.forward and (squared or len([other for other in before if other.forward]) > 1)


def _is_turned(node: Node, axes: Sequence[int]) -> bool:
    """Whether an operator may put other axes where those of a transform are."""
    name = short_name(node)
    if name in names.SHAPES and node.args and isinstance(node.args[0], Node):
        return fake_shape(node.args[0])[min(axes) :] != fake_shape(node)[min(axes) :]
    return name in names.PERMUTES


def _dynamic(walk: Walk, node: Node) -> Iterator[Node]:
    return (a for a in node.args if isinstance(a, Node) and a in walk.values)


def _is_resized(transform: Transform, before: list[Transform], axes: set[int]) -> bool:
    """Whether frequencies are left out, or zeros put in, between two transforms along the same axes."""
    read, sizes = fake_shape(transform.source), dict(zip(transform.axes, transform.sizes, strict=True))
    for one in before:
        made = dict(zip(one.axes, one.frequencies if one.forward else one.sizes, strict=True))
        times = dict(zip(one.axes, one.sizes, strict=True))
        if any(axis in made and (made[axis] != read[axis] or times[axis] != sizes[axis]) for axis in axes):
            return True
    return False


def _is_mixed(walk: Walk, between: list[Node], axes: set[int], read: tuple[int, ...]) -> bool:
    """Whether what comes between two transforms has no structure along the axes."""
    varied = set[int]()
    for node in between:
        if node not in walk.values:
            continue
        if short_name(node) in _BENT or _is_replaced(walk, node):
            return True
        varied |= _varied(walk, node, axes, read)
    return axes <= varied


def _is_replaced(walk: Walk, node: Node) -> bool:
    """Whether some elements are replaced by constants, or zeros stay beside them."""
    name = short_name(node)
    if name in ("masked_fill", "where", "fill", "zero"):
        return True
    if name not in ("slice_scatter", "select_scatter"):
        return False
    a = bound(node)
    base, put = a["self"], a["src"]
    return (base in walk.values) != (put in walk.values) and fake_shape(base) != fake_shape(put)


def _varied(walk: Walk, node: Node, axes: set[int], read: tuple[int, ...]) -> set[int]:
    """The axes along which weights, or another number for each element, multiply."""
    name, factors = short_name(node), [a for a in node.all_input_nodes if a not in walk.values]
    if name in _PRODUCTS and len(list(_dynamic(walk, node))) > 1:
        return axes
    weights = [fake_shape(a) for a in factors if walk.has_parameters(a)]
    if name in _PRODUCTS:
        return {axis for axis in axes for shape in weights if len(shape) >= -axis and shape[axis] > 1}
    if name in names.SUMS:  # of which it is not looked at where weights lie along the axes
        return {axis for axis in axes for shape in weights if read[axis] in shape}
    return set()
