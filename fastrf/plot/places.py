"""What single positions see: one mask, several positions of a map, several networks, slices of a volume."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastrf.engine import axis_map as maps
from fastrf.engine.dependency import Dependency
from fastrf.errors import UsageError
from fastrf.field import Position, ReceptiveField
from fastrf.plot import canvas
from fastrf.plot.images import Picture, read_picture
from fastrf.queries import counting
from fastrf.queries.centers import centers
from fastrf.queries.positions import checked_index
from fastrf.queries.rasters import Cells, at, n_seen, raster

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["compare", "mask", "masks", "slices"]

#: Inputs of at most so many pixels a side have lines between them.
LINES = 40
#: In inputs of more pixels a side than these, fields of less than such a part of it are shown enlarged, too.
LARGE, TINY = 256, 25


class _Seen(NamedTuple):
    """What one position (or neuron) sees; `center` is NaN where it has none."""

    field: ReceptiveField
    what: str
    pixels: Dependency
    center: npt.NDArray[np.float64]

    @property
    def box(self) -> npt.NDArray[np.int64]:
        return counting.box(self.pixels, ())

    def told(self) -> str:
        """In numbers."""
        area, whole = n_seen(self.pixels), math.prod(self.field.pixel_shape)
        unit = canvas.unit_of(self.field)
        if not area:
            return f"sees none of {whole:,} {unit}"
        sides = [int(high - low) for low, high in self.box]
        return f"sees {area:,} of {whole:,} {unit}" + (f", box {canvas.joined(sides)}" if sides else "")


def mask(
    field: ReceptiveField,
    position: Position | None = None,
    image: Any = None,
    *,
    neuron: Position | None = None,
    ax: canvas.Where = None,
) -> Axes:
    """The pixels that one position sees, with their box and the centre where it looks, over an image or a grid.

    `position` is that in the middle of the map where left out; `neuron` asks for one neuron instead. `image` is a path,
    an array or tensor ([H, W] or with 1, 3 or 4 channels first or last) or a picture of Pillow; it is stretched to the
    input, and what is not seen is veiled. Of a large input, a cell of the picture is marked where any pixel of it is
    seen. For inputs of one or two pixel axes. Returns the Axes.

    Raises PositionError for a position outside the map, UsageError for an input of more axes, FormatError or ShapeError
    for an image that cannot be read, and MissingExtraError.
    """
    field = canvas.checked(field)
    n = len(field.pixel_shape)
    if n > 2:
        raise UsageError(f"{field.name!r} is measured against {n} pixel axes; draw fastrf.plot.slices(field, position)")
    seen, picture = _seen(field, position, neuron), _picture(field, image)
    title = f"{seen.what}\n{seen.told()}"
    axes = canvas.one(ax, (6.0, 1.9) if n < 2 else (6.0, 4.8))
    _draw(axes, seen, picture)
    _enlarge(axes, seen)
    axes.set_title(title, fontsize="medium")
    return axes


def masks(
    field: ReceptiveField,
    positions: Sequence[Position] | None = None,
    image: Any = None,
    *,
    ax: canvas.Where = None,
) -> list[Axes]:
    """The masks of several positions of a map, one beside the other.

    Left out, `positions` are the first, the middle and the last index of each axis, all with all. `ax` is a Figure, or
    a sequence of as many Axes. Returns them. Errors are those of `mask`.
    """
    field = canvas.checked(field)
    columns = None
    if positions is None:
        ends = [sorted({0, n // 2, n - 1}) for n in field.position_shape]
        positions = [*itertools.product(*ends)]
        columns = len(ends[-1]) if ends else 1
    seen, picture = [_seen(field, position, None) for position in positions], _picture(field, image)
    axes = _row(ax, [one.field for one in seen], columns or min(len(seen), 4))
    unit = canvas.unit_of(field)
    for one, place in zip(axes, seen, strict=True):
        _draw(one, place, picture)
        where = place.what.removeprefix(f"{canvas.one_of(field)} at ")
        one.set_title(f"{where}: {n_seen(place.pixels):,} {unit}", fontsize="medium")
    canvas.tidy(ax, axes)
    return axes


def compare(
    fields: Mapping[str, ReceptiveField] | Sequence[ReceptiveField],
    position: Position | None = None,
    image: Any = None,
    *,
    ax: canvas.Where = None,
) -> list[Axes]:
    """The masks of several fields, such as of other architectures, one beside the other.

    `fields` by the names to be shown, or a sequence. `position` is that in the middle of each map where left out. `ax`
    is a Figure, or a sequence of as many Axes. Returns them. Errors are those of `mask`.
    """
    named = fields if isinstance(fields, Mapping) else {f"{k}": field for k, field in enumerate(fields)}
    seen = [_seen(canvas.checked(field), position, None) for field in named.values()]
    pictures = [_picture(one.field, image) for one in seen]
    axes = _row(ax, [one.field for one in seen], min(len(seen), 4))
    for one, place, picture, name in zip(axes, seen, pictures, named, strict=True):
        _draw(one, place, picture)
        told = place.told().replace(", box", "\nbox").replace("sees ", "")
        one.set_title(f"{name if isinstance(fields, Mapping) else place.what}\n{told}", fontsize="medium")
    if len({one.field.pixel_shape for one in seen}) == 1:
        canvas.tidy(ax, axes)
    return axes


def slices(field: ReceptiveField, position: Position | None = None, *, ax: canvas.Where = None) -> list[Axes]:
    """What one position sees of a volume, in three slices through its centre: across each axis in turn.

    `position` is that in the middle of the map where left out. `ax` is a Figure, or a sequence of three Axes. Returns
    them. Raises PositionError, and UsageError for an input of other than three pixel axes.
    """
    field = canvas.checked(field)
    n = len(field.pixel_shape)
    if n != 3:
        raise UsageError(f"{field.name!r} is measured against {n} pixel axes, and slices are of three; draw mask")
    seen = _seen(field, position, None)
    axes = canvas.several(ax, 3, (3.2, 4.2))
    area, _, box = seen.told().partition(", ")
    for across, (one, told) in enumerate(zip(axes, (seen.what, area, box), strict=True)):
        shown, through = [axis for axis in range(3) if axis != across], _through(seen, across)
        _draw_plane(one, seen, shown, {across: through})
        one.set_title(f"{told}\n{'zyx'[across]} = {through}", fontsize="medium")
        one.set_xlabel(f"{'zyx'[shown[1]]} (voxels)")
        one.set_ylabel(f"{'zyx'[shown[0]]} (voxels)")
    return axes


def _through(seen: _Seen, axis: int) -> int:
    """Where to cut an axis: the index nearest to the centre (or the middle of the box) that is seen in any place."""
    center = seen.center[axis] if math.isfinite(seen.center[axis]) else seen.box[axis].sum() / 2
    read = np.flatnonzero(raster(seen.pixels, {axis: Cells(seen.field.pixel_shape[axis], 1)}))
    return int(read[np.abs(read - center).argmin()]) if read.size else seen.field.pixel_shape[axis] // 2


def _seen(field: ReceptiveField, position: Position | None, neuron: Position | None) -> _Seen:
    if neuron is not None:
        if position is not None:
            raise UsageError("position and neuron exclude each other; give one")
        where, kind = checked_index(neuron, field.shape, "neuron"), "neuron "
        channel = field.input_channel_axis
        whole = field.dependency if channel is None else field.dependency.any_input(channel)
        place = tuple(i for axis, i in enumerate(where) if axis != field.channel_axis)
    else:
        middle = tuple(n // 2 for n in field.position_shape)
        place = where = field._checked(middle if position is None else position)
        whole, kind = field.positional, ""
    told = (
        f"{canvas.one_of(field)} at {kind}{canvas.spelt(where)}"
        if where
        else f"{canvas.one_of(field)}, which has no positions"
    )
    return _Seen(field, told, at(whole, where), _center(field, place))


def _center(field: ReceptiveField, place: Sequence[int]) -> npt.NDArray[np.float64]:
    """The centre of one position's nominal field."""
    nominal = field.nominal
    for axis, (n, index) in enumerate(zip(field.position_shape, place, strict=True)):
        nominal = nominal.map_axis(axis, maps.strided_slice(n, index, 1, 1))
    return centers(nominal).reshape(len(field.pixel_shape))


def _picture(field: ReceptiveField, image: Any) -> Picture | None:
    if image is None:
        return None
    if len(field.pixel_shape) != 2:
        raise UsageError(f"an image lies under two pixel axes, and {field.name!r} is measured against another number")
    return read_picture(image, field.pixel_shape)


def _row(ax: canvas.Where, fields: Sequence[ReceptiveField], columns: int) -> list[Axes]:
    """Axes for masks beside each other; none where there is nothing to draw, or what mask does not draw."""
    if not fields:
        raise UsageError("nothing to draw; give a position or a field")
    for field in fields:
        if len(field.pixel_shape) > 2:
            raise UsageError(f"{field.name!r} is measured against {len(field.pixel_shape)} pixel axes; draw slices")
    flat = all(len(field.pixel_shape) < 2 for field in fields)
    return canvas.several(ax, len(fields), (3.0, 1.4 if flat else 3.0), columns)


def _draw(ax: Axes, seen: _Seen, picture: Picture | None) -> None:
    shape = seen.field.pixel_shape
    if picture is not None and len(shape) == 2:
        ax.imshow(picture.pixels, extent=canvas.extent([Cells(n, 1) for n in shape]))
    _draw_plane(ax, seen, range(len(shape)), {}, veil=picture is not None)
    told = picture.stretched(*shape) if picture is not None else ""
    if told:
        ax.set_xlabel(f"{ax.get_xlabel()}\nan image of {told}")


def _draw_plane(ax: Axes, seen: _Seen, shown: Sequence[int], fixed: Mapping[int, int], *, veil: bool = False) -> None:
    """The cells of some axes that are seen, the box around them and the centre."""
    shape = [seen.field.pixel_shape[axis] for axis in shown]
    found = _cells(ax, seen, shown, canvas.cells_of(shape), fixed, veil=veil)
    canvas.frame(ax, shape or (1,))
    if not veil and max(shape, default=0) <= LINES:
        ax.set_xticks(np.arange(0.5, shape[-1] - 1), minor=True)
        ax.set_yticks(np.arange(0.5, shape[0] - 1) if len(shape) > 1 else [], minor=True)
        ax.grid(which="minor", color="white", linewidth=0.6)
        ax.tick_params(which="minor", length=0)
    if not shape or not found.any():
        return
    canvas.outline(ax, seen.box[list(shown)], "vermillion")
    y, x = [0.0, *seen.center[list(shown)]][-2:]
    if math.isfinite(y) and math.isfinite(x):
        ax.plot(x, y, "o", ms=6, mfc=canvas.COLORS["yellow"], mec="black", mew=0.8, label="centre")


def _cells(
    ax: Axes, seen: _Seen, shown: Sequence[int], cells: Sequence[Cells], fixed: Mapping[int, int], *, veil: bool
) -> npt.NDArray[np.bool_]:
    """What is seen as an image: blue on grey, or all that is not behind a veil."""
    found = np.atleast_2d(raster(seen.pixels, dict(zip(shown, cells, strict=True)), fixed))
    colours = canvas.colours("#FFFFFFB8", "#FFFFFF00") if veil else canvas.colours("grey", "blue")
    canvas.image(ax, found, cells or [Cells(1, 1)], colours)
    return found


def _enlarge(ax: Axes, seen: _Seen) -> None:
    """A field that is a dot in its input once more, large, in the corner that is farthest from it."""
    shape, box = seen.field.pixel_shape, seen.box
    sides = box[:, 1] - box[:, 0]
    if len(shape) != 2 or not sides.all() or max(shape) <= LARGE or (sides * TINY > min(shape)).any():
        return
    window = []
    for (low, high), n in zip(box.tolist(), shape, strict=True):
        first = max(low - (high - low) // 4 - 1, 0)
        window.append(Cells(min(high + (high - low) // 4 + 1, n) - first, 1, first))
    down, right = (box.sum(axis=1) < shape).tolist()
    inset = ax.inset_axes((0.55 if right else 0.05, 0.05 if down else 0.55, 0.4, 0.4))
    _cells(inset, seen, (0, 1), window, {}, veil=False)
    canvas.outline(inset, box, "vermillion")
    inset.set_xticks([])
    inset.set_yticks([])
    ax.indicate_inset_zoom(inset, edgecolor=canvas.COLORS["quiet"])
