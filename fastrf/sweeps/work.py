"""Work: all candidates of a sweep, any range of which can be evaluated anywhere, and what identifies it.

Made by `sweeping`, evaluated by `running` on threads or sent in parts to Dask workers. Picklable where its candidates
are.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fastrf.errors import FastRFError
from fastrf.sweeps.candidates import InSpace, Source
from fastrf.sweeps.figures import MEMO, by_columns, one_by_one
from fastrf.sweeps.metrics import Metric
from fastrf.sweeps.table import Figures, batch, schema

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Columnar", "Listed", "Work"]


@dataclass(frozen=True, eq=False)
class Work(ABC):
    """Candidates 0 to `len() - 1`, and the metrics wanted of each."""

    metrics: tuple[Metric, ...]
    n_axes: int

    #: Rows of a chunk, at most: more for what is quick.
    largest = 1
    #: Whether rows are quick enough for one thread.
    quick = False

    @abstractmethod
    def __len__(self) -> int:
        """How many candidates there are."""

    @abstractmethod
    def part(self, start: int, stop: int) -> Work:
        """The candidates of a range alone, to be sent away."""

    @abstractmethod
    def run(self, start: int, stop: int) -> pa.RecordBatch:
        """The rows of a range."""

    @abstractmethod
    def ids(self, start: int, stop: int) -> Sequence[str]:
        """The ids of a range."""

    def failed(self, start: int, stop: int, reason: str) -> pa.RecordBatch:
        """Rows of a range that could not be worked out."""
        n = stop - start
        none = np.zeros(n), np.zeros(n, bool)
        figures = {name: none for metric in self.metrics for name in metric.columns(self.n_axes)}
        return batch(self.ids(start, stop), figures, dict.fromkeys(range(n), reason), self.schema)

    @abstractmethod
    def about(self) -> dict[str, Any]:
        """What is swept, as plain data: equal for equal sweeps."""

    def manifest(self) -> dict[str, Any]:
        """What identifies the sweep's table: another one cannot be resumed with it."""
        columns = [name for metric in self.metrics for name in metric.columns(self.n_axes)]
        return {"format": "fastrf sweep 1", **self.about(), "metrics": columns, "candidates": len(self)}

    @property
    def schema(self) -> pa.Schema:
        """The table's columns."""
        return schema(self.metrics, self.n_axes)


@dataclass(frozen=True, eq=False)
class Columnar(Work):
    """Candidates of one space with a column program; `broken` are rows whose notation could not be read."""

    candidates: Any
    input_shape: tuple[int, ...]
    names: Sequence[str] | None = None
    broken: Mapping[int, str] = field(default_factory=dict)

    largest = 1 << 16
    quick = True

    def __len__(self) -> int:
        return len(self.candidates)

    def part(self, start: int, stop: int) -> Work:
        """The candidates of a range alone."""
        names = None if self.names is None else self.names[start:stop]
        broken = {i - start: text for i, text in self.broken.items() if start <= i < stop}
        return Columnar(self.metrics, self.n_axes, self.candidates[start:stop], self.input_shape, names, broken)

    def run(self, start: int, stop: int) -> pa.RecordBatch:
        """The rows of a range; where one of them fails, the others are worked out without it."""
        chosen = self.candidates[start:stop]
        figures, errors = self._figures(chosen)
        errors.update({i - start: text for i, text in self.broken.items() if start <= i < stop})
        return batch(self.ids(start, stop), figures, errors, self.schema)

    def ids(self, start: int, stop: int) -> Sequence[str]:
        """The given names, otherwise the notations."""
        return list(self.candidates[start:stop].ids()) if self.names is None else self.names[start:stop]

    def _figures(self, chosen: Any) -> tuple[Figures, dict[int, str]]:
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
        return {
            "space": self.candidates.space.name,
            "input_shape": list(self.input_shape),
            "digest": digest.hexdigest(),
        }


@dataclass(frozen=True, eq=False)
class Listed(Work):
    """Candidates one by one: files, specs, modules, or those of a space without a column program."""

    sources: Sequence[Source]
    space: str = "listed"

    largest = 256

    def __len__(self) -> int:
        return len(self.sources)

    def part(self, start: int, stop: int) -> Work:
        """The candidates of a range alone."""
        return Listed(self.metrics, self.n_axes, self.sources[start:stop], self.space)

    def run(self, start: int, stop: int) -> pa.RecordBatch:
        """The rows of a range."""
        chosen = self.sources[start:stop]
        figures, errors = one_by_one(chosen, self.metrics, self.n_axes)
        return batch(self.ids(start, stop), figures, errors, self.schema)

    def ids(self, start: int, stop: int) -> Sequence[str]:
        """The sources' ids."""
        return [source.id for source in self.sources[start:stop]]

    def about(self) -> dict[str, Any]:
        """A digest of the candidates, as far as they are text or data."""
        digest = hashlib.sha256()
        for source in self.sources:
            digest.update(source.digest())
        return {"space": self.space, "input_shape": None, "digest": digest.hexdigest()}
