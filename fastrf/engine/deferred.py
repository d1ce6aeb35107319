"""Relations that are kept in a shorter form than by their rows, which are made when they are first asked for."""

from __future__ import annotations

from typing import Any

from fastrf.engine import kernels
from fastrf.engine.relation import Relation

__all__ = ["Deferred"]


class Deferred(Relation):
    """A relation whose arrays `indptr`, `start` and `stop` are made when they are first asked for."""

    __slots__ = ()

    is_whole = False

    def __getattr__(self, name: str) -> Any:
        if name not in ("indptr", "start", "stop"):
            raise AttributeError(f"a relation has no {name!r}")
        whole = self._rows()
        for array in whole:
            array.flags.writeable = False
        self.indptr, self.start, self.stop = whole
        return getattr(self, name)

    def _rows(self) -> kernels.Runs:
        """The three arrays."""
        raise NotImplementedError

    def whole(self) -> Relation:
        """The same relation, kept by its rows."""
        return Relation.from_arrays(self.n_cols, *self._rows())

    def row(self, index: int) -> list[tuple[int, int]]:
        """The half-open runs of one row."""
        return self.take([index % self.n_rows]).row(0)
