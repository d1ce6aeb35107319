"""Every jitted function of fastrf, in one file because Numba's on-disk cache watches one file at a time.

A kernel is its loop and nothing else: the callers in `relation`, `counting` and `masks` check arguments and
allocate. `Runs` is a relation in run form: `(indptr, start, stop)`, int64; row `i` owns the half-open runs
`start[k], stop[k]` for `indptr[i] <= k < indptr[i + 1]`. A kernel that emits runs writes them from index 0
into arrays that are large enough and returns how many it wrote.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastrf.engine.compiling import jit

IntArray = npt.NDArray[np.int64]
BytesArray = npt.NDArray[np.uint8]
Runs = tuple[IntArray, IntArray, IntArray]


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


@jit
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
        shift = index // (rows * after) * middle
        row = index // after % rows
        b = index % after
        row_begin = n
        ordered = True
        low = delta.size
        high = 0
        for k in range(outer_ptr[row], outer_ptr[row + 1]):
            for f in range(outer_start[k], outer_stop[k]):
                r = (shift + f) * after + b
                for j in range(inner_ptr[r], inner_ptr[r + 1]):
                    low = min(low, inner_start[j])
                    high = max(high, inner_stop[j])
                    if not ordered:
                        continue
                    if n > row_begin and inner_start[j] < out_start[n - 1]:
                        ordered = False
                    elif n > row_begin and inner_start[j] <= out_stop[n - 1]:
                        out_stop[n - 1] = max(out_stop[n - 1], inner_stop[j])
                    else:
                        out_start[n] = inner_start[j]
                        out_stop[n] = inner_stop[j]
                        n += 1
        if not ordered:
            n = row_begin
            for k in range(outer_ptr[row], outer_ptr[row + 1]):
                for f in range(outer_start[k], outer_stop[k]):
                    r = (shift + f) * after + b
                    for j in range(inner_ptr[r], inner_ptr[r + 1]):
                        delta[inner_start[j]] += 1
                        delta[inner_stop[j]] -= 1
            n = drain(delta, low, high, out_start, out_stop, n)
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


@jit
def count_transposed(runs: Runs, last: IntArray, counts: IntArray) -> None:
    """Count, per column, the runs of rows that hold it. `last` (int64[columns]) starts at -2."""
    ptr, start, stop = runs
    for row in range(ptr.size - 1):
        for k in range(ptr[row], ptr[row + 1]):
            for column in range(start[k], stop[k]):
                if last[column] != row - 1:
                    counts[column] += 1
                last[column] = row


@jit
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
def kron_rows(left: Runs, right: Runs, right_columns: int, out: Runs) -> int:
    """Product: row `(i, j)` holds column `(c, d)` where left row `i` holds `c` and right row `j` holds `d`."""
    left_ptr, left_start, left_stop = left
    right_ptr, right_start, right_stop = right
    out_ptr, out_start, out_stop = out
    n = 0
    out_ptr[0] = 0
    rows = right_ptr.size - 1
    for i in range(left_ptr.size - 1):
        for j in range(rows):
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
            out_ptr[i * rows + j + 1] = n
    return n


@jit
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
def fill_planes(
    outer: Runs, outer_row: IntArray, inner: BytesArray, inner_row: IntArray, toggles: IntArray, out: BytesArray
) -> None:
    """Write planes `out[p, y, :]`: the union over terms of outer rows (which `y`) times inner rows (what bytes).

    `outer_row` and `inner_row` are int64[planes, terms]: rows of the stacked outer relation, and of the table
    `inner` (uint8[rows, bytes]). `toggles` (int64[y + 1]) starts and ends as zeros. A plane of several times `y` rows
    is filled with copies of the first.
    """
    ptr, start, stop = outer
    n_y = toggles.size - 1
    for p in range(out.shape[0]):
        plane = out[p]
        for t in range(outer_row.shape[1]):
            r = outer_row[p, t]
            for k in range(ptr[r], ptr[r + 1]):
                toggles[start[k]] ^= 1 << t
                toggles[stop[k]] ^= 1 << t
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
                y = end
                continue
            t = 0
            while (held >> t) & 1 == 0:
                t += 1
            row = inner[inner_row[p, t]]
            if held >> t > 1:
                for b in range(plane.shape[1]):
                    plane[y, b] = row[b]
                for u in range(t + 1, outer_row.shape[1]):
                    if (held >> u) & 1:
                        other = inner[inner_row[p, u]]
                        for b in range(plane.shape[1]):
                            plane[y, b] |= other[b]
                row = plane[y]
                y += 1
            repeat_row(row, plane[y:end])
            y = end
        toggles[n_y] = 0
        flat = plane.reshape(-1)
        first = flat[: n_y * plane.shape[1]]
        for begin in range(first.size, flat.size, first.size):
            copy = flat[begin : begin + first.size]
            for b in range(first.size):
                copy[b] = first[b]


@jit
def fill_rows(runs: Runs, rows: IntArray, out: BytesArray) -> None:
    """Set `out[p, column] = 1` for the columns of row `rows[p]`; `out` (uint8[planes, columns]) is not cleared."""
    ptr, start, stop = runs
    for p in range(rows.size):
        for k in range(ptr[rows[p]], ptr[rows[p] + 1]):
            for column in range(start[k], stop[k]):
                out[p, column] = 1
