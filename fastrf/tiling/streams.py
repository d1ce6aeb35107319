"""Streams: a network that is called chunk by chunk as samples come in, and gives what one call on all of them gives.

Such a network is called on a buffer: what it needs of the past again, the new samples, and those ahead that it waits
for. It pads the buffer's left edge as if the signal began there, so the outputs that read the edge are thrown away; a
`Stream` says how many, and `Stream.run` does all of it. Networks that carry a state from call to call need none of
this: theirs is the cache.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from fastrf.analysis import Analysis
from fastrf.errors import PositionError, ShapeError, UsageError, a_kind
from fastrf.field import ReceptiveField
from fastrf.queries.halo import Halo
from fastrf.system.tables import Column, Table, count, document, share
from fastrf.tiling.asked import require_analysis
from fastrf.tiling.callables import Runner, as_function, is_tensor
from fastrf.tiling.places import require_free, taken

__all__ = ["Call", "Stream", "stream"]


_LENGTHS = ("chunk", "cache", "delay", "buffer")
_KEYS = ("node", "axis", *_LENGTHS, "lookback", "lookahead", "period", "positions", "drop", "keep", "waste", "assumes")
_NOTE = (
    "a call takes buffer samples: cache of the past again, chunk new ones, delay ahead; of what it makes, drop outputs "
    "are thrown away and the next are kept; period: samples to outputs"
)


def _counted(key: str) -> Column:
    return Column(key, lambda r: count(r[key]))


_COLUMNS = (
    Column("node", lambda r: r["node"]),
    *map(_counted, _LENGTHS),
    Column("period", lambda r: f"{r['period']} to {r['positions']}"),
    *map(_counted, ("drop", "keep")),
    Column("waste", lambda r: share(r["waste"], 1)),
)


class Call(NamedTuple):
    """One call on samples `[start, stop)`: outputs to drop in front, then to keep (None: all that are left)."""

    start: int
    stop: int
    drop: int
    keep: int | None


@dataclass(frozen=True)
class Stream:
    """What a network needs to run on a stream along one axis; lengths are in samples unless they say outputs.

    Each call takes a `buffer`: `cache` samples of the past again, `chunk` new ones, and `delay` ones ahead, which the
    next call is given again, too. Of what it returns, the first `drop` outputs are thrown away and the next `keep` are
    those of the chunk. `cache` and `delay` are `lookback` and `lookahead` in whole periods: buffers begin at multiples
    of `period` samples, which make `positions` outputs. Until `cache` samples are there, buffers begin where the stream
    does, and fewer outputs are dropped; the last one ends where it does. `shape` and `input_shape` are those that were
    analysed, `array_axes` the stream's axis in `input_shape` and in `shape`.
    """

    node: str
    axis: int
    chunk: int
    lookback: int
    lookahead: int
    period: int
    positions: int
    shape: tuple[int, ...] = field(repr=False)
    input_shape: tuple[int, ...] = field(repr=False)
    array_axes: tuple[int, int] = field(repr=False)
    assumes: tuple[str, ...] = ()

    @property
    def cache(self) -> int:
        """Samples of the past that each call is given again."""
        return -(-self.lookback // self.period) * self.period

    @property
    def delay(self) -> int:
        """Samples that outputs lag behind: those ahead that a call waits for."""
        return -(-self.lookahead // self.period) * self.period

    @property
    def buffer(self) -> int:
        """Samples of a call."""
        return self.cache + self.chunk + self.delay

    @property
    def drop(self) -> int:
        """Outputs at the front of a call's result that are thrown away."""
        return self._outputs(self.cache)

    @property
    def keep(self) -> int:
        """Outputs of a call that are the chunk's; what follows them is thrown away, since the next call makes it."""
        return self._outputs(self.chunk)

    @property
    def waste(self) -> float:
        """The share of a call's samples that another call is given, too."""
        return 1 - self.chunk / self.buffer

    @property
    def table(self) -> Table:
        """A table of one row, in all forms."""
        return streams_table([self])

    def _outputs(self, samples: int) -> int:
        return samples // self.period * self.positions

    def calls(self, n: int) -> Iterator[Call]:
        """The calls for a stream of `n` samples, first to last; the last one keeps all that is left."""
        done = 0
        while done + self.chunk + self.delay <= n:
            yield self._next(done)
            done += self.chunk
        yield from self._last(done, n)

    def _next(self, done: int) -> Call:
        """The call for the chunk behind `done` samples."""
        start = max(done - self.cache, 0)
        return Call(start, done + self.chunk + self.delay, self._outputs(done - start), self.keep)

    def _last(self, done: int, n: int) -> Iterator[Call]:
        """The call at the end, on a buffer no shorter than the others: some layers take no short ones."""
        start = max(min(done - self.cache, (n - self.buffer) // self.period * self.period), 0)
        left = self._total(n)
        if n and (left is None or left > self._outputs(done)):
            yield Call(start, n, self._outputs(done - start), None)

    def _total(self, n: int) -> int | None:
        """Outputs for `n` samples, where the analysed length tells."""
        (given, made) = (shape[axis] for shape, axis in zip(self._shapes, self.array_axes, strict=True))
        return None if (n - given) % self.period else made + (n - given) // self.period * self.positions

    @property
    def _shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return self.input_shape, self.shape

    def run(self, network: Any, chunks: Iterable[Any]) -> Iterator[Any]:
        """Yield the outputs of a stream of arrays of any lengths; put together, they are those of the whole.

        `network` is a PyTorch module (run without gradients, on its device), an `onnxruntime.InferenceSession` of one
        input, or a function of an array or tensor; it must take any length. `chunks` are arrays of NumPy or tensors of
        the shape that was analysed, or with a batch before it, and any length along the stream's axis. Each call is
        made as soon as its samples are there, the last one when the chunks end. Raises ShapeError for arrays, in or
        out, that do not fit, UsageError for what cannot run them.
        """
        if not isinstance(chunks, Iterable):
            raise UsageError(f"chunks must be arrays one after another, not {a_kind(chunks)}; give a list of them")
        held, done = _Held(self), 0
        call: Runner | None = None
        for piece in chunks:
            held.add(piece)
            call = call or as_function(network, [self.node], piece.ndim > len(self.input_shape))
            while held.stop >= done + self.chunk + self.delay:
                yield self._kept(self._next(done), held, call)
                done += self.chunk
                held.forget(done - self.cache - self.chunk)
        if call is None:
            return
        for last in self._last(done, held.stop):
            found = self._kept(last, held, call)
            if found.shape[found.ndim + self._from_end[1]]:
                yield found

    @property
    def _from_end(self) -> tuple[int, int]:
        """The stream's axis of inputs and of outputs, counted from the end: before the others stands the batch."""
        return self.array_axes[0] - len(self.input_shape), self.array_axes[1] - len(self.shape)

    def _kept(self, call: Call, held: _Held, network: Runner) -> Any:
        """What a call keeps of what the network returns."""
        try:
            (made,) = network(held.between(call.start, call.stop))
        except Exception as error:
            error.add_note(f"samples [{call.start}, {call.stop}) of the stream; a larger chunk makes larger buffers")
            raise
        self._check(made, call)
        return _cut(made, self._from_end[1], call.drop, None if call.keep is None else call.drop + call.keep)

    def _check(self, made: Any, call: Call) -> None:
        """Whether a call's result can be the network's."""
        shape, axis, n = tuple(made.shape), self.array_axes[1], call.stop - call.start
        total = self._total(n)
        least = call.drop + (call.keep or 0) if total is None else total
        along = shape[self._from_end[1]] if _fits(shape, self.shape, axis) else -1
        if along < least or (total is not None and along > total):
            wanted = _told(self.shape, axis, str(least) if total is not None else f"{least} or more")
            raise ShapeError(
                f"the callable made {_x(shape)} of {n} samples, not {wanted} as {self.node!r} would; "
                "stream the network that was analysed, from its input to that node"
            )


def streams_table(streams: Sequence[Stream]) -> Table:
    """A row for each of several streams of one node."""
    records = [{key: getattr(one, key) for key in _KEYS} for one in streams]
    assumes = dict.fromkeys(told for one in streams for told in one.assumes)
    notes = [_NOTE, *(f"assumes: {told}" for told in assumes)]
    return Table(records, _COLUMNS, notes=notes, keys=_KEYS, head=document("streams", units="samples", streams=None))


def stream(analysis: Analysis | ReceptiveField, chunk: int | None = None, axis: int = 0) -> Stream:
    """What a network needs to run on a stream along a position axis, `chunk` new samples at a time.

    Of an Analysis, its first output is streamed; of a field, its node. `axis` counts the axes of positions, so it is 0
    for audio of shape `(channels, samples)`. `chunk` must be a multiple of the period (default: one period).

    Raises ShapeError where an output reads all of the past or of what is to come, naming the node that makes it so, and
    for a chunk that does not fit, PositionError for a node without such an axis.
    """
    require_analysis(analysis)
    asked = analysis.output if isinstance(analysis, Analysis) else analysis
    halo = asked.halo()
    n = len(halo.period)
    if type(axis) is not int or not -n <= axis < n:
        raise PositionError(f"axis {axis!r} is not one of the {n} axes that {asked.name!r} shares with the input")
    axis %= n
    before, after, period = halo.before[axis], halo.after[axis], halo.period[axis]
    if math.isinf(before) or math.isinf(after):
        raise ShapeError(_refusal(asked, analysis if isinstance(analysis, Analysis) else None, axis, halo))
    require_free(analysis, [asked.name], axis)
    chunk = period if chunk is None else chunk
    if type(chunk) is not int or chunk < 1:
        raise ShapeError(f"chunk {chunk!r} is no positive number of samples, a multiple of the period; use {period}")
    if chunk % period:
        near = sorted({max(chunk // period + k, 1) * period for k in (0, 1)})
        remedy = f"use {' or '.join(map(str, near))}"
        raise ShapeError(f"chunk {chunk!r} is no multiple of the period of {asked.name!r}, {period} samples; {remedy}")
    axes = _array_axis(axis, asked.input_channel_axis), _array_axis(axis, asked.channel_axis)
    assumes = (*asked.assumes, *taken(analysis, [asked.name]))
    lengths = int(before), int(after), period, halo.positions[axis]
    return Stream(asked.name, axis, chunk, *lengths, asked.shape, asked.input_shape, axes, assumes)


#: What pads of these modes read.
_ENDS = {
    "reflect": "the signal mirrored at its ends ('reflect'): before its first sample, those that come later",
    "symmetric": "the signal mirrored at its ends ('symmetric'): before its first sample, those that come later",
    "circular": "the other end of the signal ('circular')",
}


def _refusal(asked: ReceptiveField, analysis: Analysis | None, axis: int, halo: Halo) -> str:
    """Why there is no stream: which node reads without bound, and what to do instead."""
    at = halo.unbounded_at if analysis is None else analysis._unbounded_at(asked.name, axis)
    name = at[0] if at else _bent_at(asked.name, analysis, axis) if analysis is not None else ""
    node = None if analysis is None else analysis.network.by_name.get(name)
    who = f"node {name!r}{'' if node is None else f' ({node.op})'}" if name else f"a node on the way to {asked.name!r}"
    if not at:
        modes = [] if node is None else [m for m in node.attributes.values() if isinstance(m, str) and m in _ENDS]
        what = _ENDS[modes[0]] if modes else "at the ends of a signal what lies elsewhere (reflected or circular)"
        remedy = "pad with zeros or copies ('constant' or 'replicate')"
    elif math.isinf(halo.before[axis]):
        what = "all of the past, or at no fixed distance"
        remedy = "carry its own state from call to call and stream what is around it"
    else:
        what, remedy = "all that is to come, or at no fixed distance", "bound its look-ahead"
    return f"{who} reads {what}, so no cache of samples is enough; {remedy}"


def _bent_at(name: str, analysis: Analysis, axis: int) -> str:
    """The first node on the way to one that reads other samples at the borders than its distance allows."""
    for node in list(analysis.network.needed([name]))[::-1]:
        if node.name in analysis:
            field = analysis[node.name]
            halo = field.halo() if field.position_shape else None
            if halo is not None and axis < len(halo.before) and math.isinf(halo.before[axis] + halo.after[axis]):
                return node.name
    return name


def _array_axis(axis: int, channel: int | None) -> int:
    """The axis of an array that is a position axis, channels apart."""
    return axis if channel is None or axis < channel else axis + 1


class _Held:
    """The samples of a stream that calls may still need, in the pieces that they came in."""

    def __init__(self, stream: Stream) -> None:
        self.axis, self.shape = stream._from_end[0], stream.input_shape
        self.pieces: list[Any] = []
        self.start = self.stop = 0

    def add(self, piece: Any) -> None:
        """Behind the others."""
        if not is_tensor(piece) and not isinstance(piece, np.ndarray):
            raise UsageError(f"chunks must be NumPy arrays or PyTorch tensors, not {a_kind(piece)}")
        shape, axis = piece.shape, self.axis + len(self.shape)
        if not _fits(shape, self.shape, axis):
            wanted = _told(self.shape, axis, "any")
            raise ShapeError(f"a chunk is {_x(shape)}, but the input {wanted}; analyse it at the chunk's shape")
        first = self.pieces[0] if self.pieces else piece
        if _alike(first, self.axis) != _alike(piece, self.axis):
            raise UsageError(
                f"chunks of a stream must be of one kind, but after {first.dtype} {_x(first.shape)} came {piece.dtype} "
                f"{_x(shape)}"
            )
        self.pieces.append(piece)
        self.stop += shape[self.axis]

    def between(self, start: int, stop: int) -> Any:
        """Samples `[start, stop)` as one array."""
        if len(self.pieces) > 1:
            self.pieces = [_joined(self.pieces, self.axis)]
        return _cut(self.pieces[0], self.axis, start - self.start, stop - self.start)

    def forget(self, before: int) -> None:
        """Let go of samples that nothing will ask for."""
        if before > self.start:
            self.pieces = [_cut(self.between(self.start, self.stop), self.axis, before - self.start, None)]
            self.start = before


def _alike(array: Any, axis: int) -> tuple[object, ...]:
    """What all arrays of a stream have in common."""
    shape = list(array.shape)
    shape[axis] = 0
    return type(array).__module__, array.dtype, tuple(shape)


def _fits(shape: Sequence[int], wanted: Sequence[int], free: int) -> bool:
    """Whether an array has the axes that are wanted, whatever the length of one, behind those of a batch."""
    there = list(shape)[len(shape) - len(wanted) :]
    return len(shape) >= len(wanted) and all(there[k] == n for k, n in enumerate(wanted) if k != free)


def _told(shape: Sequence[int], axis: int, length: str) -> str:
    """A shape with another length along an axis."""
    return " x ".join(length if k == axis else str(n) for k, n in enumerate(shape))


def _x(shape: Iterable[int]) -> str:
    return " x ".join(map(str, shape)) or "a scalar"


def _joined(pieces: list[Any], axis: int) -> Any:
    return sys.modules["torch"].cat(pieces, axis) if is_tensor(pieces[0]) else np.concatenate(pieces, axis)


def _cut(array: Any, axis: int, start: int, stop: int | None) -> Any:
    """The part of an array between two indices of an axis that is counted from the end."""
    return array[(..., slice(start, stop), *(slice(None),) * (-1 - axis))]
