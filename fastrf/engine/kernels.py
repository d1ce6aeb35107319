"""The jitted functions of relations, in one file because Numba's on-disk cache watches one file at a time.

A kernel is its loop and nothing else: its callers check arguments and allocate. `Runs` is a relation in run form:
`(indptr, start, stop)`, int64; row `i` owns the half-open runs `start[k], stop[k]` for `indptr[i] <= k < indptr[i+1]`.
A kernel that emits runs writes them from index 0 into arrays that are large enough and returns how many it wrote.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastrf.engine.compiling import jit, jit_of

IntArray = npt.NDArray[np.int64]
BytesArray = npt.NDArray[np.uint8]
Runs = tuple[IntArray, IntArray, IntArray]


def points(runs: Runs) -> int:
    """How many columns all rows hold."""
    return int((runs[2] - runs[1]).sum())


@jit
def compose_chain(outer: Runs, inner: Runs, out: Runs) -> int:
    """Compose with an inner relation whose runs form one chain: each outer run becomes one run."""
    inner_ptr, inner_start, inner_stop = inner
    outer_ptr, outer_start, outer_stop = outer
    out_ptr, out_start, out_stop = out
    n = 0
    out_ptr[0] = 0
    for row in range(outer_ptr.size - 1):
        row_begin = n
        for k in range(outer_ptr[row], outer_ptr[row + 1]):
            first = inner_ptr[outer_start[k]]
            last = inner_ptr[outer_stop[k]] - 1
            if last < first:
                continue
            if n > row_begin and inner_start[first] <= out_stop[n - 1]:
                out_stop[n - 1] = max(out_stop[n - 1], inner_stop[last])
            else:
                out_start[n] = inner_start[first]
                out_stop[n] = inner_stop[last]
                n += 1
        out_ptr[row + 1] = n
    return n


@jit_of(lambda outer, _, before, *__: 4 * before * (outer[0].size + outer[1].size))
def compose_capacity(outer: Runs, inner_ptr: IntArray, before: int, after: int, row_limit: int) -> int:
    """Upper bound of the runs that `compose_rows` can emit, when a row never has more than `row_limit`."""
    outer_ptr, outer_start, outer_stop = outer
    middle = (inner_ptr.size - 1) // (before * after)
    total = 0
    for a in range(before):
        for row in range(outer_ptr.size - 1):
            count = 0
            for k in range(outer_ptr[row], outer_ptr[row + 1]):
                first = (a * middle + outer_start[k]) * after
                last = (a * middle + outer_stop[k]) * after
                count += inner_ptr[last] - inner_ptr[first]
            total += min(count, after * row_limit)
    return total


@jit
def drain(delta: IntArray, low: int, high: int, out_start: IntArray, out_stop: IntArray, n: int) -> int:
    """Turn the openings (+1) and closings (-1) in `delta[low : high + 1]` into runs, and zero them."""
    depth = 0
    for column in range(low, high + 1):
        change = delta[column]
        if change != 0:
            if depth == 0:
                out_start[n] = column
            depth += change
            if depth == 0:
                out_stop[n] = column
                n += 1
            delta[column] = 0
    return n


@jit
def collect_row(outer: Runs, inner: Runs, row: int, base: int, after: int, delta: IntArray, out: Runs, n: int) -> int:
    """Write one row of `compose_rows` whose runs arrive in no order; `delta` is int64[columns + 1], zeros."""
    outer_ptr, outer_start, outer_stop = outer
    inner_ptr, inner_start, inner_stop = inner
    low, high = delta.size, 0
    for k in range(outer_ptr[row], outer_ptr[row + 1]):
        for f in range(outer_start[k], outer_stop[k]):
            for j in range(inner_ptr[f * after + base], inner_ptr[f * after + base + 1]):
                delta[inner_start[j]] += 1
                delta[inner_stop[j]] -= 1
                low, high = min(low, inner_start[j]), max(high, inner_stop[j])
    return drain(delta, low, high, out[1], out[2], n)


@jit_of(
    lambda outer, inner, before, after, delta, out: (
        8 * before * after * points(outer) * (1 + inner[1].size // inner[0].size) + out[0].size * delta.size
    )
)
def compose_rows(outer: Runs, inner: Runs, before: int, after: int, delta: IntArray, out: Runs) -> int:
    """Compose along the middle of the inner rows `(before, middle, after)`.

    Runs that arrive in order are merged as they come; a row whose runs do not is collected in `delta`
    (int64[columns + 1], zeros, left zero), where +1 opens and -1 closes a run.
    """
    inner_ptr, inner_start, inner_stop = inner
    outer_ptr, outer_start, outer_stop = outer
    out_ptr, out_start, out_stop = out
    middle = (inner_ptr.size - 1) // (before * after)
    rows = outer_ptr.size - 1
    n = 0
    out_ptr[0] = 0
    for index in range(before * rows * after):
        row = index // after % rows
        base = index // (rows * after) * middle * after + index % after
        row_begin = n
        ordered = True
        for k in range(outer_ptr[row], outer_ptr[row + 1]):
            for f in range(outer_start[k], outer_stop[k]):
                if not ordered:
                    break
                for j in range(inner_ptr[f * after + base], inner_ptr[f * after + base + 1]):
                    if n > row_begin and inner_start[j] < out_start[n - 1]:
                        ordered = False
                        break
                    if n > row_begin and inner_start[j] <= out_stop[n - 1]:
                        out_stop[n - 1] = max(out_stop[n - 1], inner_stop[j])
                    else:
                        out_start[n] = inner_start[j]
                        out_stop[n] = inner_stop[j]
                        n += 1
        if not ordered:
            n = collect_row(outer, inner, row, base, after, delta, out, row_begin)
        out_ptr[index + 1] = n
    return n


@jit
def union_rows(left: Runs, right: Runs, out: Runs) -> int:
    """Merge two relations of the same shape row by row."""
    left_ptr, left_start, left_stop = left
    right_ptr, right_start, right_stop = right
    out_ptr, out_start, out_stop = out
    n = 0
    out_ptr[0] = 0
    for row in range(left_ptr.size - 1):
        row_begin = n
        i = left_ptr[row]
        j = right_ptr[row]
        while i < left_ptr[row + 1] or j < right_ptr[row + 1]:
            if j == right_ptr[row + 1] or (i < left_ptr[row + 1] and left_start[i] <= right_start[j]):
                start = left_start[i]
                stop = left_stop[i]
                i += 1
            else:
                start = right_start[j]
                stop = right_stop[j]
                j += 1
            if n > row_begin and start <= out_stop[n - 1]:
                out_stop[n - 1] = max(out_stop[n - 1], stop)
            else:
                out_start[n] = start
                out_stop[n] = stop
                n += 1
        out_ptr[row + 1] = n
    return n


@jit
def rows_contain(big: Runs, small: Runs) -> bool:
    """Whether every run of `small` lies inside a run of the same row of `big`."""
    big_ptr, big_start, big_stop = big
    small_ptr, small_start, small_stop = small
    for row in range(big_ptr.size - 1):
        i = big_ptr[row]
        for j in range(small_ptr[row], small_ptr[row + 1]):
            while i < big_ptr[row + 1] and big_stop[i] < small_stop[j]:
                i += 1
            if i == big_ptr[row + 1] or big_start[i] > small_start[j]:
                return False
    return True


@jit
def constant_along(runs: Runs, before: int, middle: int, after: int) -> bool:
    """Whether row `(a, f, b)` equals row `(a, 0, b)` for every `f`."""
    ptr, start, stop = runs
    for a in range(before):
        for f in range(1, middle):
            for b in range(after):
                r = (a * middle + f) * after + b
                q = a * middle * after + b
                if ptr[r + 1] - ptr[r] != ptr[q + 1] - ptr[q]:
                    return False
                for k in range(ptr[r + 1] - ptr[r]):
                    if start[ptr[r] + k] != start[ptr[q] + k] or stop[ptr[r] + k] != stop[ptr[q] + k]:
                        return False
    return True


@jit_of(lambda runs, *_: 4 * (runs[0].size + points(runs)))
def count_transposed(runs: Runs, last: IntArray, counts: IntArray) -> None:
    """Count, per column, the runs of rows that hold it. `last` (int64[columns]) starts at -2."""
    ptr, start, stop = runs
    for row in range(ptr.size - 1):
        for k in range(ptr[row], ptr[row + 1]):
            for column in range(start[k], stop[k]):
                if last[column] != row - 1:
                    counts[column] += 1
                last[column] = row


@jit_of(lambda runs, *_: 8 * (runs[0].size + points(runs)))
def fill_transposed(runs: Runs, used: IntArray, out: Runs) -> None:
    """Write the transposed runs; `out[0]` is final, `used` (int64[columns]) starts at zero."""
    ptr, start, stop = runs
    out_ptr, out_start, out_stop = out
    for row in range(ptr.size - 1):
        for k in range(ptr[row], ptr[row + 1]):
            for column in range(start[k], stop[k]):
                n = out_ptr[column] + used[column]
                if used[column] > 0 and out_stop[n - 1] == row:
                    out_stop[n - 1] = row + 1
                else:
                    out_start[n] = row
                    out_stop[n] = row + 1
                    used[column] += 1


@jit
def product_row(left: Runs, i: int, right: Runs, j: int, right_columns: int, out: Runs, n: int) -> int:
    """Emit columns `(c, d)` where left row `i` holds `c` and right row `j` holds `d`, after `n` runs."""
    left_ptr, left_start, left_stop = left
    right_ptr, right_start, right_stop = right
    _, out_start, out_stop = out
    row_begin = n
    for k in range(left_ptr[i], left_ptr[i + 1]):
        for column in range(left_start[k], left_stop[k]):
            for m in range(right_ptr[j], right_ptr[j + 1]):
                start = column * right_columns + right_start[m]
                stop = column * right_columns + right_stop[m]
                if n > row_begin and out_stop[n - 1] == start:
                    out_stop[n - 1] = stop
                else:
                    out_start[n] = start
                    out_stop[n] = stop
                    n += 1
    return n


@jit
def kron_rows(left: Runs, right: Runs, right_columns: int, out: Runs) -> int:
    """Product: row `(i, j)` holds column `(c, d)` where left row `i` holds `c` and right row `j` holds `d`."""
    n = out[0][0] = 0
    rows = right[0].size - 1
    for i in range(left[0].size - 1):
        for j in range(rows):
            n = product_row(left, i, right, j, right_columns, out, n)
            out[0][i * rows + j + 1] = n
    return n


@jit
def product_rows(left: Runs, right: Runs, right_columns: int, out: Runs) -> int:
    """Row by row, column `(c, d)` where the left row holds `c` and the right row of the same number holds `d`."""
    n = out[0][0] = 0
    for row in range(left[0].size - 1):
        n = product_row(left, row, right, row, right_columns, out, n)
        out[0][row + 1] = n
    return n


@jit_of(lambda runs, _, __, delta, ___: runs[0].size * delta.size + 16 * runs[1].size)
def project_rows(runs: Runs, middle: int, after: int, delta: IntArray, out: Runs) -> int:
    """Project columns `(before, middle, after)` onto `middle`; `delta` is int64[middle + 1], zeros."""
    ptr, start, stop = runs
    out_ptr, out_start, out_stop = out
    n = 0
    out_ptr[0] = 0
    for row in range(ptr.size - 1):
        low, high = middle, 0
        for k in range(ptr[row], ptr[row + 1]):
            first = start[k] // after
            last = (stop[k] - 1) // after
            whole = last - first >= middle - 1
            first = 0 if whole else first % middle
            last = middle - 1 if whole else last % middle
            delta[first] += 1
            delta[last + 1] -= 1
            if first > last:
                delta[middle] -= 1
                delta[0] += 1
                low, high = 0, middle
            low, high = min(low, first), max(high, last + 1)
        n = drain(delta, low, high, out_start, out_stop, n)
        out_ptr[row + 1] = n
    return n


@jit
def take_rows(runs: Runs, index: IntArray, out: Runs) -> int:
    """Copy the rows named by `index`, in its order."""
    ptr, start, stop = runs
    out_ptr, out_start, out_stop = out
    n = 0
    out_ptr[0] = 0
    for i in range(index.size):
        for k in range(ptr[index[i]], ptr[index[i] + 1]):
            out_start[n] = start[k]
            out_stop[n] = stop[k]
            n += 1
        out_ptr[i + 1] = n
    return n


@jit
def runs_of_points(ptr: IntArray, points: IntArray, out: Runs) -> int:
    """Join rows of sorted, distinct columns into runs."""
    out_ptr, out_start, out_stop = out
    n = 0
    out_ptr[0] = 0
    for row in range(ptr.size - 1):
        row_begin = n
        for k in range(ptr[row], ptr[row + 1]):
            if n > row_begin and out_stop[n - 1] == points[k]:
                out_stop[n - 1] += 1
            else:
                out_start[n] = points[k]
                out_stop[n] = points[k] + 1
                n += 1
        out_ptr[row + 1] = n
    return n


@jit
def points_of_runs(runs: Runs, out: IntArray) -> None:
    """List every column of every row, in order."""
    _, start, stop = runs
    n = 0
    for k in range(start.size):
        for column in range(start[k], stop[k]):
            out[n] = column
            n += 1


@jit
def fill_rows(runs: Runs, rows: IntArray, out: BytesArray) -> None:
    """Set `out[p, column] = 1` for the columns of row `rows[p]`; `out` (uint8[planes, columns]) is not cleared."""
    ptr, start, stop = runs
    for p in range(rows.size):
        for k in range(ptr[rows[p]], ptr[rows[p] + 1]):
            for column in range(start[k], stop[k]):
                out[p, column] = 1
