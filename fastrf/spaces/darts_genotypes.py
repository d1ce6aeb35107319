"""DARTS genotypes: the notation of quark0/darts, read without evaluating it, and as rows of codes. For `darts`."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastrf.errors import FormatError, NetworkError
from fastrf.spaces.space import MAX_TEXT, Codes, literal, short

__all__ = [
    "DARTS_V1",
    "DARTS_V2",
    "EDGES",
    "NONE",
    "OPERATORS",
    "STEPS",
    "WIDTH",
    "Edges",
    "Genotype",
    "decode",
    "encode",
    "read",
]

#: The operators in the order of their codes; the search derives no genotype with `none`.
OPERATORS = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
    "none",
)
NONE = 7
_ALIASES = {
    f"{ours}_{k}": f"{theirs}_{k}"
    for k in ("3x3", "5x5")
    for ours, theirs in (("dua_sepc", "sep_conv"), ("dil_sepc", "dil_conv"))
}
#: Nodes of a cell behind its two inputs, and edges into them, two each.
STEPS, EDGES = 4, 8
#: Codes of one cell: operators, nodes read, and the concatenated nodes as bits 0 (node 2) to 3 (node 5).
_CELL = 2 * EDGES + 1
WIDTH = 2 * _CELL
_SHOWN = "a genotype; write Genotype(normal=[('skip_connect', 0), …], …)"
_FIELDS = ("normal", "normal_concat", "reduce", "reduce_concat")

Edges = tuple[tuple[str, int], ...]


class Genotype(NamedTuple):
    """A pair of cells. Edge `k` of `normal` and `reduce`, `(operator, node read)`, leads into node `2 + k // 2`;
    nodes 0 and 1 are the outputs of the cell before last and of the last one. `*_concat` lists the nodes that are
    the cell's output.
    """  # noqa: D205

    normal: Edges
    normal_concat: tuple[int, ...]
    reduce: Edges
    reduce_concat: tuple[int, ...]


def read(text: Any) -> Genotype:
    """The genotype of a text such as `Genotype(normal=[('skip_connect', 0), …], normal_concat=range(2, 6), …)`.

    Takes also its JSON or Python mapping, a mapping, and a tuple of the four parts. Nothing in the text is run.
    Raises FormatError for what cannot be read, NetworkError for a genotype that is not in the space, naming the edge.
    """
    parts = _parts(text)
    normal, reduce = (_edges(cell, parts[cell]) for cell in ("normal", "reduce"))
    normal_end, reduce_end = (_concat(cell, parts[f"{cell}_concat"]) for cell in ("normal", "reduce"))
    return Genotype(normal, normal_end, reduce, reduce_end)


def _parts(text: Any) -> dict[str, Any]:
    if isinstance(text, str):
        text = _from_text(text)
    elif hasattr(text, "_asdict"):
        text = text._asdict()
    elif isinstance(text, tuple | list) and len(text) == 4:
        text = dict(zip(_FIELDS, text, strict=True))
    if not isinstance(text, Mapping):
        raise FormatError(f"{short(text)} is not {_SHOWN}")
    wrong = [key for key in text if key not in _FIELDS] or [key for key in _FIELDS if key not in text]
    if wrong:
        raise FormatError(f"a genotype has {', '.join(_FIELDS)}; {short(wrong[0])} is missing or unknown")
    return dict(text)


def _from_text(text: str) -> Any:
    """The mapping that a text spells out, by walking its syntax tree."""
    if len(text) > MAX_TEXT or "\\" in text:
        raise FormatError(f"a genotype has no backslashes and at most {MAX_TEXT} characters; this has {len(text)}")
    try:
        if text.lstrip().startswith("{"):
            return literal(text, _SHOWN)
        tree = ast.parse(text.strip(), mode="eval").body
        if not isinstance(tree, ast.Call) or ast.unparse(tree.func).rpartition(".")[2] != "Genotype":
            raise FormatError(f"{short(text)} is not {_SHOWN}")
        if len(tree.args) > len(_FIELDS):
            raise FormatError(f"{short(text)} has {len(tree.args)} parts; a genotype has {', '.join(_FIELDS)}")
        named = dict(zip(_FIELDS, map(_literal, tree.args), strict=False))
        return {**named, **{str(keyword.arg): _literal(keyword.value) for keyword in tree.keywords}}
    except FormatError:
        raise
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        reason = " ".join(str(error).split())[:100]
        raise FormatError(f"{short(text)} cannot be read as a genotype: {reason}") from None


def _literal(node: ast.expr) -> Any:
    """A literal, or `range(a, b)` of literals."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range" and not node.keywords:
        bounds = [ast.literal_eval(argument) for argument in node.args]
        if bounds and all(type(bound) is int and abs(bound) < 100 for bound in bounds) and len(bounds) <= 3:
            return list(range(*bounds))
    return ast.literal_eval(node)


def _edges(cell: str, given: object) -> Edges:
    if not isinstance(given, list | tuple):
        raise FormatError(f"{cell!r} must be a list of (operator, node), not {short(given)}")
    found = []
    for k, edge in enumerate(given):
        if not (
            isinstance(edge, list | tuple) and len(edge) == 2 and isinstance(edge[0], str) and type(edge[1]) is int
        ):
            raise FormatError(f"edge {k} of {cell!r}, {short(edge)}, must be (operator, node)")
        name = _ALIASES.get(edge[0], edge[0])
        if name not in OPERATORS:
            raise NetworkError(f"edge {k} of {cell!r}: operator {short(edge[0])} is none of {', '.join(OPERATORS)}")
        if not 0 <= edge[1] < 2 + k // 2:
            raise NetworkError(f"edge {k} of {cell!r} reads node {edge[1]}; node {2 + k // 2} reads 0 to {1 + k // 2}")
        found.append((name, edge[1]))
    if len(found) != EDGES:
        raise NetworkError(f"{cell!r} has {len(found)} edges; a DARTS cell has {EDGES}, two for each of {STEPS} nodes")
    return tuple(found)


def _concat(cell: str, given: object) -> tuple[int, ...]:
    nodes = list(given) if isinstance(given, list | tuple | range) else None
    if nodes is None or not all(type(node) is int for node in nodes):
        raise FormatError(f"'{cell}_concat' must be a list of nodes such as [2, 3, 4, 5], not {short(given)}")
    if not nodes or len(set(nodes)) != len(nodes) or not all(2 <= node < 2 + STEPS for node in nodes):
        raise NetworkError(f"'{cell}_concat' is {short(nodes)}; it lists some of the nodes 2 to 5, each once")
    return tuple(sorted(nodes))


def encode(genotype: Genotype) -> tuple[int, ...]:
    """The row of codes: per cell eight operators, eight nodes, and the concatenated nodes as bits."""
    row: list[int] = []
    for edges, concat in ((genotype.normal, genotype.normal_concat), (genotype.reduce, genotype.reduce_concat)):
        row += [OPERATORS.index(name) for name, _ in edges]
        row += [node for _, node in edges]
        row.append(sum(1 << (node - 2) for node in concat))
    return tuple(row)


_PAIRS = [f"('{name}', {node})" for name in OPERATORS for node in range(8)]
_CONCATS = [str([node for node in range(2, 2 + STEPS) if mask >> (node - 2) & 1]) for mask in range(1 << STEPS)]


def decode(codes: Codes) -> list[str]:
    """The text of every row of codes."""
    columns: list[Sequence[str]] = []
    for start in (0, _CELL):
        part = codes[:, start : start + _CELL].astype(np.intp)
        pairs = (8 * part[:, :EDGES] + part[:, EDGES : 2 * EDGES]).tolist()
        columns.append([", ".join([_PAIRS[pair] for pair in row]) for row in pairs])
        columns.append([_CONCATS[mask] for mask in part[:, -1].tolist()])
    return [
        f"Genotype(normal=[{normal}], normal_concat={end}, reduce=[{reduce}], reduce_concat={reduce_end})"
        for normal, end, reduce, reduce_end in zip(*columns, strict=True)
    ]


def _pairs(names: str, nodes: str) -> Edges:
    short_names = {"max": 0, "avg": 1, "skip": 2, "sep3": 3, "sep5": 4, "dil3": 5, "dil5": 6}
    return tuple((OPERATORS[short_names[name]], int(node)) for name, node in zip(names.split(), nodes, strict=True))


_ALL = (2, 3, 4, 5)
#: The published cells of first and second order. Source: Liu et al. 2018, arXiv 1806.09055; quark0/darts.
DARTS_V1 = Genotype(
    _pairs("sep3 sep3 skip sep3 skip sep3 sep3 skip", "10010102"),
    _ALL,
    _pairs("max max skip max max skip skip avg", "01200220"),
    _ALL,
)
DARTS_V2 = Genotype(
    _pairs("sep3 sep3 sep3 sep3 sep3 skip skip dil3", "01011002"),
    _ALL,
    _pairs("max max skip max max skip skip max", "01210221"),
    _ALL,
)
