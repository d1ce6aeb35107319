"""Lowering a foreign graph: the walk that front-ends share, and the values that its rules pass on.

A foreign operator becomes one or a few layers of the spec format. Foreign tensors have a batch axis of 1 in front, and
those of the spec do not; a `Value` knows both shapes, so that rules can speak in the foreign axes.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastrf.errors import FastRFError, ShapeError, UnsupportedOpError
from fastrf.frontends.channels import channel_axes
from fastrf.frontends.options import DEFAULTS, Options
from fastrf.ops import apply
from fastrf.ops.dense import broadcast_shape

__all__ = ["MAX_RANK", "GraphWalk", "Known", "Value", "compressed", "real", "without_batch"]

Shape = tuple[int, ...]

#: As many axes as NumPy's arrays can have.
MAX_RANK = 64

#: What is made of tables of so many elements is kept, that which was asked for last.
_LARGE, _KEPT = 1 << 14, 48
Mask = npt.NDArray[np.bool_]

#: Values that are the same whatever the input and the weights are; NaN where they are not.
Known = npt.NDArray[np.float64]


def without_batch(full: Shape) -> Shape:
    """The shape without a leading axis of 1."""
    return full[1:] if full and full[0] == 1 else full


def compressed(known: Known | None) -> Known | None:
    """The same table with axes that it is constant along cut to 1; None where nothing is known."""
    if known is None or np.isnan(known).all():
        return None
    for axis, n in enumerate(known.shape):
        first = known[(slice(None),) * axis + (slice(1),)]
        repeats = known.strides[axis] == 0  # a table may be as large as no memory is
        if n > 1 and (repeats or np.array_equal(known, np.broadcast_to(first, known.shape), equal_nan=True)):
            known = first
    return known


def _place(array: npt.NDArray[Any] | None) -> Hashable:
    """What tells an array from others that are held: its place in memory, or what it holds where it is small."""
    if array is None or array.size < _LARGE:
        return array if array is None else (array.shape, array.dtype.str, array.tobytes())
    return array.__array_interface__["data"][0], array.shape, array.strides, array.dtype.str


def real(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Complex numbers by their real part where that is all, and NaN elsewhere: no 0, and no number that is known."""
    return np.where(array.imag == 0, array.real, np.nan) if np.iscomplexobj(array) else array


#: Operators of several inputs of which no number hides another operand.
_HIDE_NOTHING = frozenset(("add", "sub", "concat", "stack"))


@dataclass(frozen=True)
class Value:
    """A layer's output: its name, its shape in the spec, and its full shape in the foreign graph.

    `known` (broadcastable to `full`, of its rank) holds elements that no input and no weight changes: a softmax leaves
    out those that are minus infinity, a product what it multiplies by 0. Such elements depend on nothing. `added` (as
    broad) holds what constants add to the others, where that is so low that a softmax leaves them out, and 0 elsewhere.
    """

    name: str
    shape: Shape
    full: Shape
    channel_axis: int | None
    known: Known | None = None
    added: Known | None = None

    @property
    def table(self) -> Known:
        """What is known, NaN elsewhere."""
        return np.full((1,) * len(self.full), np.nan) if self.known is None else self.known

    @property
    def zeroed(self) -> Mask:
        """Where elements are 0 by definition, as a table of the tensor's rank."""
        return np.asarray(self.table == 0)

    @property
    def stripped(self) -> bool:
        """Whether the batch axis is left out of `shape`."""
        return len(self.full) == len(self.shape) + 1

    def axis(self, axis: int) -> int:
        """A foreign axis as one of `shape`; -1 for the batch axis itself."""
        return axis % max(len(self.full), 1) - self.stripped


class GraphWalk:
    """The state of lowering one foreign graph: layers so far, and what rules need whatever the format is.

    `begin` names the foreign node that the next layers stand for. `assumes` lists what the whole network takes for
    granted; `assume` notes it for one node.
    """

    def __init__(self, options: Options = DEFAULTS) -> None:
        self.options = options
        self.layers: list[dict[str, Any]] = []
        self.assumes: list[str] = []
        self.node = ""
        self.owned: str | None = None  # a name of a module that the node may bear
        self.scope: tuple[str, ...] = ()
        self._made = 0
        self._used: set[str] = set()
        self._copies: dict[str, int] = {}
        self._reserved: set[str] = set()
        self._assumed: list[str] = []
        self._lost: set[str] = set()  # layers that constants may decide more of than is known
        self._made_of: dict[Hashable, tuple[Any, Any]] = {}
        self._tables: dict[Hashable, Known] = {}

    def once(self, key: Hashable, arrays: Sequence[npt.NDArray[Any] | None], make: Callable[[], Any]) -> Any:
        """What is made of constants, once for all layers that share them, such as masks; small ones are not kept.

        Large arrays are held, so their memory tells them. What was not asked for lately is made anew.
        """
        if all(array is None or array.size < _LARGE for array in arrays):
            return make()
        place = key, *map(_place, arrays)
        found = self._made_of.pop(place, None) or (tuple(arrays), make())
        self._made_of[place] = found
        if len(self._made_of) > _KEPT:
            del self._made_of[next(iter(self._made_of))]
        return found[1]

    def table(self, array: npt.NDArray[Any]) -> Known:
        """An array in double precision; large ones that hold the same are one object."""
        array = real(array)
        return self.once("table", [array], lambda: self._shared(array)) if array.size >= _LARGE else array.astype(float)

    def _shared(self, array: npt.NDArray[Any]) -> Known:
        whole = np.ascontiguousarray(array)
        digest = array.shape, whole.dtype.str, hashlib.blake2b(whole.tobytes(), digest_size=16).digest()
        found = self._tables.setdefault(digest, whole.astype(np.float64))
        while len(self._tables) > _KEPT:
            del self._tables[next(iter(self._tables))]
        return found

    # Names -----------------------------------------------------------------------------------------------

    def begin(self, node: str, scope: Sequence[str] = (), made: int = 0) -> None:
        """Start on a foreign node of this name, inside these modules; so many layers stand for it already."""
        self.node, self.scope, self._made = node, tuple(scope), made
        self.owned = None
        self._assumed = []

    def assume(self, sentence: str) -> None:
        """Note what the foreign node takes for granted beyond structure; the answer lists it in `assumes`."""
        if sentence not in self._assumed:
            self._assumed.append(sentence)
            if self._made:
                self.layers[-1]["assumes"] = list(self._assumed)

    def reserve(self, modules: Iterable[str]) -> None:
        """Keep the names of modules, so that no layer bears one."""
        self._reserved.update(modules)

    def is_reserved(self, name: str) -> bool:
        """Whether a module has this name."""
        return name in self._reserved

    def is_taken(self, name: str) -> bool:
        """Whether a module, an input or a layer has this name."""
        return name in self._reserved or name in self._used

    def unique(self, name: str) -> str:
        """The name, or one like it that is free and no module's."""
        name = f"{name}_node" if name in self._reserved and name != self.owned else name
        candidate = name
        while candidate in self._used:
            self._copies[name] = self._copies.get(name, 1) + 1
            candidate = f"{name}.{self._copies[name]}"
        self._used.add(candidate)
        return candidate

    # Layers ----------------------------------------------------------------------------------------------

    def emit(self, op: str, *inputs: Value, full: Shape | None = None, **attributes: Any) -> Value:
        """Add a layer; without a full shape its result has the batch of the first input. Errors name the node."""
        try:
            recipe = apply(op, attributes, [v.shape for v in inputs], [v.channel_axis for v in inputs])
        except FastRFError as error:
            raise type(error)(f"node {self.node!r} ({op}): {error}") from error
        self._made += 1
        name = self.unique(f"{self.node}~{self._made}")
        layer = {"name": name, "op": op, "inputs": [v.name for v in inputs], **attributes}
        if self.scope:
            layer["scope"] = list(self.scope)
        if self._assumed:
            layer["assumes"] = list(self._assumed)
        self.layers.append(layer)
        if full is None:
            full = (1, *recipe.shape) if inputs[0].stripped else recipe.shape
        return self._watched(op, inputs, Value(name, recipe.shape, full, recipe.channel_axis), recipe.approximate)

    def _watched(self, op: str, inputs: Sequence[Value], result: Value, approximate: bool) -> Value:
        """The result, listed as approximate where numbers that a bound has lost may hide another operand.

        A field against that other operand does not pass the bound, so what is listed is where both meet.
        """
        lost = any(v.name in self._lost for v in inputs)
        if (
            op == "loosened"
            or (lost and op != "constant")
            or (approximate and any(v.known is not None for v in inputs))
        ):
            self._lost.add(result.name)
        if not lost or len({v.name for v in inputs}) < 2 or op in _HIDE_NOTHING:
            return result
        return replace(self.loosened(result), full=result.full)

    def emit_nothing(self, x: Value) -> Value:
        """The same shape, depending on nothing."""
        return self.emit("constant", x, shape=list(x.shape))

    def loosened(self, x: Value) -> Value:
        """The value, listed as one of which only a superset of what it reads is known."""
        return replace(self.emit("loosened", x), known=x.known)

    def finish(self, value: Value, full: Shape) -> Value:
        """Bring a rule's result to the node's full shape, and give its last layer the node's name."""
        if len(full) > MAX_RANK:
            raise ShapeError(f"node {self.node!r}: a tensor of {len(full)} axes, more than {MAX_RANK}")
        done = self.shaped(value, full)
        if self._made == 0 or self.layers[-1]["name"] != done.name:
            done = replace(self.emit("identity", done), known=done.known, added=done.added)
        name = self.unique(self.node)
        self._used.discard(self.layers[-1]["name"])
        self.layers[-1]["name"] = name
        if done.name in self._lost:
            self._lost.add(name)
        return replace(done, name=name)

    def shaped(self, value: Value, full: Shape) -> Value:
        """The value with a full shape of as many elements, reshaped if its spec shape changes."""
        wanted = without_batch(full)
        if value.full == full and value.shape == wanted:
            return value
        known, added = (self._reshaped(t, value.full, full) for t in (value.known, value.added))
        done = value if value.shape == wanted else self.emit("reshape", value, shape=list(wanted))
        return replace(done, full=full, known=known, added=added)

    def _reshaped(self, table: Known | None, old: Shape, new: Shape) -> Known | None:
        if table is None:
            return None
        wide = np.broadcast_to(table, old)
        found: Known | None = self.once(("shaped", old, new), [table], lambda: compressed(wide.reshape(new)))
        return found

    def flat(self, value: Value) -> Value:
        """The value along one axis, which stays even where it has one element."""
        size = math.prod(value.full)
        line = self.shaped(value, (size,))
        return line if line.shape else self.emit("reshape", line, shape=[1], full=(1,))

    def spread(self, value: Value) -> Value:
        """The value with its batch axis in the spec shape."""
        if not value.stripped:
            return value
        wide = self.emit("expand", value, shape=[1, *value.shape], full=value.full)
        return replace(wide, known=value.known, added=value.added)

    def raised(self, value: Value, ndim: int) -> Value:
        """The value with so many full axes, those in front of 1, to be broadcast: channels are on none of these."""
        full = (1,) * (ndim - len(value.full)) + value.full
        wanted = without_batch(full)
        if len(full) == len(value.full) or wanted == value.shape:
            return self.shaped(value, full)
        wide = self.emit("expand", value, shape=list(wanted), full=full)
        known, added = (self._reshaped(t, value.full, full) for t in (value.known, value.added))
        return replace(wide, known=known, added=added)

    def expanded(self, value: Value, full: Shape) -> Value:
        """The value broadcast to a full shape."""
        if value.full == full:
            return value
        wide = self.raised(value, len(full))
        if wide.full == full:
            return wide
        if wide.stripped and full[0] == 1:
            grown = self.emit("expand", wide, shape=list(full[1:]))
        else:
            grown = self.emit("expand", self.spread(wide), shape=list(full))
        return replace(grown, known=wide.known, added=wide.added)

    def featured(self, value: Value) -> Value:
        """The value with a last axis of 1 that holds features."""
        shape, full = [*value.shape, 1], (*value.full, 1)
        known, added = (self._reshaped(t, value.full, full) for t in (value.known, value.added))
        done = self.emit("reshape", value, shape=shape, channel_axis=len(shape) - 1, full=full)
        return replace(done, known=known, added=added)

    def elementwise(self, op: str, values: Sequence[Value], full: Shape) -> Value:
        """Values combined element by element, broadcast to the full shape."""
        if len(values) == 1:
            return self.shaped(self.expanded(values[0], full), full)
        ranked = [self.raised(v, len(full)) for v in values]
        if full[:1] != (1,):
            ranked = [self.spread(v) for v in ranked]
        if broadcast_shape([v.shape for v in ranked]) != without_batch(full):
            ranked = [self.shaped(self.expanded(v, full), full) for v in values]
        return self.emit(op, *ranked)

    def no_rule(self, operator: str, *, exist: bool = False) -> UnsupportedOpError:
        """The error for an operator without a rule, or with one that does not cover its arguments."""
        where = f" in module {self.scope[-1]!r}" if self.scope else ""
        what = "is not supported with these arguments" if exist else "has no rule"
        return UnsupportedOpError(
            f"node {self.node!r}{where}: operator {operator} {what}; "
            'pass on_unsupported="full" to over-approximate it, or add a rule (fastrf.rule)'
        )

    def spec(
        self, name: str, inputs: Sequence[Value], outputs: Sequence[str], names: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """What `Network.from_dict` reads, with the channel axes of inputs as the layers use them.

        `names` are those that users know the inputs by, where they differ.
        """
        shapes = {value.name: value.shape for value in inputs}
        known = {name: name for name in shapes} if names is None else names
        axes, guessed = channel_axes(self.layers, shapes, known, self.options)
        return {
            "name": name,
            "input_shape": {name: list(shape) for name, shape in shapes.items()},
            "channel_axis": axes,
            "guessed": guessed,
            "layers": self.layers,
            "outputs": list(outputs),
            "assumes": self.assumes,
        }
