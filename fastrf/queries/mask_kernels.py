"""The jitted functions of counts and dense masks; see `fastrf.engine.kernels` for what kernels do, and for `Runs`."""

from __future__ import annotations

from types import FunctionType
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from fastrf.engine.compiling import Kernel, jit, jit_of
from fastrf.engine.kernels import Runs

__all__ = ["cut_rows", "fill_planes"]

IntArray = npt.NDArray[np.int64]
BytesArray = npt.NDArray[np.uint8]


def _copied(source: BytesArray, target: BytesArray, i: int, k: int) -> None:
    target[k : k + 16] = source[i : i + 16]


def _streamed() -> Any:
    from fastrf.queries.streaming_stores import stream

    return stream or _copied


send: Any = Kernel(cast("FunctionType", _copied), made=_streamed)


@jit_of(lambda _, __, cursor, out: (out[0].size + out[1].size) * cursor.size)
def cut_rows(stacked: Runs, offsets: IntArray, cursor: IntArray, out: Runs) -> int:
    """Cut every row where one of several relations begins or ends: pieces `start` and the relations (bits) on each.

    The relations' arrays lie one after another in `stacked`; `offsets` says where each one's runs begin. `out` is
    `(indptr, start, bits)`; a row's pieces cover it from 0 on, the last one, on no relation, to its end. Returns how
    many there are.
    """
    ptr, start, stop = stacked
    out_ptr, out_start, out_bits = out
    n_rows = out_ptr.size - 1
    n = out_ptr[0] = 0
    for row in range(n_rows):
        for t in range(cursor.size):
            cursor[t] = 2 * (offsets[t] + ptr[t * (n_rows + 1) + row])
        bits = 0
        nearest = 0
        while nearest >= 0:
            if nearest == 0 and n > out_ptr[row]:
                n -= 1  # a run begins with the row
            out_start[n] = nearest
            out_bits[n] = bits
            n += 1
            nearest = -1
            for t in range(cursor.size):
                k = cursor[t] // 2
                if k < offsets[t] + ptr[t * (n_rows + 1) + row + 1]:
                    edge = start[k] if cursor[t] % 2 == 0 else stop[k]
                    if nearest < 0 or edge < nearest:
                        nearest = edge
            for t in range(cursor.size):
                k = cursor[t] // 2
                inside = k < offsets[t] + ptr[t * (n_rows + 1) + row + 1]
                if inside and nearest == (start[k] if cursor[t] % 2 == 0 else stop[k]):
                    bits ^= 1 << t
                    cursor[t] += 1
        out_ptr[row + 1] = n
    return n


@jit
def clear_rows(out: BytesArray) -> None:
    """Zero `out` (uint8[rows, bytes])."""
    flat = out.reshape(-1)
    for b in range(flat.size):
        flat[b] = 0


@jit
def repeat_row(row: BytesArray, out: BytesArray) -> None:
    """Write `row` (uint8[bytes]) into every row of `out`; where it is short, by copying what is there already."""
    width = row.size
    ready = 1 if width < 64 else out.shape[0]
    for y in range(min(ready, out.shape[0])):
        for b in range(out.shape[1]):
            out[y, b] = row[b]
    if ready == out.shape[0]:
        return
    flat = out.reshape(-1)
    while ready < out.shape[0]:
        count = min(ready, out.shape[0] - ready, max(1, 4096 // width))
        target = flat[ready * width : (ready + count) * width]
        for b in range(target.size):
            target[b] = flat[b]
        ready += count


@jit
def unite_rows(inner: BytesArray, rows: IntArray, held: int, first: int, out: BytesArray) -> None:
    """Write the union of those `rows` of `inner` whose bit is in `held`, of which `first` is the lowest."""
    row = inner[rows[first]]
    for b in range(out.size):
        out[b] = row[b]
    for t in range(first + 1, rows.size):
        if (held >> t) & 1:
            other = inner[rows[t]]
            for b in range(out.size):
                out[b] |= other[b]


@jit
def toggle_rows(outer: Runs, rows: IntArray, toggles: IntArray) -> None:
    """Flip bit `t` where the runs of row `rows[t]` begin and end."""
    ptr, start, stop = outer
    for t in range(rows.size):
        for k in range(ptr[rows[t]], ptr[rows[t] + 1]):
            toggles[start[k]] ^= 1 << t
            toggles[stop[k]] ^= 1 << t


@jit
def copy_first(flat: BytesArray, size: int) -> None:
    """Repeat the first `size` bytes of `flat` to its end."""
    first = flat[:size]
    for begin in range(size, flat.size, size):
        copy = flat[begin : begin + size]
        for b in range(size):
            copy[b] = first[b]


@jit
def send_copies(block: BytesArray, lead: int, out: BytesArray) -> None:
    """Write copies of `block` into `out`, of which byte `lead` is the first that is aligned to 16 bytes."""
    for begin in range(0, out.size, block.size):
        head = min((lead - begin) % 16, block.size)
        tail = head + (block.size - head) // 16 * 16
        for b in range(head):
            out[begin + b] = block[b]
        for b in range(head, tail, 16):
            send(block, out, b, begin + b)
        for b in range(tail, block.size):
            out[begin + b] = block[b]


@jit
def fill_plane(inner: BytesArray, rows: IntArray, toggles: IntArray, plane: BytesArray) -> None:
    """Write a plane: between two toggles, the union of those `rows` of `inner` whose bit is set; zeros `toggles`."""
    n_y = toggles.size - 1
    held = 0
    y = 0
    while y < n_y:
        held ^= toggles[y]
        toggles[y] = 0
        end = y + 1
        while end < n_y and toggles[end] == 0:
            end += 1
        if held == 0:
            clear_rows(plane[y:end])
        else:
            t = 0
            while (held >> t) & 1 == 0:
                t += 1
            row = inner[rows[t]]
            if held >> t > 1:
                unite_rows(inner, rows, held, t, plane[y])
                row = plane[y]
                y += 1
            repeat_row(row, plane[y:end])
        y = end
    toggles[n_y] = 0


@jit_of(lambda *given: given[-1].size * given[3].shape[1])
def fill_planes(
    outer: Runs,
    outer_row: IntArray,
    inner: BytesArray,
    inner_row: IntArray,
    toggles: IntArray,
    block: BytesArray,
    lead: int,
    out: BytesArray,
) -> None:
    """Write planes `out[p, y, :]`: the union over terms of outer rows (which `y`) times inner rows (what bytes).

    `outer_row` and `inner_row` are int64[planes, terms]: rows of the stacked outer relation, and of the table
    `inner` (uint8[rows, bytes]). `toggles` (int64[y + 1]) starts and ends as zeros. A plane of several times `y` rows
    is filled with copies of the first. With a `block` (uint8[y, bytes]; empty for none) these are made there, and sent
    out around the caches; `lead` is the first byte of `out` that is aligned to 16.
    """
    n_y = toggles.size - 1
    for p in range(out.shape[0]):
        plane = block if block.size else out[p]
        toggle_rows(outer, outer_row[p], toggles)
        fill_plane(inner, inner_row[p], toggles, plane)
        whole = out[p].reshape(-1)
        if block.size:
            send_copies(block.reshape(-1), (lead - p * whole.size) % 16, whole)
        else:
            copy_first(whole, n_y * plane.shape[1])
