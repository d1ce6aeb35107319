"""Operators whose reads depend on data: everything that may be read."""

from tests.reference.core import ALL, Dep, Reads, assemble, axis_of, operator, rank, replaced, require, shape_of
from tests.reference.reductions import whole_axes
from tests.reference.windows import Window


@operator("deform_conv")
def deform_conv(attrs: dict, x: Dep, offsets: Dep, *masks: Dep) -> Dep:
    """Reads everything of x, and the offsets and mask at its position."""
    out = Window(attrs, shape_of(x)[1:]).out()
    require(all(shape_of(y)[1:] == out for y in (offsets, *masks)), "deform_conv: offsets' spatial shape")

    def reads(o: tuple) -> Reads:
        return [(x, ()), *((y, (ALL, *o[1:])) for y in (offsets, *masks))]

    return assemble((attrs["out_channels"], *out), x.shape[-1], reads)


@operator("grid_sample")
def grid_sample(attrs: dict, x: Dep, grid: Dep) -> Dep:
    """Reads the whole channel and the grid point."""
    require(rank(x) == 3 and rank(grid) == 3 and grid.shape[2] == 2, "grid_sample: (C, H, W) and (Ho, Wo, 2)")
    return assemble((x.shape[0], *grid.shape[:2]), x.shape[-1], lambda o: [(x, (o[0],)), (grid, o[1:])])


@operator("dynamic_gather")
def dynamic_gather(attrs: dict, x: Dep, index: Dep) -> Dep:
    """Reads the whole axis and the index element."""
    axis = axis_of(attrs["axis"], rank(x))
    require(rank(index) == 1, "dynamic_gather: a 1-D index")
    shape = replaced(shape_of(x), axis, index.shape[0])
    return assemble(shape, x.shape[-1], lambda o: [(x, replaced(o, axis, ALL)), (index, (o[axis],))])


@operator("topk")
def topk(attrs: dict, x: Dep) -> Dep:
    """Reads the whole axis."""
    axis = axis_of(attrs.get("axis", -1), rank(x))
    require(0 <= attrs["k"] <= x.shape[axis], "topk: k")
    shape = replaced(shape_of(x), axis, attrs["k"])
    return assemble(shape, x.shape[-1], lambda o: [(x, replaced(o, axis, ALL))])


@operator("sort")
def sort(attrs: dict, x: Dep) -> Dep:
    """Reads the whole axis."""
    return whole_axes(x, [axis_of(attrs["axis"], rank(x))])


@operator("loosened")
def loosened(attrs: dict, x: Dep) -> Dep:
    """The same values."""
    return x


@operator("opaque")
def opaque(attrs: dict, *parts: Dep) -> Dep:
    """Reads everything."""
    return assemble(attrs["shape"], parts[0].shape[-1], lambda _: [(part, ()) for part in parts])
