"""Compile every kernel by answering one question of each kind on a small network."""

from __future__ import annotations

from collections.abc import Callable

from fastrf.analysis import analyze
from fastrf.anchors.assignment.assigners import atss
from fastrf.anchors.assignment.dense import assign
from fastrf.anchors.suggestions import suggest
from fastrf.engine.compiling import compile_from_now_on
from fastrf.engine.relation import Relation

__all__ = ["STAGES"]

#: Dilation leaves holes, the branches differ, the windows entangle axes: every kernel has work.
_SPEC = {
    "input_shape": [2, 12, 12],
    "layers": [
        {"name": "holes", "op": "conv", "out_channels": 4, "kernel_size": 3, "dilation": 2, "padding": 2},
        {"name": "more", "op": "conv", "out_channels": 4, "kernel_size": 3, "dilation": 2, "padding": 2},
        {"name": "wide", "op": "avg_pool", "kernel_size": [1, 3], "stride": 1, "padding": [0, 1], "inputs": ["more"]},
        {"name": "tall", "op": "avg_pool", "kernel_size": [3, 1], "stride": 1, "padding": [1, 0], "inputs": ["more"]},
        {"name": "cross", "op": "concat", "axis": 0, "inputs": ["wide", "tall"]},
        {"name": "tokens", "op": "reshape", "shape": [8, 144]},
        {"name": "odd", "op": "gather", "axis": 1, "indices": [3, 77, 12, 140]},
        {"name": "pair", "op": "reshape", "shape": [8, 2, 2]},
    ],
    "outputs": ["pair"],
}


def _engine() -> None:
    analysis = analyze(_SPEC)
    first, second = (analysis[name].dependency.terms[0][-1].relation for name in ("holes", "more"))
    second.contains(first)
    Relation.from_rows(4, [[(0, 1)], [(2, 4)]]).reorder_columns([2, 2], [1, 0])


def _queries() -> None:
    field = analyze(_SPEC)["cross"]
    field.areas()
    field.coverage()
    field.to_csr()
    field.dependency.reduce(0).any_input(0).reshape((144,)).any_input(1)


def _masks() -> None:
    analysis = analyze(_SPEC)
    for name in ("cross", "pair"):
        analysis[name].masks()
        analysis[name].masks(packed=True)


def _anchors() -> None:
    analysis = analyze(_SPEC)
    boxes = [[0, 0, 5, 4], [3, 2, 9, 9]]
    for node in ("input", "cross"):
        level = assign(analysis, [node], boxes)[node]
        level.contains()
        level.contains(packed=True)
    atss(boxes, [[[2, 2], [6, 6]]], [4])
    layers = [{"name": "level", "op": "conv", "out_channels": 1, "kernel_size": 4, "stride": 2}]
    analysis = analyze({"input_shape": [1, 12, 12], "layers": layers})
    suggest(analysis, ["level"], [[2.0, 3.0], [3.0, 2.0]], per_level=1, generations=1)


#: What compiles kernels, by the name that is shown.
STAGES: dict[str, Callable[[], None]] = {
    "numba": compile_from_now_on,
    "engine": _engine,
    "queries": _queries,
    "masks": _masks,
    "anchors": _anchors,
}
