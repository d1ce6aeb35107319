"""What `fastrf.sizes` gives: which sizes of an input fit, as a table and as numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from fastrf.errors import LimitError, ShapeError
from fastrf.queries.sizes.lengths import FARTHEST, Length, Number, Places, length
from fastrf.queries.sizes.progressions import Progression, progressions_of, shown
from fastrf.queries.sizes.trace import Piece
from fastrf.system.locks import cached_property
from fastrf.system.tables import Column, Shown, Table, document

__all__ = ["AxisSizes", "Sizes"]


class Unfit(NamedTuple):
    """Why a size does not fit: the layer, and what is wrong there."""

    node: str
    told: str


@dataclass(frozen=True)
class AxisSizes:
    """The sizes of one axis of the input that fit, while the others stay as they are.

    `axis` counts the input's axes without the batch; `size` is what the axis has in the network as it was given.
    Sizes are 1 to 2**20.
    """

    axis: int
    size: int
    _pieces: Sequence[Piece] = field(repr=False)
    within: tuple[int, int | None] = (1, None)

    @cached_property
    def _places(self) -> Places:
        """All that fit, within the range or not."""
        found = Places.between(0, 0)
        for piece in self._pieces:
            found = found | piece.fits
        return found

    @property
    def smallest(self) -> int | None:
        """The smallest size that fits; None where none does, or where it is not known whether a smaller one does."""
        if not self.progressions:
            return None
        found = self.progressions[0].start
        smaller = Places.between(self.within[0], found)
        for piece in self._pieces:
            smaller = smaller & ~piece.domain if piece.known else smaller
        return found if smaller.is_empty else None

    @cached_property
    def progressions(self) -> tuple[Progression, ...]:
        """All sizes in the range that fit, as `(start, stop, step)`; `stop` is None where they go on."""
        return progressions_of(self._places, *self.within)

    @property
    def evenly(self) -> AxisSizes:
        """The same of which only sizes fit at which every layer with a stride gets a whole multiple of it.

        Nothing is cut off then, and padding is even. Raises ShapeError where layers are not known.
        """
        found = [_evenly(piece, self.axis) for piece in self._pieces]
        return replace(self, _pieces=found)

    @cached_property
    def even(self) -> tuple[Progression, ...] | None:
        """Those of the progressions at which every layer with a stride gets a whole multiple; None: not known."""
        try:
            return self.evenly.progressions
        except (ShapeError, LimitError):
            return None

    @property
    def multiple(self) -> int:
        """The largest number that every size that fits is a multiple of; 0 where none fits."""
        return math.gcd(*(n for p in self.progressions for n in (p.start, p.step if p.is_several else 0)))

    def fits(self, size: int) -> bool:
        """Whether a size fits. Raises ShapeError for what is no size."""
        return self._places.holds(checked(size))

    def why(self, size: int) -> Unfit | None:
        """The layer that a size does not fit, and what is wrong there; None for one that fits."""
        n = checked(size)
        for piece in self._pieces:
            if piece.domain.holds(n):
                return next((Unfit(need.node, need.told(n)) for need in piece.needs if not need.met.holds(n)), None)
        return Unfit("", f"{n} is not known")

    def output_shape(self, size: int, node: str | None = None) -> tuple[int, ...]:
        """The shape of an output (default: the first) for a size. Raises ShapeError for one that does not fit."""
        wrong = self.why(size)
        if wrong is not None:
            raise ShapeError(f"a size of {size} on axis {self.axis} does not fit: node {wrong.node!r}: {wrong.told}")
        piece = next(piece for piece in self._pieces if piece.domain.holds(size))
        return tuple(length(n).of(size) for n in _output(piece, node))

    def inputs_for(self, output: int, node: str | None = None) -> tuple[Progression, ...]:
        """All sizes for which the output's axis that follows has a length.

        Raises ShapeError where no axis of the output follows, or several do.
        """
        wanted, found = _whole(output, 0, "an output"), Places.between(0, 0)
        for piece, n in self._followed(node):
            found = found | (piece.fits & n.equals(wanted))
        return progressions_of(found, *self.within)

    def input_for(self, output: int, node: str | None = None) -> int:
        """The smallest size for which the output's axis that follows has a length.

        Raises ShapeError where there is none, saying which outputs there are next to it, and as `inputs_for`.
        """
        found = self.inputs_for(output, node)
        if found:
            return found[0].start
        raise ShapeError(f"no size of axis {self.axis} gives an output of {output}{self._near(output, node)}")

    def _followed(self, node: str | None) -> list[tuple[Piece, Length]]:
        """The length of the output's axis that follows the input, piece by piece."""
        fitting = [piece for piece in self._pieces if not piece.fits.is_empty]
        shapes = [_output(piece, node) for piece in fitting]
        if len({len(shape) for shape in shapes}) > 1:
            raise ShapeError(f"the number of axes of the output follows axis {self.axis}; ask for output_shape(size)")
        columns = [list(map(length, column)) for column in zip(*shapes, strict=True)]
        following = [column for column in columns if not _is_constant(fitting, column)]
        if fitting and len(following) != 1:
            what = "several axes of the output follow" if following else "no axis of the output follows"
            raise ShapeError(f"{what} axis {self.axis} of the input; ask for output_shape(size)")
        return list(zip(fitting, following[0], strict=True)) if fitting else []

    def _near(self, output: int, node: str | None) -> str:
        """The next outputs below and above, in words."""
        sizes = np.flatnonzero(self._places.at(np.arange(_TRIED)))
        outputs = np.zeros(_TRIED, np.int64)
        for piece, n in self._followed(node):
            mine = sizes[piece.fits.at(sizes)]
            outputs[mine] = n.at(mine)
        below, above = sizes[outputs[sizes] < output], sizes[outputs[sizes] > output]
        told = []
        if below.size:
            best = below[np.argmax(outputs[below])]
            told.append(f"{best} gives {outputs[best]}")
        if above.size:
            best = above[np.argmin(outputs[above])]
            told.append(f"{best} gives {outputs[best]}")
        return "".join(f"{' and' if k else '; a size of'} {text}" for k, text in enumerate(told))


def _evenly(piece: Piece, axis: int) -> Piece:
    """What is left of a piece where strides divide what layers get."""
    if piece.fits.is_empty:
        return piece
    if piece.strides is None:
        raise ShapeError(f"strides along axis {axis} are not known; give a spec, an ONNX file or a name of the zoo")
    fits = piece.fits
    for need in piece.strides:
        fits = fits & need.met
    return replace(piece, fits=fits, needs=(*piece.needs, *piece.strides))


#: Sizes among which the nearest outputs are looked for.
_TRIED = 1 << 14


def _is_constant(pieces: Sequence[Piece], lengths: Sequence[Length]) -> bool:
    """Whether lengths are one number wherever sizes fit."""
    first = next(n.of(piece.fits.first or 0) for piece, n in zip(pieces, lengths, strict=True))
    return all((piece.fits & ~n.equals(first)).is_empty for piece, n in zip(pieces, lengths, strict=True))


def _output(piece: Piece, node: str | None) -> Sequence[Number]:
    name = next(iter(piece.outputs)) if node is None else node
    if name not in piece.outputs:
        raise ShapeError(f"{name!r} is no output; the outputs are {', '.join(piece.outputs)}")
    return piece.outputs[name]


def _whole(value: object, least: int, what: str) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise ShapeError(f"{what} is a whole number, not {str(value)[:40]!r}")
    number = int(value)
    if not least <= number <= FARTHEST:
        raise ShapeError(f"{what} of {str(number)[:40]} is not looked at; give one of {least} to {FARTHEST}")
    return number


def checked(size: object) -> int:
    """A size, or what of the answer's range is none. Raises ShapeError."""
    return _whole(size, 1, "a size")


@dataclass(frozen=True)
class Sizes(Shown):
    """Which sizes of a network's input fit its layers and their weights: a value for each spatial axis.

    `axes` holds the answer of each spatial axis, in the order of the input's shape; `input_shape` the shape that the
    network was read at; `assumes` what is taken for granted. `tied_at` names a layer where several axes meet (of a
    PyTorch module, that is not known): then an axis's sizes hold while the other axes stay as they are in
    `input_shape`, and other combinations are tried.
    """

    name: str
    input_shape: tuple[int, ...]
    axes: tuple[AxisSizes, ...]
    tied_at: str | None = None
    assumes: tuple[str, ...] = ()
    _tried: Callable[[tuple[int, ...]], Mapping[str, Sequence[int]] | str] | None = field(
        default=None, repr=False, compare=False
    )
    _even: bool = field(default=False, repr=False)

    @property
    def smallest(self) -> tuple[int | None, ...]:
        """The smallest size of each axis; None where none fits, or where that is not known."""
        return tuple(axis.smallest for axis in self.axes)

    @property
    def progressions(self) -> tuple[tuple[Progression, ...], ...]:
        """The sizes of each axis that fit, as `(start, stop, step)`; `stop` is None where they go on."""
        return tuple(axis.progressions for axis in self.axes)

    @property
    def multiple(self) -> tuple[int, ...]:
        """For each axis the largest number that every size that fits is a multiple of."""
        return tuple(axis.multiple for axis in self.axes)

    @property
    def even(self) -> tuple[tuple[Progression, ...] | None, ...]:
        """For each axis the sizes at which every layer with a stride gets a whole multiple of it; None: not known."""
        return tuple(axis.even for axis in self.axes)

    @property
    def evenly(self) -> Sizes:
        """The same of which only sizes fit at which every layer with a stride gets a whole multiple of it.

        Raises ShapeError where layers are not known, and when asked for several axes at once that are tied.
        """
        axes, tied, old = tuple(axis.evenly for axis in self.axes), self.tied_at, self._tried

        def tried(sizes: tuple[int, ...]) -> Mapping[str, Sequence[int]] | str:
            made = "" if old is None else old(sizes)
            if tied is not None and not isinstance(made, str):
                raise ShapeError(f"the axes are tied at node {tied!r}; ask one by itself, such as sizes.axes[0].evenly")
            wrong = None if isinstance(made, str) else self._wrong(axes, sizes)
            return made if wrong is None else wrong

        return replace(self, axes=axes, _tried=None if old is None else tried, _even=True)

    def fits(self, size: int | Sequence[int]) -> bool:
        """Whether sizes fit: one for every axis, or one for each. Raises ShapeError for what is no size."""
        return self.why(size) is None

    def why(self, size: int | Sequence[int]) -> str | None:
        """Why sizes do not fit, with the layer; None where they fit."""
        sizes = self._each(size)
        moved = [axis for axis, n in zip(self.axes, sizes, strict=True) if n != axis.size]
        if self._tried is not None and len(moved) > 1:
            found = self._tried(sizes)
            return found if isinstance(found, str) else None
        return self._wrong(self.axes, sizes)

    @staticmethod
    def _wrong(axes: Sequence[AxisSizes], sizes: Sequence[int]) -> str | None:
        """Why one of some sizes does not fit its axis."""
        for axis, n in zip(axes, sizes, strict=True):
            wrong = axis.why(n)
            if wrong is not None:
                return f"{n} on axis {axis.axis}: node {wrong.node!r}: {wrong.told}"
        return None

    def input_for(self, output: int | Sequence[int], node: str | None = None) -> tuple[int, ...]:
        """The smallest sizes for which an output (default: the first) has these lengths along the axes.

        Raises ShapeError where there are none, and where the axes are tied: ask each by itself then.
        """
        wanted = self._each(output, "an output", 0)
        several = len(self.axes) > 1
        if self.tied_at is not None and several:
            said = f"the axes are tied at node {self.tied_at!r}; ask one by itself, such as sizes.axes[0].input_for"
            raise ShapeError(f"{said}({output})")
        found = tuple(axis.input_for(n, node) for axis, n in zip(self.axes, wanted, strict=True))
        if self._tried is not None and several and not self._follows(found, node):
            raise ShapeError(f"an output of {wanted} follows several axes at once; ask sizes.axes[0].input_for for one")
        return found

    def _follows(self, sizes: tuple[int, ...], node: str | None) -> bool:
        """Whether an output is at some sizes what its axes are for each of them."""
        made = self._tried(sizes) if self._tried is not None else ""
        if isinstance(made, str):
            return False
        name = next(iter(made)) if node is None else node
        start = self.axes[0].output_shape(self.axes[0].size, node)
        expected = list(start)
        for axis, n in zip(self.axes, sizes, strict=True):
            for k, (new, old) in enumerate(zip(axis.output_shape(n, node), start, strict=True)):
                expected[k] = new if new != old else expected[k]
        return tuple(made[name]) == tuple(expected)

    def _each(self, size: int | Sequence[int], what: str = "a size", least: int = 1) -> tuple[int, ...]:
        listed = list(size) if isinstance(size, Sequence | np.ndarray) else [size] * len(self.axes)
        if len(listed) != len(self.axes):
            raise ShapeError(
                f"{len(listed)} sizes for {len(self.axes)} spatial axes; give one for each, or one for all"
            )
        return tuple(_whole(n, least, what) for n in listed)

    @property
    def table(self) -> Table:
        """A row for each axis."""
        return self.table_of()

    def table_of(self, output: int | Sequence[int] | None = None, size: int | Sequence[int] | None = None) -> Table:
        """The table, with the sizes for an output, and why a size does not fit. Raises as `input_for` and `fits`."""
        records = [_record(axis) for axis in self.axes]
        columns = _columns(_counted(self.progressions), _counted(self.even))
        notes = (
            [] if self.tied_at is None else [f"axes meet at {self.tied_at!r}: the sizes of one hold while others stay"]
        )
        if output is not None:
            for record, found in zip(records, self.input_for(output), strict=True):
                record["input"] = found
            columns.append(Column(f"for {_words(output)}", lambda record: str(record["input"])))
        head = document("sizes", model=self.name, input_shape=self.input_shape, tied_at=self.tied_at)
        if size is not None:
            why = self.why(size)
            notes.insert(0, f"{_words(size)} fits" if why is None else f"{_words(size)} does not fit: {why}")
            head |= {"fits": why is None, "why": why}
        shape = "x".join(map(str, self.input_shape))
        title, notes = f"{self.name}: sizes that fit{' evenly' * self._even}, input {shape}", [*notes, *self.assumes]
        head |= {"assumes": self.assumes, "axes": None}
        return Table(records, columns, title, notes, _KEYS, drop=["output"], head=head)


_KEYS = ("axis", "size", "smallest", "multiple", "progressions", "even", "outputs")


def _record(axis: AxisSizes) -> dict[str, Any]:
    outputs = [[n, axis.output_shape(n)] for n in _first(axis)]
    values = (
        axis.axis,
        axis.size,
        axis.smallest,
        axis.multiple,
        _listed(axis.progressions),
        _listed(axis.even),
        outputs,
    )
    return dict(zip(_KEYS, values, strict=True))


def _listed(progressions: Sequence[Progression] | None) -> list[dict[str, int | None]] | None:
    if progressions is None:
        return None
    return [{"start": p.start, "stop": p.stop, "step": p.step} for p in progressions]


def _first(axis: AxisSizes, count: int = 2) -> list[int]:
    """The smallest sizes."""
    return [n for p in axis.progressions for n in p.first(count)][:count] if axis.progressions else []


#: Progressions that a line of the table shows.
_SHOWN = 4


def _outputs(record: Mapping[str, Any]) -> str:
    """The first outputs."""
    return ", ".join(f"{n} gives {'x'.join(map(str, shape))}" for n, shape in record["outputs"])


def _fitting(record: Mapping[str, Any], key: str = "progressions") -> str:
    return "not known" if record[key] is None else shown((Progression(**p) for p in record[key]), _SHOWN)


def _words(sizes: int | Sequence[int]) -> str:
    return "x".join(map(str, sizes)) if isinstance(sizes, Sequence) else str(sizes)


def _smallest(record: Mapping[str, Any]) -> str:
    if record["smallest"] is None:
        return "not known" if record["progressions"] else "-"
    return str(record["smallest"])


def _counted(found: Sequence[Sequence[Progression] | None]) -> str:
    """What the letter in progressions counts; nothing without the letter."""
    return "k is 0, 1, 2 and so on" if any(p.goes_on for one in found for p in one or ()) else ""


def _columns(about: str, even: str) -> list[Column]:
    divided = "every stride divides what its layer gets"
    return [
        Column("axis", lambda record: str(record["axis"])),
        Column("sizes that fit", _fitting, about=about),
        Column("smallest", _smallest),
        Column("multiple of", lambda record: str(record["multiple"])),
        Column(
            "even at",
            lambda record: _fitting(record, "even"),
            about=divided if about or not even else f"{divided}, {even}",
        ),
        Column("output", _outputs),
    ]
