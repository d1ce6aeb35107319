"""Files: fields in their compact form, and the rule that a file appears whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from fastrf.dependency import Dependency
from fastrf.errors import FormatError
from fastrf.extent import Extent, Phase
from fastrf.nominal import Nominal
from fastrf.relation import Relation
from fastrf.terms import Group

if TYPE_CHECKING:
    from fastrf.field import ReceptiveField

__all__ = ["load_field", "save_field", "whole_file"]

_FORMAT = "fastrf field 1"


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file to write that takes its name when the block ends well, and vanishes when it does not.

    Raises FormatError where the folder cannot be written.
    """
    try:
        target = Path(path).resolve()
        if target.exists() and not target.is_file():
            raise FormatError(f"{path}: exists and is no regular file; choose another name")
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name[:100]}.", dir=target.parent)
    except (OSError, TypeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FormatError(f"{path!s}: {reason}; choose a file name in a folder that can be written") from error
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(target)
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror or error}; nothing was written") from error
    finally:
        Path(temporary).unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def save_field(field: ReceptiveField, path: str | os.PathLike[str]) -> None:
    """Write a field as `.npz`: each relation once, and a JSON header that says how they make terms."""
    relations: dict[Relation, int] = {}
    terms = [
        [[list(rows), list(cols), relations.setdefault(relation, len(relations))] for rows, cols, relation in term]
        for term in field.dependency.terms
    ]
    nominal = field.nominal
    header = {
        "format": _FORMAT,
        "name": field.name,
        "axes": field.dependency.axes,
        "input_shape": field.input_shape,
        "channel_axis": field.channel_axis,
        "input_channel_axis": field.input_channel_axis,
        "approximate_at": field.approximate_at,
        "assumes": field.assumes,
        "terms": terms,
        "columns": [relation.n_cols for relation in relations],
        "nominal_axes": nominal.axes,
        "periods": field.periods,
        "phases": [[[p.factor, p.period, p.shift] for p in extent.phases] for extent in nominal.extents],
    }
    arrays: dict[str, npt.NDArray[Any]] = {"header": np.frombuffer(json.dumps(header).encode(), np.uint8)}
    for relation, k in relations.items():
        arrays |= {f"indptr{k}": relation.indptr, f"start{k}": relation.start, f"stop{k}": relation.stop}
    for k, extent in enumerate(nominal.extents):
        arrays |= {f"low{k}": extent.low, f"high{k}": extent.high}
    with whole_file(path) as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def load_field(path: str | os.PathLike[str]) -> ReceptiveField:
    """Read a field that `ReceptiveField.save` wrote. Raises FormatError for anything else."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return _field(json.loads(arrays["header"].tobytes()), arrays)
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror or error}; check the path") from error
    except Exception as error:  # a damaged archive can fail in any of its readers
        raise FormatError(f"{path}: not a field that fastrf saved ({type(error).__name__}: {error})") from error


def _field(header: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> ReceptiveField:
    """The field that a header and its arrays describe; any exception where they do not."""
    from fastrf.field import ReceptiveField

    if header["format"] != _FORMAT:
        raise ValueError(f"format {header['format']!r} is not {_FORMAT!r}")
    relations = [
        _relation(_natural(n_cols), arrays[f"indptr{k}"], arrays[f"start{k}"], arrays[f"stop{k}"])
        for k, n_cols in enumerate(header["columns"])
    ]
    terms = [
        tuple(Group(tuple(map(_natural, rows)), tuple(map(_natural, cols)), relations[k]) for rows, cols, k in term)
        for term in header["terms"]
    ]
    axes = tuple(tuple(map(_natural, factors)) for factors in header["axes"])
    dependency = Dependency(tuple(map(_natural, header["input_shape"])), axes, terms)
    _check_terms(dependency)
    channels = [
        None if axis is None else range(ndim)[_natural(axis)]
        for axis, ndim in (
            (header["channel_axis"], len(dependency.shape)),
            (header["input_channel_axis"], len(dependency.input_shape)),
        )
    ]
    nominal = _nominal(header, arrays)
    periods = tuple(max(_natural(period), 1) for period in header["periods"])
    field = ReceptiveField(
        dependency,
        channel_axis=channels[0],
        input_channel_axis=channels[1],
        approximate_at=tuple(str(name) for name in list(header["approximate_at"])),
        nominal=lambda: nominal,
        periods=lambda: periods,
        name=str(header["name"]),
        assumes=tuple(str(sentence) for sentence in list(header.get("assumes", ()))),
    )
    if nominal.shape != field.position_shape or not len(nominal.extents) == len(periods) == len(field.pixel_shape):
        raise ValueError("the nominal field does not fit the shapes")
    return field


def _nominal(header: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Nominal:
    axes = tuple(tuple(map(_natural, factors)) for factors in header["nominal_axes"])
    n_factors = sum(map(len, axes))
    extents = []
    for k, phases in enumerate(header["phases"]):
        parts = tuple(Phase(range(n_factors)[_natural(f)], _natural(period), int(shift)) for f, period, shift in phases)
        low, high = arrays[f"low{k}"], arrays[f"high{k}"]
        if not low.shape == high.shape == tuple(part.period for part in parts) or low.dtype != float or not low.size:
            raise ValueError("phases do not fit their arrays")
        extents.append(Extent(parts, low, high))
    return Nominal(axes, tuple(extents))


def _natural(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is not a natural number")
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


def _check_terms(dependency: Dependency) -> None:
    """Whether the groups of every term fit the shapes and name each input axis once."""
    sizes, input_shape = dependency.sizes, dependency.input_shape
    for term in dependency.terms:
        cols = [a for group in term for a in group.cols]
        rows = [f for group in term for f in group.rows]
        fits = all(
            group.relation.n_rows == int(np.prod([sizes[f] for f in group.rows]))
            and group.relation.n_cols == int(np.prod([input_shape[a] for a in group.cols]))
            for group in term
        )
        if sorted(cols) != list(range(len(input_shape))) or len(set(rows)) != len(rows) or not fits:
            raise ValueError("terms do not fit the shapes")
