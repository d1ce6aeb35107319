"""Dense masks and sparse matrices, written straight from the runs.

A plane of a mask is filled row by row from small tables, so the cost is that of writing the memory. Slabs of
planes are written by threads; the kernels release the GIL and write disjoint planes.
"""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from fastrf.budget import require_memory, thread_pool
from fastrf.engine import kernels
from fastrf.engine.crossed import product_of_rows
from fastrf.engine.dependency import Dependency
from fastrf.engine.relation import Relation
from fastrf.engine.terms import Group, Term, expand
from fastrf.errors import ShapeError
from fastrf.queries.counting import factor_index, factor_indices, group_rows, joined
from fastrf.queries.mask_kernels import fill_planes
from fastrf.system.locks import cached_property

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Writer", "dense", "dense_row", "plane_shape", "to_csr"]

IntArray = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Dense = npt.NDArray[np.bool_] | Bytes

#: Planes are written in slabs of at most this many bytes, as many for each thread; much smaller ones lose time to
#: threads that wait for the GIL.
SLAB_BYTES = 1 << 24
#: Results begin with a line of the cache.
_LINE = 64
#: Results of at least so many bytes leave the caches anyway: they are written around them, plane by plane, where what
#: a plane is made of fits into a cache.
AROUND, BLOCK_BYTES = 1 << 24, 1 << 20

#: A term whose axes are entangled is spread over the whole input; beyond this many terms, so are all.
MAX_LAYERED_TERMS = 62


def dense_row(dependency: Dependency, index: Sequence[int]) -> npt.NDArray[np.bool_]:
    """bool[*input_shape]: what one output index depends on."""
    at = factor_index(dependency, index)
    require_memory(
        3 * math.prod(dependency.input_shape), "one mask", "ask for box(position), or analyse a smaller input_shape"
    )
    mask = np.zeros(dependency.input_shape, bool)
    for term in dependency.terms:
        product = np.ones((1,) * mask.ndim, bool)
        for group in term:
            row = int(group_rows(group, dependency.sizes, at).ravel()[0])
            shape = [n if axis in group.cols else 1 for axis, n in enumerate(dependency.input_shape)]
            product = product & group.relation.row_mask(row).reshape(shape)
        mask |= product
    return mask


def dense(
    dependency: Dependency, rows: IntArray | None, *, packed: bool, out: Dense | None, threads: int | None = None
) -> Dense:
    """Masks of flat output indices (None: all), bool[n, *input_shape] or bit-packed along the last axis.

    `threads` (default: one per processor) write slabs of the result.
    """
    n = math.prod(dependency.shape) if rows is None else rows.size
    target = _target((n, *plane_shape(dependency, packed)), np.dtype(np.uint8) if packed else np.dtype(bool), out)
    writer = Writer(dependency, packed)
    planes = target.view(np.uint8).reshape(n, writer.n_outer, writer.width)
    writer.around = planes.size >= AROUND
    workers = threads or os.cpu_count() or 1
    rounds = -(-planes.size // (SLAB_BYTES * workers))
    per_slab = n if planes.size <= SLAB_BYTES else -(-n // (rounds * workers))
    slabs = deque(slice(begin, min(begin + per_slab, n)) for begin in range(0, n, per_slab or 1))

    def write() -> None:
        while True:
            try:
                slab = slabs.popleft()
            except IndexError:
                return
            flat = np.arange(slab.start, slab.stop, dtype=np.int64) if rows is None else rows[slab]
            writer.write(flat, planes[slab])

    others = min(len(slabs), workers) - 1
    if others < 1:
        write()
        return target
    with thread_pool(others) as pool:
        running = [pool.submit(write) for _ in range(others)]
        write()
        for one in running:
            one.result()
    return target


def plane_shape(dependency: Dependency, packed: bool) -> tuple[int, ...]:
    """The shape of one mask; bit-packed, its last axis is an eighth as long."""
    shape = dependency.input_shape
    if not packed:
        return shape
    return (*shape[:-1], -(-shape[-1] // 8)) if shape else (1,)


def _target(shape: tuple[int, ...], dtype: np.dtype[np.bool_] | np.dtype[np.uint8], out: Dense | None) -> Dense:
    """The array to write: `out` if it fits, otherwise a new one."""
    if out is None:
        remedy = "ask for fewer positions, packed=True, or an out= on disk (numpy.memmap)"
        require_memory(math.prod(shape), f"masks of shape {shape}", remedy)
        room = np.empty(math.prod(shape) + _LINE, np.uint8)
        first = -room.ctypes.data % _LINE
        return cast("Dense", room[first : room.size - _LINE + first].view(dtype).reshape(shape))
    if not isinstance(out, np.ndarray) or out.shape != shape or out.dtype != dtype:
        found = f"{out.dtype}{list(out.shape)}" if isinstance(out, np.ndarray) else type(out).__name__
        raise ShapeError(f"out is {found} but must be {dtype}{list(shape)}")
    if not out.flags.writeable or not out.flags.c_contiguous:
        raise ShapeError("out must be writeable and C-contiguous")
    return out


class Writer:
    """A dependency split for writing: an outer relation (which plane rows) and a table of inner rows per term.

    The inner part is the last input axis. Where some term entangles it with others, the whole input is the inner
    part and there is one plane row. Where every term reads the whole first input axis (the channels, mostly), only
    its first index is worked out and the others are copies.
    """

    def __init__(self, dependency: Dependency, packed: bool) -> None:
        self.dependency = dependency
        self.packed = packed
        self.around = False
        last = len(dependency.input_shape) - 1
        inner = [_holding(term, last) for term in dependency.terms]
        self.layered = last >= 0 and len(inner) <= MAX_LAYERED_TERMS and all(group.cols == (last,) for group in inner)
        row_length = dependency.input_shape[last] if last >= 0 else 1
        self.bytes_per_row = -(-row_length // 8) if packed else row_length
        outer_size = math.prod(dependency.input_shape[:-1])
        self.copies = 1
        self.n_outer = outer_size if self.layered else 1
        self.width = self.bytes_per_row * (1 if self.layered else outer_size)
        if self.layered:
            rest = [
                [group for group in term if group is not held]
                for term, held in zip(dependency.terms, inner, strict=True)
            ]
            if last > 0 and rest and all(any(_is_whole(group) for group in groups) for groups in rest):
                self.copies = dependency.input_shape[0]
                rest = [[group for group in groups if not _is_whole(group)] for groups in rest]
            self.outer = [joined(groups, dependency) for groups in rest]
            self.inner = inner
            self.tables = [self._packed(group.relation.to_mask()) for group in inner]

    def write(self, flat: IntArray, planes: Bytes) -> None:
        """Fill `planes`, uint8[n, n_outer, width], for flat output indices."""
        if not self.dependency.terms or planes.size == 0:
            planes[...] = 0
        elif self.layered:
            self._write_layers(flat, planes)
        else:
            whole = np.zeros((flat.size, math.prod(self.dependency.input_shape)), np.uint8)
            at = factor_indices(self.dependency, flat)
            for term in self.dependency.terms:
                kernels.fill_rows(self._runs(term, at, flat.size), np.arange(flat.size), whole)
            shape = (flat.size, *self.dependency.input_shape) if self.dependency.input_shape else (flat.size, 1)
            planes[...] = self._packed(whole.reshape(shape).view(bool)).reshape(planes.shape)

    def _runs(self, term: Term, at: Sequence[IntArray], n: int) -> kernels.Runs:
        """What a term holds at `n` output indices, one row for each."""
        ordered = sorted(term, key=lambda group: group.cols)
        cols = [axis for group in ordered for axis in group.cols]
        if not ordered or cols != sorted(cols):
            ordered = [joined(term, self.dependency)]
        index = [np.broadcast_to(group_rows(group, self.dependency.sizes, at), (n,)) for group in ordered]
        return product_of_rows([group.relation for group in ordered], index)

    def _write_layers(self, flat: IntArray, planes: Bytes) -> None:
        around = self.around and self.n_outer // self.copies * self.width <= BLOCK_BYTES
        at, sizes = factor_indices(self.dependency, flat), self.dependency.sizes
        outer_rows, inner_rows, first, lowest = [], [], 0, 0
        for outer, inner, table in zip(self.outer, self.inner, self.tables, strict=True):
            outer_rows.append(np.broadcast_to(group_rows(outer, sizes, at) + first, flat.shape))
            inner_rows.append(np.broadcast_to(group_rows(inner, sizes, at) + lowest, flat.shape))
            first += outer.relation.n_rows
            lowest += len(table)
        fill_planes(
            self._stacked,
            np.stack(outer_rows, axis=1),
            self._tables,
            np.stack(inner_rows, axis=1),
            np.zeros(self.n_outer // self.copies + 1, np.int64),
            np.empty((self.n_outer // self.copies if around else 0, self.width), np.uint8),
            -planes.ctypes.data % 16,
            planes,
        )

    @cached_property
    def _tables(self) -> Bytes:
        return self.tables[0] if len(self.tables) == 1 else np.concatenate(self.tables)

    @cached_property
    def _stacked(self) -> kernels.Runs:
        relations = [outer.relation for outer in self.outer]
        if len(relations) == 1:
            return relations[0].runs
        offsets = np.cumsum([0, *(r.start.size for r in relations)])
        pointers = [r.indptr[:-1] + offset for r, offset in zip(relations, offsets, strict=False)]
        return (
            np.concatenate([*pointers, offsets[-1:]]),
            np.concatenate([r.start for r in relations]),
            np.concatenate([r.stop for r in relations]),
        )

    def _packed(self, mask: npt.NDArray[np.bool_]) -> Bytes:
        return np.packbits(mask, axis=-1) if self.packed else mask.view(np.uint8)


def _holding(term: Term, axis: int) -> Group:
    """The group that holds an input axis (any group where the input has no axes)."""
    return next((group for group in term if axis in group.cols), Group((), (), Relation.full(1, 1)))


def _is_whole(group: Group) -> bool:
    """Whether this group says that the whole first input axis is read."""
    return group.cols == (0,) and not group.rows and group.relation.is_full


def to_csr(dependency: Dependency) -> csr_array:
    """`csr_array` of bool, rows and columns flat."""
    from scipy.sparse import csr_array

    sizes, n_rows = dependency.sizes, math.prod(dependency.shape)
    n_cols = math.prod(dependency.input_shape)
    whole: Relation | None = None
    for term in dependency.terms:
        relation = expand(joined(term, dependency), range(len(sizes)), sizes).relation
        whole = relation if whole is None else whole.union(relation)
    return csr_array((n_rows, n_cols), dtype=bool) if whole is None else whole.to_scipy()
