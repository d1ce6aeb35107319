"""What is noted while the layers of a network are followed for all lengths of one input axis at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from fastrf.queries.sizes.lengths import Length, Number, Places, choose, is_fixed, length

__all__ = ["RULES", "Attributes", "Need", "Piece", "SplitError", "Trace", "is_uncropped", "plain", "product", "rule"]

Attributes: TypeAlias = Mapping[str, Any]
Shape: TypeAlias = Sequence[Number]


@dataclass(frozen=True)
class Need:
    """What one layer needs of the input's length: where it is met, and in words what is wrong elsewhere."""

    node: str
    met: Places
    told: Callable[[int], str]


@dataclass(frozen=True)
class Piece:
    """What holds for some lengths: which of them fit, what the others lack, and the shapes of outputs.

    `strides` are met where every layer with a stride gets a whole multiple of it; None where layers are not known.
    `known` is false where nobody has looked which of these lengths fit.
    """

    domain: Places
    fits: Places
    needs: Sequence[Need]
    outputs: Mapping[str, Sequence[Number]]
    strides: Sequence[Need] | None = None
    known: bool = True


class SplitError(Exception):
    """The number of axes follows the size: lengths in a set and those outside are followed each by themselves."""


@dataclass
class Trace:
    """Needs so far, and the lengths that meet them all.

    `bare` is the shape of the layer's first input ahead of layers that only pad it, as a convolution's own padding.
    """

    fits: Places = field(default_factory=lambda: Places.between(1))
    node: str = ""
    needs: list[Need] = field(default_factory=list)
    sites: set[tuple[str, int]] = field(default_factory=set)
    strides: list[Need] | None = field(default_factory=list)
    bare: Shape = ()
    _asked: int = 0

    def begin(self, node: str) -> None:
        """Start on a layer."""
        self.node, self._asked = node, 0

    def require(self, met: Places, told: str, *lengths: Number) -> None:
        """Note what is needed; `told` has a place `{}` for each length."""
        self._asked += 1
        if not all(map(is_fixed, lengths)):
            self.sites.add((self.node, self._asked))
        missed = self.fits & ~met
        if not missed.is_empty:
            self.needs.append(Need(self.node, met, lambda n: told.format(*(length(v).of(n) for v in lengths))))
            self.fits = self.fits & met

    def stride(self, stride: int, size: Number, parts: int = 1, *, follows: bool = False) -> None:
        """Note that `parts` times a length should be a whole multiple of a stride; what is left over still fits.

        Of a number that is asked only where it `follows` the input.
        """
        if stride > 1 and (follows or not is_fixed(size)) and self.strides is not None:
            told = f"a stride of {stride if parts == 1 else f'{stride}/{parts}'} does not divide {{}}"
            need = Need(self.node, (length(size) * parts % stride).equals(0), lambda n: told.format(length(size).of(n)))
            self.strides.append(need)

    def decide(self, where: Places) -> bool:
        """Whether all lengths that fit are in a set, or none is. Raises SplitError for neither."""
        inside = self.fits & where
        if inside.is_empty:
            return False
        if not (self.fits & ~where).is_empty:
            raise SplitError(where)
        return True

    def same(self, one: Number, other: Number, told: str) -> Number:
        """Two lengths that must be equal."""
        self.require(length(one).equals(other), told, one, other)
        return one if is_fixed(one) else other

    def broadcast(self, one: Number, other: Number) -> Number:
        """Two lengths of one axis by NumPy's rules."""
        if is_fixed(one) and is_fixed(other) and plain(one) == plain(other):
            self._asked += 1
            return one
        a, b = length(one), length(other)
        ones = a.equals(1)
        met = a.equals(b) | ones | b.equals(1)
        self.require(met, "sizes {} and {} do not broadcast; make the sizes equal or 1", one, other)
        return plain(choose(ones, b, a))


def is_uncropped(trace: Trace, padding: Sequence[Sequence[Number]]) -> bool:
    """Whether padding removes nothing from an axis."""
    return all((trace.fits & (length(n) < 0)).is_empty for pair in padding for n in pair)


ShapeRule: TypeAlias = Callable[[Trace, Attributes, list[Shape]], Sequence[Number]]

#: How each operator makes its output's shape from those of its inputs.
RULES: dict[str, ShapeRule] = {}


def rule(*operators: str) -> Callable[[ShapeRule], ShapeRule]:
    """Register the shape rule of operators."""

    def register(function: ShapeRule) -> ShapeRule:
        RULES.update(dict.fromkeys(operators, function))
        return function

    return register


def plain(value: Number) -> Number:
    """A length that is the same for every input as a number."""
    return int(value.values[0]) if isinstance(value, Length) and is_fixed(value) else value


def product(values: Sequence[Number]) -> Number:
    """The product of lengths."""
    total: Number = 1
    for value in values:
        total = total * value
    return plain(total)
