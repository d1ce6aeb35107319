"""ReceptiveField: what users ask of one node.

Holds the exact `Dependency` of the node's neurons and, from it, the one of its *positions* (any channel of any
input channel). Every query is answered from the compact form; only `masks` and its like write pixels (see `masks`)
and only `areas` and `coverage` count them (see `counting`).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from fastrf.engine.dependency import Dependency
from fastrf.engine.nominal import Nominal
from fastrf.engine.terms import Term
from fastrf.errors import PositionError, UsageError
from fastrf.queries import counting, facts, masks, storage, streams
from fastrf.queries.digests import digest
from fastrf.queries.halo import FAR, Halo, follows, halo_of
from fastrf.queries.positions import checked_index, flat_indices, hinted
from fastrf.queries.unbounded import Sequential
from fastrf.system.locks import cached_property
from fastrf.system.terminal import Progress

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from fastrf.queries.context import Kept
    from fastrf.queries.why.answers import Why

__all__ = ["ReceptiveField", "load_field"]

Mask = npt.NDArray[np.bool_]
Position = Sequence[int] | int


class ReceptiveField(Sequential):
    """The exact receptive field of every neuron of a node, measured against one input.

    Shapes are without the batch. A *position* is an index per axis of `shape` that does not hold channels, a
    *neuron* an index into the whole of `shape`, a *pixel* an index per axis of `input_shape` that does not hold
    channels; `[H, W]` stands for the pixel axes and `[*out]` for the position axes, however many there are.
    `approximate_at` lists the nodes on the way that are over-approximations, `assumes` what the answer takes for
    granted beyond structure, a sentence each. Made by `fastrf.analyze`; `fastrf.load_field` reads one from a file.
    """

    asked = ""  # the name that it was last asked for by

    def __init__(
        self,
        dependency: Dependency,
        *,
        channel_axis: int | None,
        input_channel_axis: int | None,
        approximate_at: tuple[str, ...],
        nominal: Callable[[], Nominal],
        periods: Callable[[], tuple[int, ...]],
        margins: Callable[[], tuple[tuple[int, int], ...]] = tuple,
        name: str = "field",
        assumes: tuple[str, ...] = (),
        last_map: Callable[[], str] = str,
        unbounded_at: Callable[[], tuple[str, ...]] = tuple,
        explain: Callable[[tuple[int, ...] | None, tuple[int, ...] | None], Why] | None = None,
        kept: Callable[[int], Kept | None] = lambda _: None,
    ) -> None:
        self.dependency = dependency
        self.name = name
        self.channel_axis = channel_axis
        self.input_channel_axis = input_channel_axis
        self.approximate_at = approximate_at
        self.assumes = assumes
        self._last_map, self._unbounded_at, self._explain = last_map, unbounded_at, explain
        self._make_nominal, self._make_kept = nominal, kept
        self._make_periods, self._make_margins = periods, margins

    def __repr__(self) -> str:
        return facts.line(self)

    def _repr_html_(self) -> str:
        return facts.table(self).to_html()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ReceptiveField):
            return NotImplemented
        if self._frame != other._frame:
            return False
        return self.dependency == other.dependency or self.digest() == other.digest()

    def __hash__(self) -> int:
        return hash(self.digest())

    @property
    def _frame(self) -> tuple[object, ...]:
        return self.shape, self.input_shape, self.channel_axis, self.input_channel_axis

    @cached_property
    def _digest(self) -> str:
        return digest(self.dependency, self.channel_axis, self.input_channel_axis)

    def digest(self) -> str:
        """A hash of 16 hexadecimal digits: of the exact relation, the shapes and the channel axes, and of nothing else.

        Fields are equal where these are (names and nominal values aside), however the relation is written down. The
        same in other processes, on other machines and in later versions of the same major number. Raises LimitError
        for more than 62 terms that overlap.
        """
        return self._digest

    def __reduce__(self) -> tuple[object, ...]:
        return _unpickled, tuple(self._parts)

    @property
    def _parts(self) -> storage.Parts:
        axes, figures = (self.channel_axis, self.input_channel_axis), (self.nominal, self.periods)
        return storage.Parts(
            self.dependency, *axes, self.approximate_at, *figures, self.name, self.assumes, self._margins
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the node's output."""
        return self.dependency.shape

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of the input that the field is measured against."""
        return self.dependency.input_shape

    @property
    def position_shape(self) -> tuple[int, ...]:
        """`shape` without its channel axis."""
        return tuple(n for axis, n in enumerate(self.shape) if axis != self.channel_axis)

    @cached_property
    def pixel_shape(self) -> tuple[int, ...]:
        """`input_shape` without its channel axis."""
        return tuple(n for axis, n in enumerate(self.input_shape) if axis != self.input_channel_axis)

    @property
    def exact(self) -> bool:
        """Whether every step from the input to here was exact."""
        return not self.approximate_at

    @cached_property
    def positional(self) -> Dependency:
        """Which pixels, in any channel, any channel at each position depends on."""
        found = self.dependency
        if self.channel_axis is not None:
            found = found.reduce(self.channel_axis)
        return found if self.input_channel_axis is None else found.any_input(self.input_channel_axis)

    @property
    def relations(self) -> tuple[Term, ...]:
        """The compact exact form: a union of terms, each a product of per-axis relations.

        See `fastrf.engine.terms`: a group relates some factors of the node's axes to some input axes. `dependency.axes`
        lists the factors.
        """
        return self.dependency.terms

    # Exact, at one place ---------------------------------------------------------------------------------

    def mask(self, position: Position) -> Mask:
        """bool[H, W]: pixels, in any channel, that any channel at `position` depends on.

        Raises PositionError for a position outside the map.
        """
        return masks.dense_row(self.positional, self._checked(position))

    def _checked(self, position: Position) -> tuple[int, ...]:
        """A position of the map; where there is but one, errors name the map before it."""
        with hinted(self.position_shape, self._last_map):
            return checked_index(position, self.position_shape)

    def neuron_mask(self, neuron: Position) -> Mask:
        """bool[C, H, W] (the shape of the input): the exact mask of one neuron.

        Raises PositionError for a neuron outside `shape`.
        """
        return masks.dense_row(self.dependency, checked_index(neuron, self.shape, "neuron"))

    def neuron_pixels(self, neuron: Position) -> Mask:
        """bool[H, W]: the mask of one neuron, in any channel of the input."""
        mask = self.neuron_mask(neuron)
        return mask if self.input_channel_axis is None else np.asarray(mask.any(axis=self.input_channel_axis))

    def box(self, position: Position) -> npt.NDArray[np.int64]:
        """int64[ndim, 2]: the tight half-open interval per pixel axis; `[0, 0)` where nothing is seen.

        Raises PositionError.
        """
        return counting.box(self.positional, self._checked(position))

    def why(self, position: Position | None = None, pixel: Position | None = None) -> Why:
        """Which layers make the field as large as it is: those that read whole axes, or else the widest steps.

        With a pixel, the path of layers by which it gets to `position` (by default one that sees it), or the layer at
        which it is lost. Raises PositionError, and UsageError for a field that does not know its network.
        """
        if self._explain is None:
            how = "fastrf.analyze(model, ...)[name].why() does"
            raise UsageError(f"{self.name!r} does not know its network, as loaded and projective fields do not; {how}")
        place = None if position is None else self._checked(position)
        return self._explain(place, None if pixel is None else checked_index(pixel, self.pixel_shape, "pixel"))

    # Exact, for every position ---------------------------------------------------------------------------

    def boxes(self) -> npt.NDArray[np.int64]:
        """int64[*out, ndim, 2]: the tight half-open intervals of every position; `[0, 0)` where nothing is seen."""
        return counting.boxes(self.positional)

    def intervals(self, axis: int) -> npt.NDArray[np.int64]:
        """int64[out_axis, 2]: per index of a position axis, the hull on the same pixel axis over all positions there.

        Costs the axis length, however large the map. Raises PositionError for an axis that is not both a position
        and a pixel axis.
        """
        n = min(len(self.position_shape), len(self.pixel_shape))
        if not isinstance(axis, int) or not -n <= axis < n:
            raise PositionError(f"axis {axis!r} is not one of the {n} axes that {self.name!r} shares with the input")
        return counting.intervals(self.positional, axis % n)

    def areas(self) -> npt.NDArray[np.int64]:
        """int64[*out]: how many pixels each position sees, without making a mask. Raises LimitError beyond 62 terms."""
        return counting.areas(self.positional)

    def densities(self) -> npt.NDArray[np.float64]:
        """float64[*out]: area divided by the area of the box; 0 where nothing is seen."""
        boxes = self.boxes()
        box_areas = np.prod(boxes[..., 1] - boxes[..., 0], axis=-1)
        return cast("npt.NDArray[np.float64]", self.areas() / np.maximum(box_areas, 1))

    def coverage(self) -> npt.NDArray[np.int64]:
        """int64[H, W]: how many positions see each pixel; 0 is a blind spot."""
        return counting.areas(self.positional.transpose())

    def masks(
        self,
        positions: npt.ArrayLike | None = None,
        *,
        packed: bool = False,
        out: npt.NDArray[np.bool_] | npt.NDArray[np.uint8] | None = None,
    ) -> npt.NDArray[np.bool_] | npt.NDArray[np.uint8]:
        """Masks of all positions in row-major order, or of `positions` (int[n, axes]).

        bool[n, H, W], or with `packed` uint8[n, H, ceil(W / 8)] in `numpy.unpackbits` order, written into `out`
        if given. Raises PositionError, ShapeError for an `out` that does not fit, and LimitError where the result
        would not fit into memory.
        """
        with hinted(self.position_shape, self._last_map):
            flat = flat_indices(positions, self.position_shape)
        return masks.dense(self.positional, flat, packed=packed, out=out)

    def neuron_masks(
        self,
        neurons: npt.ArrayLike | None = None,
        *,
        packed: bool = False,
        out: npt.NDArray[np.bool_] | npt.NDArray[np.uint8] | None = None,
    ) -> npt.NDArray[np.bool_] | npt.NDArray[np.uint8]:
        """Masks of all neurons in row-major order, or of `neurons` (int[n, axes of shape]), with input channels.

        bool[n, C, H, W] (n times the shape of the input), otherwise as `masks`.
        """
        return masks.dense(self.dependency, flat_indices(neurons, self.shape), packed=packed, out=out)

    def to_zarr(
        self,
        path: str | os.PathLike[str],
        *,
        packed: bool = False,
        chunks: int | None = None,
        resume: bool = False,
        progress: Progress | None = None,
        threads: int | None = None,
    ) -> Any:
        """Write the masks of all positions to a new Zarr array, compressed; needs the extra `zarr`.

        The `zarr.Array` is what `masks` gives, bool[n, H, W] or with `packed` uint8[n, H, ceil(W / 8)], in chunks of
        `chunks` masks (default: about 16 MB), written by `threads` (default: one per processor); memory stays below
        two chunks for each. `progress(done, total)` is called as chunks are done. Its attributes hold `name`,
        `positions`, `pixels`, `packed`, and `complete`, which is false until the last chunk is there; a chunk is
        there whole or not at all, and reads as zeros where it is not. After an interruption, `resume=True` writes
        only what is missing.

        Before anything is written, raises FormatError for a path that exists, cannot be written, or where the array
        to resume is of another field, ShapeError for wrong `chunks`, LimitError for chunks beyond memory, and
        MissingExtraError.
        """
        stream = streams.Stream.of(self.positional, packed, chunks)
        return streams.to_zarr(stream, path, name=self.name, resume=resume, progress=progress, threads=threads)

    def to_dask(self, *, packed: bool = False, chunks: int | None = None) -> Any:
        """The masks of all positions as a lazy `dask.array`, as `masks` gives them; needs the extra `zarr`.

        bool[n, H, W] or with `packed` uint8[n, H, ceil(W / 8)], in chunks of `chunks` masks (default: about 16 MB),
        each made when it is asked for, by threads or on a `dask.distributed` cluster. Raises ShapeError for wrong
        `chunks`, LimitError where a chunk would not fit into memory or there were too many, and MissingExtraError.
        """
        return streams.to_dask(streams.Stream.of(self.positional, packed, chunks))

    def to_csr(self, *, channels: bool = False) -> csr_array:
        """`scipy.sparse.csr_array` of bool: rows are positions (neurons with `channels`), columns the flat input."""
        return masks.to_csr(self.dependency if channels else self.positional)

    def projective(self) -> ReceptiveField:
        """The transposed field: for each input position, which output positions see it.

        Its exact members are those of any field; its nominal ones are unbounded, since a border can cut what sees a
        pixel in ways that no one size describes.
        """
        return ReceptiveField(
            self.dependency.transpose(),
            channel_axis=self.input_channel_axis,
            input_channel_axis=self.channel_axis,
            approximate_at=self.approximate_at,
            nominal=lambda: Nominal.unbounded(self.pixel_shape, len(self.position_shape)),
            periods=lambda: (1,) * len(self.position_shape),
            name=f"{self.name} (projective)",
            assumes=self.assumes,
        )

    # Nominal: on an unbounded input ----------------------------------------------------------------------

    @cached_property
    def nominal(self) -> Nominal:
        """The unbounded field of the positions, per pixel axis (see `fastrf.engine.nominal`)."""
        return self._make_nominal()

    @cached_property
    def periods(self) -> tuple[int, ...]:
        """Per pixel axis, the smallest move of the input that moves every value on the way here by whole steps."""
        return self._make_periods()

    @cached_property
    def _margins(self) -> tuple[tuple[int, int], ...]:
        return self._make_margins()

    def halo(self, wrap: Sequence[int] | int = ()) -> Halo:
        """The context that tiles need for tiled inference to equal that of the whole image (`fastrf.queries.halo`).

        One entry per axis that positions and pixels share. `inf` where a position reads the whole axis, or where
        what it reads does not move along with it: behind global pooling, attention, circular padding or a flip. Pixel
        axes in `wrap` are circular: the image goes on at its other end, so that circular padding is no end of it.
        Operators with a fixed output size, such as adaptive pooling, do another thing on a tile; no halo helps.
        Raises PositionError for a node without positions, such as a classifier's output.
        """
        if self.pixel_shape and not self.position_shape:
            with hinted(self.position_shape, self._last_map):
                raise PositionError(f"{self.name!r} has no positions to tile, since its shape is {self.shape}")
        halo = halo_of(self.nominal, self.periods)
        before, after = list(halo.before), list(halo.after)
        for axis, (low, high) in enumerate(self._margins):
            before[axis], after[axis] = max(before[axis], low), max(after[axis], high)
            if FAR in (low, high):
                before[axis] = after[axis] = math.inf
        around = {axis % len(self.pixel_shape) for axis in ([wrap] if isinstance(wrap, int) else wrap)}
        for axis in range(len(before)):
            if axis not in around and not follows(self.nominal, axis, self.intervals(axis)):
                before[axis] = after[axis] = math.inf
        found = replace(halo, before=tuple(before), after=tuple(after))
        return found if found.is_bounded else replace(found, unbounded_at=self._unbounded_at())

    def _kept(self, axis: int) -> Kept | None:
        return self._make_kept(axis)

    # Files -----------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the compact form to an `.npz` file (no pickle); `fastrf.load_field` reads it.

        The file appears whole or not at all. Raises FormatError where it cannot be written.
        """
        storage.save_parts(self._parts, path)


def load_field(path: str | os.PathLike[str]) -> ReceptiveField:
    """Read a field that `ReceptiveField.save` wrote.

    Raises FormatError for anything else, and LimitError for one that unpacks to more than `fastrf.limits.arrays`.
    """
    return _unpickled(*storage.load_parts(path))


def _unpickled(*given: Any) -> ReceptiveField:
    """A field with its nominal parameters worked out, as files and pickles keep it."""
    parts = storage.Parts(*given)
    made = {name: lambda name=name: getattr(parts, name) for name in ("nominal", "periods", "margins")}
    return ReceptiveField(**parts._asdict() | made)
