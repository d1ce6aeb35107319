"""Which axis of an input holds channels, guessed from how the layers use it.

Axes are followed from the inputs through the steps of every layer's recipe, until operators tell: windows slide over
positions, norms and fully connected layers gather features. Every front-end asks here, after lowering.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from fastrf.engine.recipe import Step
from fastrf.frontends.options import Options
from fastrf.ops import apply, find

__all__ = ["attributes_of", "channel_axes", "default_axis"]

Shape = tuple[int, ...]
#: An axis of an input: the input's number and the axis.
Label = tuple[int, int]
#: A part of an axis: which axes of inputs it runs along, and its length.
Factor = tuple[frozenset[Label], int]
Axis = tuple[Factor, ...]

_REDUCTIONS = frozenset(("mean", "sum", "norm", "var", "std"))
#: What is told by how much, the strongest first.
_KINDS = ("windows", "norms", "products", "hints")
_NOTES = frozenset(("name", "op", "inputs", "scope", "assumes", "parameters"))
#: Layers that are looked at.
_MOST = 20_000


class _Tracked(NamedTuple):
    """A value's axes, and the axes of inputs that were averaged away, each by itself."""

    axes: tuple[Axis, ...]
    averaged: frozenset[Label] = frozenset()

    def labels(self, axis: int) -> frozenset[Label]:
        return _labels(self.axes[axis])

    def whole(self, axis: int) -> frozenset[Label]:
        """Labels of an axis that no other axis has."""
        others = [self.labels(k) for k in range(len(self.axes)) if k != axis % len(self.axes)]
        return self.labels(axis).difference(*others)


class _Told(NamedTuple):
    """What one layer tells: axes of features or channels, and axes of positions."""

    kind: str
    features: frozenset[Label]
    positions: frozenset[Label] = frozenset()


def channel_axes(
    layers: Sequence[Mapping[str, Any]], shapes: Mapping[str, Shape], names: Mapping[str, str], options: Options
) -> tuple[dict[str, int | None], list[str]]:
    """The channel axis of every input, as `options` give it or guessed, and the inputs of which it is guessed.

    `names` are those that users know the inputs by.
    """
    options.check_names(names.values())
    given = {name: options.axis_of(names[name], shape) for name, shape in shapes.items()}
    guessed = [name for name, axis in given.items() if axis is ...]
    wanted = [number for number, name in enumerate(shapes) if name in guessed and len(shapes[name]) > 1]
    chosen = _chosen(wanted, layers, shapes) if wanted else {}
    axes = {name: chosen.get(k, default_axis(shapes[name])) for k, name in enumerate(shapes)}
    return {name: axes[name] if axis is ... else axis for name, axis in given.items()}, guessed


def attributes_of(layer: Mapping[str, Any]) -> dict[str, Any]:
    """What a layer tells its operator."""
    return {key: given for key, given in layer.items() if key not in _NOTES}


def default_axis(shape: Shape) -> int | None:
    """The channel axis where nothing tells: the first, or the last of what has the sizes of an image in colours."""
    if len(shape) < 2:
        return None
    return 2 if len(shape) == 3 and shape[2] in (1, 3, 4) and shape[0] not in (1, 3, 4) else 0


def _chosen(
    wanted: Sequence[int], layers: Sequence[Mapping[str, Any]], shapes: Mapping[str, Shape]
) -> dict[int, int | None]:
    """The channel axes of some inputs, by the first layer of the strongest kind that decides, where any does."""
    sizes = list(shapes.values())
    found: dict[int, dict[str, int | None]] = {number: {} for number in wanted}
    for told in _told(layers, shapes):
        for number, kinds in found.items():
            axis = _decided(number, sizes[number], told)
            if axis is not ...:
                kinds.setdefault(told.kind, axis)
        if all(_KINDS[0] in kinds for kinds in found.values()):
            break
    return {number: kinds[min(kinds, key=_KINDS.index)] for number, kinds in found.items() if kinds}


def _decided(number: int, shape: Shape, told: _Told) -> Any:
    """The channel axis that one layer decides on, `...` if it does not."""
    features = {axis for k, axis in told.features if k == number}
    positions = {axis for k, axis in told.positions if k == number} - features
    rest = sorted(set(range(len(shape))) - positions)
    if len(features) == 1:
        (axis,) = features
        over_width = told.kind in ("products", "hints") and axis == len(shape) - 1 and _is_picture(shape)
        return 0 if over_width else axis
    if features or not positions or len(rest) > 1:
        return ...
    return rest[0] if rest else None


def _is_picture(shape: Shape) -> bool:
    """Whether sizes are those of (channels, height, width)."""
    return len(shape) == 3 and (shape[0] in (1, 3, 4) or (shape[1] == shape[2] != shape[0]))


# What layers tell ----------------------------------------------------------------------------------------


def _told(layers: Sequence[Mapping[str, Any]], shapes: Mapping[str, Shape]) -> Iterator[_Told]:
    """What every layer tells, in order."""
    values = {
        name: _Tracked(tuple(((frozenset({(k, axis)}), n),) for axis, n in enumerate(shape)))
        for k, (name, shape) in enumerate(shapes.items())
    }
    for layer in layers[:_MOST]:
        inputs = [values[name] for name in layer["inputs"]]
        attributes = attributes_of(layer)
        yield from _evidence(layer["op"], attributes, inputs)
        values[layer["name"]] = _after(layer["op"], attributes, inputs)


def _evidence(op: str, attributes: Mapping[str, Any], inputs: Sequence[_Tracked]) -> Iterator[_Told]:
    x, told = inputs[0], find(op).channel_axis
    if told == 0 and len(x.axes) > 1:  # (channels, *positions)
        around = frozenset().union(*(x.labels(k) for k in range(1, len(x.axes))))
        yield _Told("windows", x.whole(0), around)
    elif told == "axes":
        axes = attributes.get("axes", -1)
        listed = axes if isinstance(axes, list | tuple) else [axes]
        features: frozenset[Label] = frozenset().union(*(x.labels(axis) for axis in listed))
        yield _Told("norms", features if len(features) == len(listed) == 1 else frozenset())
    elif told == -1:
        yield _Told("products", x.whole(-1))
    elif op in ("matmul", "einsum", "attention"):
        yield from _of_products(op, attributes, inputs)
    elif told == 1:
        yield _Told("norms", x.whole(1), x.labels(0))
    elif op == "dynamic_gather":
        yield _Told("hints", frozenset(), x.labels(attributes["axis"]))
    else:
        yield from _centred(inputs)


def _of_products(op: str, attributes: Mapping[str, Any], inputs: Sequence[_Tracked]) -> Iterator[_Told]:
    """Axes that a product with a constant sums over; the features that attention compares."""
    labelled = [x for x in inputs if any(map(_labels, x.axes))]
    if op == "attention" and labelled:
        yield _Told("products", labelled[0].whole(-1), labelled[0].labels(-2))
    elif len(labelled) == 1 and len(inputs) == 2:
        (x,) = labelled
        if op == "matmul" and len(x.axes) > 1:
            yield _Told("products", x.whole(-1 if x is inputs[0] else -2))
        elif op == "einsum":
            left, _, output = attributes["equation"].replace(" ", "").partition("->")
            letters = left.split(",")[0 if x is inputs[0] else 1]
            summed = [k for k, letter in enumerate(letters) if letter not in output]
            yield _Told("products", x.whole(summed[0]) if len(summed) == 1 else frozenset())


def _centred(inputs: Sequence[_Tracked]) -> Iterator[_Told]:
    """An average over one axis that meets what it was taken of: a norm by hand."""
    for x in (one for one in inputs if one.averaged):
        met = frozenset().union(*(_labels(axis) for other in inputs if other is not x for axis in other.axes))
        if len(x.averaged & met) == 1:
            yield _Told("hints", x.averaged & met)


# How axes pass through layers ----------------------------------------------------------------------------


def _after(op: str, attributes: Mapping[str, Any], inputs: Sequence[_Tracked]) -> _Tracked:
    """The result of a layer, step by step."""
    shapes = [tuple(_size(axis) for axis in x.axes) for x in inputs]
    recipe = apply(op, attributes, shapes, [None] * len(inputs))
    values = list(inputs)
    for step in recipe.steps:
        values.append(_stepped(step, [values[i] for i in step.inputs]))
    result = values[recipe.result]
    if op not in _REDUCTIONS:
        return result
    lost = frozenset().union(*map(_labels, inputs[0].axes)).difference(*map(_labels, result.axes))
    return result._replace(averaged=result.averaged | (lost if len(lost) == 1 else frozenset()))


def _stepped(step: Step, inputs: Sequence[_Tracked]) -> _Tracked:
    x = inputs[0]
    axes, a = list(x.axes), step.arguments
    averaged = frozenset().union(*(other.averaged for other in inputs))
    at: Any = a[0] if a else 0
    if step.kind == "map_axis":
        axes[at] = ((x.labels(at), a[1].n_out),)  # type: ignore[attr-defined]
    elif step.kind == "reduce":
        del axes[at]
    elif step.kind == "insert":
        axes.insert(at, ((frozenset(), a[1]),))  # type: ignore[arg-type]
    elif step.kind == "stretch":
        axes[at] = ((x.labels(at), a[1]),)  # type: ignore[assignment]
    elif step.kind == "reshape":
        axes = _regrouped(axes, at)
    elif step.kind == "permute":
        axes = [axes[k] for k in at]
    elif step.kind in ("union", "concat"):
        axes = [
            max(column, key=lambda axis: bool(_labels(axis))) for column in zip(*(i.axes for i in inputs), strict=True)
        ]
        if step.kind == "concat":
            axes[at] = ((frozenset().union(*(i.labels(at) for i in inputs)), sum(_size(i.axes[at]) for i in inputs)),)
    elif step.kind == "nothing":
        axes, averaged = [((frozenset(), _size(axis)),) for axis in axes], frozenset()
    return _Tracked(tuple(axes), averaged)


def _labels(axis: Axis) -> frozenset[Label]:
    if len(axis) == 1:
        return axis[0][0]
    return frozenset().union(*(labels for labels, _ in axis))


def _size(axis: Axis) -> int:
    return math.prod(n for _, n in axis)


def _regrouped(axes: Sequence[Axis], shape: Shape) -> list[Axis]:
    """Axes of another shape; a boundary that cuts through a part which it does not divide blurs what follows."""
    parts = [factor for axis in axes for factor in axis if factor[1] != 1][::-1]
    found: list[Axis] = []
    for size in shape:
        axis: list[Factor] = []
        need = size
        while need > 1 and parts:
            labels, n = parts.pop()
            if n == 0 or (need % n and n % need):
                every = frozenset().union(labels, *(more for more, _ in parts), *(one for one, _ in axis))
                return [*found, *(((every, m),) for m in shape[len(found) :])]
            taken = min(n, need)
            axis.append((labels, taken))
            if taken < n:
                parts.append((labels, n // taken))
            need //= taken
        found.append(tuple(axis) or ((frozenset(), size),))
    return found
