"""Modules by the names that they had: pickles of earlier versions name them, and so may code outside."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

__all__ = ["MOVED", "Finder", "find_moved"]

#: Where modules of version 0.1 are now: those of classes that pickles name, and of what was worth importing.
MOVED = {
    **{name: f"engine.{name}" for name in ("axis_map", "dependency", "extent", "kernels", "nominal", "pieces")},
    **{name: f"engine.{name}" for name in ("recipe", "regular", "relation", "stretched", "terms")},
    **{name: f"queries.{name}" for name in ("counting", "halo", "masks", "positions")},
    "layers": "frontends.layers",
    "loading": "frontends.loading",
    "memory": "engine.memo",
    "storage": "queries.storage",
    "streams": "queries.streams",
    "sweeps.columns": "spaces.columns.programs",
    "sweeps.states": "spaces.columns.states",
    "sweeps.steps": "spaces.columns.steps",
    "sweeps.sources": "sweeps.candidates",
    "spaces.genotypes": "spaces.darts_genotypes",
    "anchors.effective": "erf.maps",
    "anchors.label_scores": "anchors.assignment.assigners",
    "anchors.reporting": "anchors.reports",
    "anchors.resizing": "anchors.resize_rules",
    "anchors.suggesting": "anchors.suggestions",
}


class _Package(ModuleType):
    """A package in which something public bears the old name of a module."""

    def __setattr__(self, name: str, value: object) -> None:
        """Set it, unless an import would hide what is public by that name."""
        if not isinstance(value, ModuleType) or f"{self.__name__}.{name}".removeprefix("fastrf.") not in MOVED:
            super().__setattr__(name, value)


class Finder:
    """Finds a module by its old name, after every other finder."""

    @staticmethod
    def find_spec(name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        """The spec of the module that bore this name; None for any other."""
        if name.removeprefix("fastrf.") not in MOVED or not name.startswith("fastrf."):
            return None
        from importlib.machinery import ModuleSpec

        return ModuleSpec(name, Finder())  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module itself, by the name that it has now."""
        package, _, name = spec.name.rpartition(".")
        if name in getattr(sys.modules[package], "__all__", ()):
            sys.modules[package].__class__ = _Package
        return importlib.import_module(f"fastrf.{MOVED[spec.name.removeprefix('fastrf.')]}")

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: it has run."""


def find_moved() -> None:
    """Find modules by their old names from now on."""
    sys.meta_path.append(Finder())
