"""Recipe: what an operator does to its inputs' axes, as plain data.

An operator (see `ops`) is a function that is called once, with symbolic tensors, and uses their methods. Each
method notes one step; the steps are the recipe. It knows shapes, so the operator's output shape and its
dependency cannot disagree. `analysis` replays recipes on `Dependency` and on `Nominal`, which both have these
steps as methods. There are ten: map_axis, reduce, insert, stretch, reshape, permute, union, concat, nothing, along.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

from fastrf.engine.axis_map import AxisMap
from fastrf.errors import ShapeError

__all__ = ["Recipe", "Step", "Tensor", "Value", "record", "replay"]

_Value = TypeVar("_Value", bound="Value")


class Value(Protocol):
    """What a recipe can be replayed on."""

    def map_axis(self: _Value, axis: int, axis_map: AxisMap) -> _Value:
        """Read the axis through the map."""

    def reduce(self: _Value, axis: int) -> _Value:
        """Gather a whole axis into one index, and drop it."""

    def insert(self: _Value, axis: int, size: int) -> _Value:
        """A new axis before `axis`, along which nothing changes."""

    def stretch(self: _Value, axis: int, size: int) -> _Value:
        """An axis of 1 repeated `size` times."""

    def reshape(self: _Value, shape: tuple[int, ...]) -> _Value:
        """The same elements, row-major, in another shape."""

    def permute(self: _Value, order: tuple[int, ...]) -> _Value:
        """The axes in another order."""

    def union(self: _Value, *others: _Value) -> _Value:
        """What any of the values depends on; all have the same shape."""

    def concat(self: _Value, axis: int, *others: _Value) -> _Value:
        """One value after another along an axis."""

    def nothing(self: _Value) -> _Value:
        """The same shape, depending on nothing."""

    def along(self: _Value, other: _Value) -> _Value:
        """The same value, at the places of another that it depends on anyway; only strides follow those."""


class Step(NamedTuple):
    """One method call: `values[inputs[0]].kind(*arguments, *values[inputs[1:]])`."""

    kind: str
    arguments: tuple[object, ...]
    inputs: tuple[int, ...]


@dataclass(frozen=True)
class Recipe:
    """Steps over numbered values: the inputs come first, each step adds one, `result` is the answer."""

    n_inputs: int
    steps: tuple[Step, ...]
    result: int
    shape: tuple[int, ...]
    channel_axis: int | None
    approximate: bool


class Tensor:
    """A symbolic tensor without batch: a shape, and which axis holds the channels."""

    __slots__ = ("_index", "_notes", "channel_axis", "shape")

    def __init__(self, notes: _Notes, index: int, shape: tuple[int, ...], channel_axis: int | None) -> None:
        self._notes, self._index = notes, index
        self.shape, self.channel_axis = shape, channel_axis

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def axis(self, axis: int) -> int:
        """A possibly negative axis as a number from 0."""
        if not -self.ndim <= axis < self.ndim:
            raise ShapeError(f"axis {axis} is not an axis of shape {self.shape}; use {-self.ndim} to {self.ndim - 1}")
        return axis % self.ndim

    def _step(
        self, kind: str, shape: Sequence[int], channel: int | None, *arguments: object, others: Sequence[Tensor] = ()
    ) -> Tensor:
        step = Step(kind, arguments, (self._index, *(other._index for other in others)))
        return self._notes.add(step, tuple(shape), channel)

    def with_channel(self, axis: int | None) -> Tensor:
        """The same tensor with its channels declared to be on another axis."""
        return Tensor(self._notes, self._index, self.shape, axis)

    def map_axis(self, axis: int, axis_map: AxisMap) -> Tensor:
        """Read `axis` through an axis map whose `n_in` is its length."""
        axis = self.axis(axis)
        if axis_map.n_in != self.shape[axis]:
            raise ShapeError(f"an axis map of {axis_map.n_in} inputs does not fit axis {axis} of shape {self.shape}")
        shape = (*self.shape[:axis], axis_map.n_out, *self.shape[axis + 1 :])
        return self._step("map_axis", shape, self.channel_axis, axis, axis_map)

    def reduce(self, axes: int | Sequence[int] | None = None, *, keepdims: bool = False) -> Tensor:
        """Gather whole axes (default all) into one index each; dropped unless `keepdims`."""
        listed = range(self.ndim) if axes is None else [axes] if isinstance(axes, int) else axes
        result = self
        for axis in sorted({self.axis(a) for a in listed}, reverse=True):
            shape = result.shape[:axis] + result.shape[axis + 1 :]
            old = result.channel_axis
            channel = None if old is None or old == axis else old - (old > axis)
            result = result._step("reduce", shape, channel, axis)
            if keepdims:
                result = result.insert(axis, 1).with_channel(old)
        return result

    def insert(self, axis: int, size: int) -> Tensor:
        """A new axis of `size` before `axis`, along which nothing changes."""
        old = self.channel_axis
        channel = None if old is None else old + (old >= axis)
        return self._step("insert", (*self.shape[:axis], size, *self.shape[axis:]), channel, axis, size)

    def stretch(self, axis: int, size: int) -> Tensor:
        """An axis of 1 repeated `size` times."""
        axis = self.axis(axis)
        if self.shape[axis] == size:
            return self
        if self.shape[axis] != 1:
            raise ShapeError(f"axis {axis} of shape {self.shape} cannot be broadcast to {size}; only an axis of 1 can")
        shape = (*self.shape[:axis], size, *self.shape[axis + 1 :])
        return self._step("stretch", shape, self.channel_axis, axis, size)

    def couple(self, axes: int | Sequence[int]) -> Tensor:
        """Every index along the axes reads the whole of them (reduce, then broadcast back)."""
        listed = [self.axis(a) for a in ([axes] if isinstance(axes, int) else axes)]
        result = self.reduce(listed, keepdims=True)
        for axis in listed:
            result = result.stretch(axis, self.shape[axis])
        return result._step("along", self.shape, self.channel_axis, others=[self])

    def broadcast_to(self, shape: Sequence[int]) -> Tensor:
        """Broadcast by NumPy's rules."""
        result = self
        if len(shape) < self.ndim:
            raise ShapeError(f"shape {self.shape} cannot be broadcast to {tuple(shape)}; it has more axes")
        for _ in range(len(shape) - self.ndim):
            result = result.insert(0, 1)
        for axis, size in enumerate(shape):
            result = result.stretch(axis, size)
        return result

    def reshape(self, shape: Sequence[int]) -> Tensor:
        """The same elements, row-major, in another shape; one size may be -1."""
        sizes = list(shape)
        if sizes.count(-1) == 1:
            rest = math.prod(size for size in sizes if size != -1)
            if rest and self.size % rest == 0:
                sizes[sizes.index(-1)] = self.size // rest
        if any(size < 0 for size in sizes) or math.prod(sizes) != self.size:
            raise ShapeError(f"shape {self.shape} of {self.size} elements cannot be reshaped to {tuple(shape)}")
        if tuple(sizes) == self.shape:
            return self
        channel = _channel_after_reshape(self.shape, self.channel_axis, sizes)
        return self._step("reshape", sizes, channel, tuple(sizes))

    def permute(self, order: Sequence[int]) -> Tensor:
        """The axes in another order: axis `i` of the result is axis `order[i]`."""
        axes = tuple(self.axis(a) for a in order)
        if sorted(axes) != list(range(self.ndim)):
            raise ShapeError(f"order {tuple(order)} is not a permutation of the {self.ndim} axes of shape {self.shape}")
        if axes == tuple(range(self.ndim)):
            return self
        channel = None if self.channel_axis is None else axes.index(self.channel_axis)
        return self._step("permute", [self.shape[a] for a in axes], channel, axes)

    def union(self, *others: Tensor) -> Tensor:
        """What any of the tensors depends on, element by element."""
        for other in others:
            if other.shape != self.shape:
                raise ShapeError(f"shapes {self.shape} and {other.shape} differ; they must be equal here")
        return self._step("union", self.shape, _first_channel(self, *others), others=others) if others else self

    def concat(self, axis: int, *others: Tensor) -> Tensor:
        """One tensor after another along `axis`."""
        axis = self.axis(axis)
        for other in others:
            if other.ndim != self.ndim or any(
                a != b for i, (a, b) in enumerate(zip(self.shape, other.shape, strict=True)) if i != axis
            ):
                raise ShapeError(
                    f"shapes {self.shape} and {other.shape} differ outside axis {axis}; they cannot be joined"
                )
        total = sum(tensor.shape[axis] for tensor in (self, *others))
        shape = (*self.shape[:axis], total, *self.shape[axis + 1 :])
        return self._step("concat", shape, _first_channel(self, *others), axis, others=others) if others else self

    def nothing(self) -> Tensor:
        """The same shape, depending on nothing."""
        return self._step("nothing", self.shape, self.channel_axis)

    def approximate(self) -> Tensor:
        """Mark the whole operator as a sound over-approximation."""
        self._notes.approximate = True
        return self


class _Notes:
    """The steps noted so far."""

    def __init__(self, n_inputs: int) -> None:
        self.n_inputs, self.steps, self.approximate = n_inputs, list[Step](), False

    def add(self, step: Step, shape: tuple[int, ...], channel: int | None) -> Tensor:
        self.steps.append(step)
        return Tensor(self, self.n_inputs + len(self.steps) - 1, shape, channel)

    def finish(self, result: Tensor) -> Recipe:
        return Recipe(
            self.n_inputs, tuple(self.steps), result._index, result.shape, result.channel_axis, self.approximate
        )


def _first_channel(*tensors: Tensor) -> int | None:
    """The channel axis of the first that has one."""
    return next((tensor.channel_axis for tensor in tensors if tensor.channel_axis is not None), None)


def _channel_after_reshape(old: Sequence[int], channel: int | None, new: Sequence[int]) -> int | None:
    """The last new axis that holds a part of the old channel axis; without one, an axis of 1 put in front."""
    if channel is None:
        return 0 if old and old[0] != 1 and new and new[0] == 1 else None
    if math.prod(new) == 0:
        return channel if channel < len(new) else None
    inner = math.prod(old[channel + 1 :])
    outer = inner * old[channel]
    ends = [(math.prod(new[axis + 1 :]), math.prod(new[axis:])) for axis in range(len(new))]
    if outer == inner:  # one channel is at each place between two axes: an axis of 1 there, or one that joins several
        near = [axis for axis, (low, high) in enumerate(ends) if low <= inner <= high]
        edges = [math.prod(old[axis:]) for axis in range(len(old))]
        joined = [axis for axis in near if any(ends[axis][0] < edge < ends[axis][1] for edge in edges)]
        return next((axis for axis in near if new[axis] == 1), joined[0] if joined else None)
    holders = [axis for axis, (low, high) in enumerate(ends) if low < outer and high > inner]
    return holders[-1] if holders else None


def record(shapes: Sequence[tuple[int, ...]], channel_axes: Sequence[int | None]) -> tuple[list[Tensor], _Notes]:
    """Symbolic tensors for an operator's inputs, and the notes that its steps go to."""
    notes = _Notes(len(shapes))
    tensors = [Tensor(notes, i, shape, axis) for i, (shape, axis) in enumerate(zip(shapes, channel_axes, strict=True))]
    return tensors, notes


def replay(recipe: Recipe, inputs: Sequence[_Value]) -> _Value:
    """Carry the steps out on real values."""
    values = list(inputs)
    for kind, arguments, sources in recipe.steps:
        first, *others = sources
        values.append(getattr(values[first], kind)(*arguments, *[values[i] for i in others]))
    return values[recipe.result]
