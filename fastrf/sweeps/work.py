"""Work: all candidates of a sweep, any range of which can be evaluated anywhere, and what identifies it.

Ranges are evaluated on threads, or sent to Dask workers: work is picklable where its candidates are.
"""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastrf.errors import FastRFError, FormatError, ShapeError, UsageError, a_kind
from fastrf.frontends.layers import Layer
from fastrf.spaces.custom import Custom
from fastrf.spaces.space import Candidates, Space
from fastrf.sweeps.candidates import InSpace, Numbered, Source, sources_of
from fastrf.sweeps.figures import MEMO, by_columns, one_by_one
from fastrf.sweeps.metrics import Metric, metrics_named
from fastrf.sweeps.onnx import Shapes
from fastrf.sweeps.scalars import Scalars, scalars_of, values_of
from fastrf.sweeps.table import FIRST, Figures, batch, schema

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Columnar", "Configured", "Listed", "Work", "work_of"]

Metrics = tuple[Metric, ...]
#: Candidates that are built until one tells how many axes the table has.
_LOOKED_AT = 1000


@dataclass(frozen=True, eq=False)
class Work(ABC):
    """Candidates 0 to `len() - 1`, and the metrics wanted of each."""

    metrics: Metrics
    n_axes: int

    #: Rows that are best worked out at once: one, or many where one thread is quick enough.
    chunk = 1

    @abstractmethod
    def __len__(self) -> int:
        """How many candidates there are."""

    @abstractmethod
    def part(self, start: int, stop: int) -> Work:
        """The candidates of a range alone, to be sent away."""

    @property
    @abstractmethod
    def ids(self) -> Sequence[str]:
        """The id of every candidate."""

    @abstractmethod
    def figures(self) -> tuple[Figures, dict[int, str]]:
        """The figures of every candidate, and errors by row."""

    @abstractmethod
    def about(self) -> dict[str, Any]:
        """What is swept, as plain data: equal for equal sweeps."""

    @property
    def scalars(self) -> Scalars:
        """Columns that candidates bring along."""
        return ()

    def own(self) -> Sequence[Sequence[Any]]:
        """What stands in them."""
        return ()

    def run(self, start: int, stop: int) -> pa.RecordBatch:
        """The rows of a range."""
        part = self.part(start, stop)
        return batch(part.ids, *part.figures(), self.schema, part.own())

    def failed(self, start: int, stop: int, reason: str) -> pa.RecordBatch:
        """Rows of a range that could not be worked out."""
        n = stop - start
        none = np.zeros(n), np.zeros(n, bool)
        part, figures = self.part(start, stop), dict.fromkeys(self.schema.names, none)
        return batch(part.ids, figures, dict.fromkeys(range(n), reason), self.schema, part.own())

    def manifest(self) -> dict[str, Any]:
        """What identifies the sweep's table: another one cannot be resumed with it."""
        columns = [name for name in self.schema.names if name not in FIRST]
        return {"format": "fastrf sweep 1", **self.about(), "metrics": columns, "candidates": len(self)}

    @property
    def schema(self) -> pa.Schema:
        """The table's columns."""
        return schema(self.metrics, self.n_axes, self.scalars)


@dataclass(frozen=True, eq=False)
class Columnar(Work):
    """Candidates of one space with a column program; `broken` are rows whose notation could not be read."""

    candidates: Candidates
    input_shape: tuple[int, ...]
    names: Sequence[str] | None = None
    broken: Mapping[int, str] = field(default_factory=dict)

    chunk = 1 << 13

    def __len__(self) -> int:
        return len(self.candidates)

    def part(self, start: int, stop: int) -> Columnar:
        """The candidates of a range alone."""
        names = None if self.names is None else self.names[start:stop]
        broken = {i - start: text for i, text in self.broken.items() if start <= i < stop}
        return replace(self, candidates=self.candidates[start:stop], names=names, broken=broken)

    @property
    def ids(self) -> Sequence[str]:
        """The given names, otherwise the notations."""
        return self.candidates.ids() if self.names is None else self.names

    def figures(self) -> tuple[Figures, dict[int, str]]:
        """Column by column; where one of the candidates fails, the others are worked out without it."""
        figures, errors = self._figures(self.candidates)
        return figures, {**errors, **self.broken}

    def _figures(self, chosen: Candidates) -> tuple[Figures, dict[int, str]]:
        try:
            return by_columns(chosen, self.input_shape, self.metrics, MEMO)
        except FastRFError:
            if len(chosen) == 1:
                source = Source("", InSpace(chosen.space, chosen[0]), self.input_shape)
                return one_by_one([source], self.metrics, self.n_axes)
        half = len(chosen) // 2
        left, left_errors = self._figures(chosen[:half])
        right, right_errors = self._figures(chosen[half:])
        joined = {
            name: (np.concatenate([values, right[name][0]]), np.concatenate([valid, right[name][1]]))
            for name, (values, valid) in left.items()
        }
        return joined, {**left_errors, **{i + half: text for i, text in right_errors.items()}}

    def about(self) -> dict[str, Any]:
        """The space, the image, and a digest of the candidates."""
        digest = hashlib.sha256(np.asarray(self.candidates.codes, np.int64).tobytes())
        digest.update(repr((None if self.names is None else list(self.names), sorted(self.broken.items()))).encode())
        space, shape = self.candidates.space.name, list(self.input_shape)
        return {"space": space, "input_shape": shape, "digest": digest.hexdigest()}


@dataclass(frozen=True, eq=False)
class Listed(Work):
    """Candidates one by one: files, specs, modules."""

    sources: Sequence[Source]

    def __len__(self) -> int:
        return len(self.sources)

    def part(self, start: int, stop: int) -> Listed:
        """The candidates of a range alone."""
        return replace(self, sources=self.sources[start:stop])

    @property
    def ids(self) -> Sequence[str]:
        """The sources' ids."""
        return [source.id for source in self.sources]

    def figures(self) -> tuple[Figures, dict[int, str]]:
        """One after another."""
        return one_by_one(self.sources, self.metrics, self.n_axes)

    def about(self) -> dict[str, Any]:
        """A digest of the candidates, as far as they are text or data."""
        digest = hashlib.sha256(b"".join(source.digest() for source in self.sources))
        return {"space": "listed", "input_shape": None, "digest": digest.hexdigest()}

    @property
    def is_light(self) -> bool:
        """Whether candidates are texts and data, not objects that may hold weights."""
        return all(_is_light(source.given) for source in self.sources)


def _is_light(given: Any) -> bool:
    if isinstance(given, list | tuple):
        return all(isinstance(layer, Layer | Mapping) for layer in given)
    return isinstance(given, str | os.PathLike | Mapping | InSpace | FormatError)


@dataclass(frozen=True, eq=False)
class Configured(Work):
    """Candidates of a space without a column program, by their numbers; what is sent away knows no others."""

    candidates: Candidates
    input_shape: Shapes = None
    scalars: Scalars = ()

    def __len__(self) -> int:
        return len(self.candidates)

    def part(self, start: int, stop: int) -> Configured:
        """The candidates of a range alone."""
        return replace(self, candidates=self.candidates[start:stop])

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "candidates": self.candidates.alone()}

    @property
    def ids(self) -> Sequence[str]:
        """The notations."""
        return self.candidates.ids()

    @property
    def sources(self) -> list[Source]:
        """Each candidate as one of a list."""
        ids = enumerate(self.candidates.ids())
        return [Source(text, Numbered(self.candidates, number), self.input_shape) for number, text in ids]

    def figures(self) -> tuple[Figures, dict[int, str]]:
        """One after another."""
        return one_by_one(self.sources, self.metrics, self.n_axes)

    def own(self) -> Sequence[Sequence[Any]]:
        """The scalars of the configurations."""
        return values_of(configs_of(self.candidates), self.scalars)

    def about(self) -> dict[str, Any]:
        """A digest of the candidates by their notations."""
        space = self.candidates.space
        listed = (Source(text, InSpace(space, text), self.input_shape) for text in self.candidates.ids())
        digest = hashlib.sha256(b"".join(source.digest() for source in listed))
        return {"space": space.name, "input_shape": None, "digest": digest.hexdigest()}


def configs_of(candidates: Candidates) -> list[Any]:
    """The configurations of candidates; of another space than one of configurations, none."""
    space = candidates.space
    return [space.configs[k] for k in candidates.codes[:, 0].tolist()] if isinstance(space, Custom) else []


def work_of(
    candidates: Any, input_shape: Sequence[int] | None, metrics: Iterable[Any] | None, node: str | None
) -> Work:
    """What is to be done, checked before anything is. Raises UsageError and ShapeError."""
    wanted = metrics_named(metrics)
    if isinstance(candidates, Work):
        return candidates
    if isinstance(candidates, Space):
        candidates = candidates.all()
    if isinstance(candidates, Candidates):
        return _of_space(candidates, input_shape, wanted, node)
    if isinstance(candidates, str | bytes | dict) or not isinstance(candidates, Iterable):
        raise UsageError(
            f"candidates must be a space or an iterable of networks, not {a_kind(candidates)}; "
            "for one network use fastrf.analyze"
        )
    sources = sources_of(candidates, input_shape, node)
    if not sources:
        raise UsageError("there are no candidates; give at least one")
    return _of_one_space(sources, wanted, node) or Listed(wanted, _listed_axes(sources), sources)


def _of_one_space(sources: Sequence[Source], metrics: Metrics, node: str | None) -> Work | None:
    """Listed candidates that are all of one space with a column program, on one image; None where they are not."""
    given = [source.given for source in sources if isinstance(source.given, InSpace)]
    if not given or node is not None or any(not isinstance(s.given, InSpace | FormatError) for s in sources):
        return None
    space = given[0].space
    shapes = {source.input_shape for source in sources if isinstance(source.given, InSpace)}
    if len(shapes) > 1 or any(item.space is not space for item in given) or not space.columnar:
        return None
    codes: dict[int, Sequence[int]] = {}
    broken: dict[int, str] = {}
    for i, source in enumerate(sources):
        if isinstance(source.given, FormatError):
            broken[i] = str(source.given)
            continue
        try:
            codes[i] = space.encode(space.parse(source.given.arch))
        except FastRFError as error:
            broken[i] = str(error)
    if not codes:
        return None
    filler = next(iter(codes.values()))
    rows = np.array([codes.get(i, filler) for i in range(len(sources))], np.int64)
    work = _of_space(Candidates(space, rows), shapes.pop(), metrics, None)
    assert isinstance(work, Columnar)
    return replace(work, names=[source.id for source in sources], broken=broken)


def _of_space(candidates: Candidates, input_shape: Shapes, metrics: Metrics, node: str | None) -> Columnar | Configured:
    space = candidates.space
    if node is not None:
        raise UsageError("node is for listed networks; candidates of a space are looked at on their last map")
    if not len(candidates):
        raise UsageError(f"there are no candidates of {space.name}; give at least one")
    if not space.columnar:
        return _configured(candidates, input_shape, metrics)
    shape: tuple[Any, ...] = tuple(space.input_shape if input_shape is None else input_shape)
    if len(shape) < 2 or not all(type(n) is int and n > 0 for n in shape):
        raise ShapeError(f"input_shape must be positive sizes such as (3, 32, 32), not {str(shape)[:60]}")
    return Columnar(metrics, len(shape) - 1, candidates, shape)


def _configured(candidates: Candidates, input_shape: Shapes, metrics: Metrics) -> Configured:
    shape = input_shape if input_shape is None or isinstance(input_shape, Mapping) else tuple(input_shape)
    known = (next(iter(shape.values()), ()) if isinstance(shape, Mapping) else shape) or candidates.space.input_shape
    n_axes = len(known) - 1 if known else _listed_axes(Configured(metrics, 0, candidates[:_LOOKED_AT]).sources)
    taken = {*FIRST, *(column for metric in metrics for column in metric.columns(n_axes))}
    return Configured(metrics, n_axes, candidates, shape, scalars_of(configs_of(candidates), taken))


def _listed_axes(sources: Sequence[Source]) -> int:
    """The spatial axes of the table: those of the first shape that is given, otherwise of the first that loads."""
    for source in sources:
        shape = source.input_shape
        shape = next(iter(shape.values()), None) if isinstance(shape, dict) else shape
        if shape is not None:
            return max(len(tuple(shape)) - 1, 1)
    for source in sources:
        try:
            given = next(iter(source.network().inputs.values()))
        except Exception:  # its row will say so
            continue
        return len(given.shape) - (given.channel_axis is not None)
    return 2
