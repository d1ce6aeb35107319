"""Arithmetic on many NAS-Bench-101 cells at once, for `nasbench101`.

A cell's row of codes: its number of vertices; the 21 entries above the diagonal of a matrix of seven vertices, of which
the input is the first, the output the last, and those in between that the cell lacks have no edges; five labels.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = [
    "ABOVE",
    "INTERIOR",
    "MAX_EDGES",
    "VERTICES",
    "every_cell",
    "notation",
    "profile",
    "random_cells",
    "vertex_channels",
    "weights",
]

VERTICES, MAX_EDGES = 7, 9
INTERIOR = VERTICES - 2
#: Rows and columns of the entries above the diagonal, row by row.
ABOVE = np.triu_indices(VERTICES, 1)
_OUTPUT = VERTICES - 1
_CONV3, _CONV1, _POOL = range(3)
#: Index of entry (i, j) among those above the diagonal.
_ENTRY = np.full((VERTICES, VERTICES), -1)
_ENTRY[ABOVE] = np.arange(ABOVE[0].size)
_BITS = ABOVE[0].size

Codes = npt.NDArray[np.integer]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def _edge(codes: Codes, i: int, j: int) -> Flags:
    """bool[n]: whether there is an edge from vertex `i` to vertex `j`."""
    flags: Flags = codes[:, 1 + _ENTRY[i, j]].astype(bool)
    return flags


def _label(codes: Codes, vertex: int) -> Codes:
    labels: Codes = codes[:, _BITS + vertex]
    return labels


def _there(codes: Codes, vertex: int) -> Flags:
    return np.asarray(vertex < codes[:, 0] - 1)


def notation(codes: Codes, letters: str) -> list[str]:
    """`bits:letters` of every cell: entries above its own matrix's diagonal row by row, a letter per label."""
    found = np.empty(len(codes), object)
    for n in np.unique(codes[:, 0]).tolist():
        rows = np.flatnonzero(codes[:, 0] == n)
        place = np.array([*range(n - 1), _OUTPUT])
        columns = 1 + _ENTRY[np.ix_(place, place)][np.triu_indices(n, 1)]
        digits = np.array([ord("0"), ord("1")], np.uint32)
        text = np.empty((rows.size, columns.size + 1 + n - 2), np.uint32)
        text[:, : columns.size] = digits[codes[rows[:, None], columns]]
        text[:, columns.size] = ord(":")
        labels = codes[rows[:, None], np.arange(1 + _BITS, 1 + _BITS + n - 2)]
        text[:, columns.size + 1 :] = np.array([ord(letter) for letter in letters], np.uint32)[labels]
        found[rows] = text.view(f"<U{text.shape[1]}")[:, 0]
    texts: list[str] = found.tolist()
    return texts


def profile(codes: Codes) -> tuple[Ints, list[Ints]]:
    """The most 3x3 windows on a path to the output, and how many convolutions read each depth 0..5: int64[n] each."""
    n = len(codes)
    depth = np.zeros((VERTICES, n), np.int64)
    below = depth[0]
    convolutions = np.zeros((INTERIOR + 1, n), np.int64)
    for v in range(1, VERTICES):
        below = np.zeros(n, np.int64)
        for u in range(v):
            np.maximum(below, np.where(_edge(codes, u, v), depth[u], 0), out=below)
        convolutions[0] += _edge(codes, 0, v)
        if v == _OUTPUT:
            break
        label = _label(codes, v)
        reads = _there(codes, v) & (label != _POOL)
        for k in range(v):
            convolutions[k] += reads & (below == k)
        depth[v] = below + (label != _CONV1)
    return below, list(convolutions)


def vertex_channels(codes: Codes, channels: int) -> Ints:
    """int64[7, n]: channels after every vertex of a cell of so many output channels, 0 for one that is not there.

    The output's are shared by the vertices that it reads, the first ones taking one more where they do not divide; any
    other vertex has the most of those that read it.
    """
    n = len(codes)
    widths = np.zeros((VERTICES, n), np.int64)
    widths[_OUTPUT] = channels
    ends = np.array([_edge(codes, v, _OUTPUT) for v in range(1, _OUTPUT)])
    count = np.maximum(ends.sum(axis=0), 1)
    rank = np.cumsum(ends, axis=0) - 1
    widths[1:_OUTPUT] = np.where(ends, channels // count + (rank < channels % count), 0)
    for v in range(_OUTPUT - 2, 0, -1):
        most = np.zeros(n, np.int64)
        for w in range(v + 1, _OUTPUT):
            np.maximum(most, np.where(_edge(codes, v, w), widths[w], 0), out=most)
        widths[v] = np.where(ends[v - 1], widths[v], most)
    return widths


def weights(codes: Codes, widths: Ints, channels: int) -> tuple[Ints, Ints]:
    """int64[n] weights of a cell's convolutions and channels of its batch norms, on a map of `channels`."""
    total, norms = np.zeros((2, len(codes)), np.int64)
    for v in range(1, VERTICES):
        width = widths[v]
        projected = _edge(codes, 0, v)
        total += projected * channels * width
        norms += width * projected
        if v < _OUTPUT:
            label = _label(codes, v)
            total += width * width * np.where(label == _CONV3, 9, np.where(label == _CONV1, 1, 0))
            norms += width * (label != _POOL)
    return total, norms


def random_cells(n: int, rng: np.random.Generator, n_labels: int) -> Codes:
    """int8[n, 27]: random matrices and labels of seven vertices, pruned; those of more than 9 edges drawn again."""
    found: list[Codes] = [np.zeros((0, 1 + _BITS + INTERIOR), np.int8)]
    left = n
    while left > 0:
        draws = 4 * left + 64
        edges = rng.integers(0, 2, (draws, _BITS), np.int8)
        labels = rng.integers(0, n_labels, (draws, INTERIOR), np.int8)
        good = _pruned(edges, labels)[:left]
        found.append(good)
        left -= len(good)
    return np.concatenate(found)


def _pruned(edges: Codes, labels: Codes) -> Codes:
    """The codes of matrices without what is on no path; cells without a path or with too many edges are left out."""
    matrix = np.zeros((len(edges), VERTICES, VERTICES), np.int8)
    matrix[:, ABOVE[0], ABOVE[1]] = edges
    ahead, behind = np.zeros((2, len(edges), VERTICES), bool)
    ahead[:, 0] = behind[:, _OUTPUT] = True
    for v in range(1, VERTICES):
        ahead[:, v] = (ahead[:, :v] & matrix[:, :v, v].astype(bool)).any(axis=1)
    for v in range(_OUTPUT - 1, -1, -1):
        behind[:, v] = (behind[:, v + 1 :] & matrix[:, v, v + 1 :].astype(bool)).any(axis=1)
    kept = ahead & behind
    matrix *= kept[:, :, None] & kept[:, None, :]
    good = kept[:, 0] & (matrix.sum(axis=(1, 2)) <= MAX_EDGES)
    kept, matrix, labels = kept[good], matrix[good], labels[good]
    order = np.argsort(~kept[:, 1:_OUTPUT], axis=1, kind="stable") + 1
    whole = np.concatenate([np.zeros((len(order), 1), int), order, np.full((len(order), 1), _OUTPUT)], axis=1)
    matrix = np.take_along_axis(np.take_along_axis(matrix, whole[:, :, None], 1), whole[:, None, :], 2)
    named = np.take_along_axis(labels * kept[:, 1:_OUTPUT], order - 1, 1)
    vertices = kept.sum(axis=1, dtype=np.int8)[:, None]
    return np.concatenate([vertices, matrix[:, ABOVE[0], ABOVE[1]], named], axis=1)


def every_cell(n_labels: int) -> Codes:
    """int8[m, 27]: one cell of each class of isomorphic ones, ordered by vertices, then as found."""
    found = []
    for n in range(2, VERTICES + 1):
        shapes = _every_matrix(n)
        alike = _fingerprint(np.concatenate([shapes, np.zeros((len(shapes), INTERIOR), np.int8)], axis=1))
        shapes = shapes[np.sort(np.unique(alike, return_index=True)[1])]
        labels = np.indices((n_labels,) * (n - 2), np.int8).reshape(n - 2, n_labels ** (n - 2)).T
        rows = np.zeros((len(shapes), len(labels), 1 + _BITS + INTERIOR), np.int8)
        rows[:, :, : 1 + _BITS] = shapes[:, None]
        rows[:, :, 1 + _BITS : 1 + _BITS + n - 2] = labels
        flat = rows.reshape(-1, rows.shape[2])
        marks = np.concatenate([_fingerprint(part) for part in np.array_split(flat, len(flat) // 100_000 + 1)])
        found.append(flat[np.sort(np.unique(marks, return_index=True)[1])])
    return np.concatenate(found)


def _every_matrix(n: int) -> Codes:
    """int8[m, 22]: number of vertices and entries of every matrix whose vertices are all on a path, of <= 9 edges."""
    place = np.array([*range(n - 1), _OUTPUT])
    columns = _ENTRY[np.ix_(place, place)][np.triu_indices(n, 1)]
    n_bits = columns.size
    numbers = np.arange(1 << n_bits, dtype=np.int64)
    counts = np.zeros(numbers.size, np.int8)
    for bit in range(n_bits):
        counts += ((numbers >> bit) & 1).astype(np.int8)
    numbers = numbers[(counts <= MAX_EDGES) & (counts >= n - 1)]
    rows = np.zeros((numbers.size, 1 + _BITS), np.int8)
    rows[:, 0] = n
    for bit, column in enumerate(columns.tolist()):
        rows[:, 1 + column] = (numbers >> bit) & 1
    good = np.ones(numbers.size, bool)
    for v in place.tolist():
        if v != _OUTPUT:
            good &= rows[:, 1 + _ENTRY[v, v + 1 :]].any(axis=1)
        if v:
            good &= rows[:, 1 + _ENTRY[:v, v]].any(axis=1)
    return rows[good]


def _fingerprint(codes: Codes) -> npt.NDArray[np.uint64]:
    """uint64[n], equal for isomorphic cells: neighbourhoods mixed as often as there are vertices."""
    marks = np.zeros((VERTICES, len(codes)), np.uint64)
    for v in range(VERTICES):
        label = np.full(len(codes), 11 if v == 0 else 12) if v in (0, _OUTPUT) else _label(codes, v)
        there = np.ones(len(codes), bool) if v in (0, _OUTPUT) else _there(codes, v)
        marks[v] = _mixed(np.where(there, label.astype(np.uint64) + np.uint64(1), np.uint64(0)))
    for _ in range(VERTICES):
        before, after = np.zeros_like(marks), np.zeros_like(marks)
        scrambled = _mixed(marks)
        for i, j in zip(*(axis.tolist() for axis in ABOVE), strict=True):
            edge = _edge(codes, i, j).astype(np.uint64)
            before[j] += scrambled[i] * edge
            after[i] += scrambled[j] * edge
        marks = _mixed(marks + _mixed(before + np.uint64(1)) + _mixed(_mixed(after + np.uint64(2))))
    return np.asarray(_mixed(marks).sum(axis=0, dtype=np.uint64))


def _mixed(value: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """A bijection of 64-bit numbers that spreads every bit. Source: Steele et al. 2014, SplitMix64."""
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(value ^ (value >> np.uint64(31)))
