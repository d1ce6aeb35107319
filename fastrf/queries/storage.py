"""Fields in their compact form, saved and loaded; nothing that a file says of itself is taken on trust."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastrf.engine.dependency import Dependency
from fastrf.engine.extent import Extent, Phase
from fastrf.engine.factors import Factors
from fastrf.engine.nominal import Nominal
from fastrf.engine.pieces import GRID, Piece
from fastrf.engine.relation import Relation
from fastrf.engine.terms import Group, Term, normal_term
from fastrf.errors import FormatError, LimitError
from fastrf.network import MAX_NAME
from fastrf.system.files import parse_json, read_arrays, whole_file

__all__ = ["Parts", "load_parts", "save_parts"]

FloatArray = npt.NDArray[np.float64]

_FORMAT = "fastrf field 2"
#: The header of a saved field may not be larger.
MAX_HEADER_BYTES = 1 << 24
#: More elements cannot be counted in 64 bits.
_COUNTABLE = 1 << 62


class Parts(NamedTuple):
    """What a field is made of."""

    dependency: Dependency
    channel_axis: int | None
    input_channel_axis: int | None
    approximate_at: tuple[str, ...]
    nominal: Nominal
    periods: tuple[int, ...]
    name: str
    assumes: tuple[str, ...] = ()
    margins: tuple[tuple[int, int], ...] = ()


def save_parts(field: Parts, path: str | os.PathLike[str]) -> None:
    """Write a field as `.npz`: each relation once, and a JSON header that says how they make terms."""
    relations: dict[Relation, int] = {}
    terms = [
        [[list(rows), list(cols), relations.setdefault(relation, len(relations))] for rows, cols, relation in term]
        for term in field.dependency.terms
    ]
    alike = ("name", "channel_axis", "input_channel_axis", "approximate_at", "assumes", "periods", "margins")
    header = {name: getattr(field, name) for name in alike} | {
        "format": _FORMAT,
        "axes": field.dependency.axes,
        "input_shape": field.dependency.input_shape,
        "terms": terms,
        "columns": [relation.n_cols for relation in relations],
        "nominal": [
            {
                "offsets": piece.offsets,
                "axes": piece.axes,
                "kinds": piece.kinds,
                "phases": [[[p.factor, p.period, p.shift] for p in extent.phases] for extent in piece.extents],
                "irregular": [extent.irregular for extent in piece.extents],
            }
            for piece in field.nominal.pieces
        ],
    }
    arrays: dict[str, npt.NDArray[Any]] = {"header": np.frombuffer(json.dumps(header).encode(), np.uint8)}
    for relation, k in relations.items():
        arrays |= {f"indptr{k}": relation.indptr, f"start{k}": relation.start, f"stop{k}": relation.stop}
    for at, piece in enumerate(field.nominal.pieces):
        for k, extent in enumerate(piece.extents):
            arrays |= {f"low{at}.{k}": extent.low, f"high{at}.{k}": extent.high}
    with whole_file(path) as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def load_parts(path: str | os.PathLike[str]) -> Parts:
    """What `save_parts` wrote; see `fastrf.load_field`."""
    arrays = read_arrays(path)
    try:
        header = arrays["header"].tobytes()
        if len(header) > MAX_HEADER_BYTES:
            raise ValueError(f"a header of {len(header):,} bytes")
        return _parts(parse_json(header, "header"), arrays)
    except (FormatError, LimitError) as error:
        raise type(error)(f"{path}: {error}") from error
    except Exception as error:  # whatever it says may not fit
        raise FormatError(f"{path}: not a field that fastrf saved ({type(error).__name__}: {error})") from error


def _parts(header: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Parts:
    """The field that a header and its arrays describe; any exception where they do not."""
    if header["format"] != _FORMAT:
        raise FormatError(
            f"it has format {str(header['format'])[:40]!a}, this version reads {_FORMAT!r}: analyse the network again "
            "and save its field, or read the file with the version that wrote it"
        )
    relations = [
        _relation(_natural(n_cols), arrays[f"indptr{k}"], arrays[f"start{k}"], arrays[f"stop{k}"])
        for k, n_cols in enumerate(header["columns"])
    ]
    axes, input_shape = _axes(header["axes"]), _sizes(header["input_shape"])
    terms = [_term(term, relations, axes.sizes, input_shape) for term in header["terms"]]
    dependency = Dependency(input_shape, axes, [term for term in terms if term is not None])
    channels = _channel(header["channel_axis"], dependency.shape), _channel(header["input_channel_axis"], input_shape)
    position_shape = tuple(n for axis, n in enumerate(dependency.shape) if axis != channels[0])
    n_extents = len(input_shape) - (channels[1] is not None)
    pieces = [
        _piece(part, position_shape, [(arrays[f"low{at}.{k}"], arrays[f"high{at}.{k}"]) for k in range(n_extents)])
        for at, part in enumerate(header["nominal"])
    ]
    nominal = Nominal(position_shape, pieces, n_extents)
    periods = tuple(max(period, 1) for period in _sizes(header["periods"]))
    if len(periods) != n_extents or any(len(piece.extents) != n_extents for piece in pieces):
        raise ValueError("the nominal field does not fit the shapes")
    return Parts(
        dependency,
        *channels,
        tuple(map(_name, header["approximate_at"])),
        nominal,
        periods,
        _name(header["name"]),
        tuple(map(_name, header.get("assumes", ()))),
        _margins(header.get("margins", ()), min(n_extents, len(position_shape))),
    )


def _margins(given: Any, n: int) -> tuple[tuple[int, int], ...]:
    """Two lengths per axis; any exception where they are none."""
    sizes = [tuple(map(_natural, pair)) for pair in given]
    if len(sizes) not in (0, n) or any(len(pair) != 2 for pair in sizes):
        raise ValueError("the margins do not fit the shapes")
    return tuple((pair[0], pair[1]) for pair in sizes)


def _channel(axis: Any, shape: Sequence[int]) -> int | None:
    """The axis that holds channels; any exception where the shape has none such."""
    return None if axis is None else range(len(shape))[_natural(axis)]


def _piece(part: dict[str, Any], shape: tuple[int, ...], tables: Sequence[tuple[FloatArray, FloatArray]]) -> Piece:
    """One part of the nominal field; any exception where it is none of a map of `shape`."""
    axes, offsets = _axes(part["axes"]), _sizes(part["offsets"])
    n_factors = len(axes.sizes)
    kinds = tuple(range(GRID + 1)[_natural(kind)] for kind in part["kinds"])
    extents = []
    for phases, reason, (low, high) in zip(part["phases"], part["irregular"], tables, strict=True):
        parts = tuple(
            Phase(range(n_factors)[_natural(f)], _natural(period), _integer(shift)) for f, period, shift in phases
        )
        if [phase.factor for phase in parts] != sorted({phase.factor for phase in parts}):
            raise ValueError("the factors of an extent are not in order")
        if not low.shape == high.shape == tuple(phase.period for phase in parts) or low.dtype != float or not low.size:
            raise ValueError("phases do not fit their arrays")
        extents.append(Extent(parts, low, high, _name(reason)))
    piece = Piece(offsets, axes, kinds, tuple(extents))
    fits = len(offsets) == len(axes) == len(shape) and len(kinds) == n_factors
    if not fits or any(a + n > m for a, n, m in zip(offsets, piece.lengths, shape, strict=True)):
        raise ValueError("a part of the nominal field does not fit the shapes")
    return piece


def _integer(value: Any) -> int:
    if type(value) is not int or abs(value) > _COUNTABLE:
        raise ValueError(f"{value!r} is not an integer of 62 bits")
    return value


def _natural(value: Any) -> int:
    if _integer(value) < 0:
        raise ValueError(f"{value!r} is not a natural number")
    return int(value)


def _sizes(values: Any) -> tuple[int, ...]:
    """Sizes whose product can be counted, also where some of them are 0."""
    found = tuple(map(_natural, values))
    if math.prod(max(n, 1) for n in found) > _COUNTABLE:
        raise ValueError(f"shape {found} has more elements than can be counted")
    return found


def _axes(values: Any) -> Factors:
    """Axes as their factors."""
    axes = Factors(tuple(map(_natural, factors)) for factors in values)
    _sizes(axes.sizes)
    return axes


def _name(value: Any) -> str:
    """A name as networks have them."""
    if not isinstance(value, str) or not value.isprintable() or len(value) > 2 * MAX_NAME:
        raise ValueError(f"{str(value)[:60]!r} is no name")
    return value


def _relation(n_cols: int, indptr: npt.NDArray[Any], start: npt.NDArray[Any], stop: npt.NDArray[Any]) -> Relation:
    """A relation from untrusted arrays, in canonical form whatever they hold."""
    if not (indptr.dtype == start.dtype == stop.dtype == np.int64 and indptr.ndim == start.ndim == stop.ndim == 1):
        raise ValueError("relation arrays must be one-dimensional int64")
    widths = np.diff(indptr)
    if indptr.size == 0 or indptr[0] != 0 or (widths < 0).any() or indptr[-1] != start.size or start.size != stop.size:
        raise ValueError("relation arrays do not fit each other")
    new_row = np.zeros(start.size, bool)
    new_row[indptr[:-1][widths > 0]] = True
    inside = (start >= 0) & (stop > start) & (stop <= n_cols)
    apart = np.r_[True, start[1:] > stop[:-1]][: start.size] | new_row
    if not (inside.all() and apart.all()):
        raise ValueError("relation runs are not sorted, disjoint and inside")
    return Relation.from_arrays(n_cols, indptr, start, stop)


def _term(given: Any, relations: list[Relation], sizes: Sequence[int], input_shape: Sequence[int]) -> Term | None:
    """A term in canonical form, None where it relates nothing; ValueError where its groups do not fit the shapes."""
    groups = [
        Group(tuple(map(_natural, rows)), tuple(map(_natural, cols)), relations[_natural(k)]) for rows, cols, k in given
    ]
    rows = [factor for group in groups for factor in group.rows]
    cols = [axis for group in groups for axis in group.cols]
    fits = all(
        group.rows == tuple(sorted(group.rows))
        and group.cols == tuple(sorted(group.cols))
        and group.relation.n_rows == math.prod(sizes[f] for f in group.rows)
        and group.relation.n_cols == math.prod(input_shape[a] for a in group.cols)
        for group in groups
    )
    if sorted(cols) != list(range(len(input_shape))) or len(set(rows)) != len(rows) or not fits:
        raise ValueError("terms do not fit the shapes")
    return normal_term(groups, sizes, input_shape)
