"""Nominal fields along a network: what recipes make of the same values, in another analysis, is remembered."""

from __future__ import annotations

from collections.abc import Sequence

from fastrf.budget import limits
from fastrf.engine.memo import remembered
from fastrf.engine.nominal import Nominal
from fastrf.engine.recipe import Recipe, replay

__all__ = ["Walked"]


class Walked:
    """One way through a network, from one of its inputs."""

    def __init__(self, shape: tuple[int, ...], channel_axis: int | None) -> None:
        self.start: Nominal = remembered(
            ("nominal", shape, channel_axis), lambda: Nominal.identity(shape, channel_axis)
        )
        self._kept = {id(self.start)}  # not what this analysis alone has changed

    def nothing(self, shape: tuple[int, ...]) -> Nominal:
        """Another input."""
        count = self.start.n_extents
        found = remembered(("no nominal", shape, count), lambda: Nominal.none(shape, count))
        self._kept.add(id(found))
        return found

    def carry(self, recipe: Recipe, values: Sequence[Nominal]) -> Nominal:
        """Carry the steps of a recipe out."""
        if not self._kept.issuperset(map(id, values)):
            return replay(recipe, values)
        key = ("nominal", limits.phases, id(recipe), *map(id, values))  # of objects that the result holds
        _, _, found = remembered(key, lambda: (recipe, tuple(values), replay(recipe, values)))
        self._kept.add(id(found))
        return found
