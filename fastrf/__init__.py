"""fastrf: exact receptive fields of neural networks.

For every neuron of every layer, precisely which input pixels it depends on: borders, holes and all, for every output
position at once. Everything public is listed in `__all__` and loaded when first used.
"""

from __future__ import annotations

import importlib

from fastrf.system import VERSION as _VERSION
from fastrf.system.moved import find_moved as _find_moved

TYPE_CHECKING = False  # typing is loaded when it is needed: it costs more than all that is here
__version__ = _VERSION

if TYPE_CHECKING:
    from typing import Any

    from fastrf import anchors, ops, plot, spaces, testing, tiling, zoo
    from fastrf.analysis import Analysis, analyze
    from fastrf.budget import Limits, limits
    from fastrf.checks.changes import Change, Diff
    from fastrf.checks.checking import check
    from fastrf.checks.comparing import Pixels
    from fastrf.checks.diffing import diff
    from fastrf.checks.locks import Entry, Lock
    from fastrf.checks.outcomes import Outcome
    from fastrf.checks.results import CheckResult
    from fastrf.engine.dependency import Dependency
    from fastrf.engine.nominal import Nominal
    from fastrf.engine.recipe import Recipe, Step
    from fastrf.engine.relation import Relation
    from fastrf.engine.terms import Group
    from fastrf.errors import (
        FastRFError,
        FormatError,
        LimitError,
        MissingExtraError,
        NetworkError,
        PositionError,
        ShapeError,
        UnknownNodeError,
        UnsupportedOpError,
        UsageError,
    )
    from fastrf.explorer.showing import Page, explore, report
    from fastrf.field import ReceptiveField, load_field
    from fastrf.frontends.layers import (
        Layer,
        adaptive_avg_pool,
        add,
        avg_pool,
        batch_norm,
        concat,
        conv,
        conv_transpose,
        depthwise_conv,
        flatten,
        global_avg_pool,
        layer,
        linear,
        max_pool,
        relu,
        resize,
    )
    from fastrf.frontends.loading import load, sizes
    from fastrf.network import Input, Network, Node
    from fastrf.ops.rules import rule
    from fastrf.queries.context import Context
    from fastrf.queries.halo import Halo
    from fastrf.queries.leaks import Leak
    from fastrf.queries.sizes.answers import AxisSizes, Sizes, Unfit
    from fastrf.queries.sizes.progressions import Progression
    from fastrf.queries.why.answers import Reason, Why
    from fastrf.summary import Row, Summary
    from fastrf.sweeps.result import SweepResult
    from fastrf.sweeps.run import sweep
    from fastrf.system.tables import Column, Table

_find_moved()
#: The public names of each module; a module that is public itself has its own.
_NAMES = {
    "analysis": "Analysis analyze",
    "anchors": "anchors",
    "budget": "Limits limits",
    "checks.changes": "Change Diff",
    "checks.checking": "check",
    "checks.comparing": "Pixels",
    "checks.diffing": "diff",
    "checks.locks": "Entry Lock",
    "checks.outcomes": "Outcome",
    "checks.results": "CheckResult",
    "engine.dependency": "Dependency",
    "engine.nominal": "Nominal",
    "engine.recipe": "Recipe Step",
    "engine.relation": "Relation",
    "engine.terms": "Group",
    "errors": "FastRFError FormatError LimitError MissingExtraError NetworkError PositionError ShapeError "
    "UnknownNodeError UnsupportedOpError UsageError",
    "explorer.showing": "Page explore report",
    "field": "ReceptiveField load_field",
    "frontends.layers": "Layer adaptive_avg_pool add avg_pool batch_norm concat conv conv_transpose depthwise_conv "
    "flatten global_avg_pool layer linear max_pool relu resize",
    "frontends.loading": "load sizes",
    "network": "Input Network Node",
    "ops": "ops",
    "ops.rules": "rule",
    "plot": "plot",
    "system.tables": "Column Table",
    "queries.context": "Context",
    "queries.halo": "Halo",
    "queries.leaks": "Leak",
    "queries.sizes.answers": "AxisSizes Sizes Unfit",
    "queries.sizes.progressions": "Progression",
    "queries.why.answers": "Reason Why",
    "spaces": "spaces",
    "summary": "Row Summary",
    "sweeps.result": "SweepResult",
    "sweeps.run": "sweep",
    "testing": "testing",
    "tiling": "tiling",
    "zoo": "zoo",
}
_HOME = {name: home for home, names in _NAMES.items() for name in names.split()}

__all__ = [
    "Analysis",
    "AxisSizes",
    "Change",
    "CheckResult",
    "Column",
    "Context",
    "Dependency",
    "Diff",
    "Entry",
    "FastRFError",
    "FormatError",
    "Group",
    "Halo",
    "Input",
    "Layer",
    "Leak",
    "LimitError",
    "Limits",
    "Lock",
    "MissingExtraError",
    "Network",
    "NetworkError",
    "Node",
    "Nominal",
    "Outcome",
    "Page",
    "Pixels",
    "PositionError",
    "Progression",
    "Reason",
    "ReceptiveField",
    "Recipe",
    "Relation",
    "Row",
    "ShapeError",
    "Sizes",
    "Step",
    "Summary",
    "SweepResult",
    "Table",
    "Unfit",
    "UnknownNodeError",
    "UnsupportedOpError",
    "UsageError",
    "Why",
    "__version__",
    "adaptive_avg_pool",
    "add",
    "analyze",
    "anchors",
    "avg_pool",
    "batch_norm",
    "check",
    "concat",
    "conv",
    "conv_transpose",
    "depthwise_conv",
    "diff",
    "explore",
    "flatten",
    "global_avg_pool",
    "layer",
    "limits",
    "linear",
    "load",
    "load_field",
    "max_pool",
    "ops",
    "plot",
    "relu",
    "report",
    "resize",
    "rule",
    "sizes",
    "spaces",
    "sweep",
    "testing",
    "tiling",
    "zoo",
]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'fastrf' has no attribute {name!r}")
    module = importlib.import_module(f"fastrf.{home}")
    value = module if home == name else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
