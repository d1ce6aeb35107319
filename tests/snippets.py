"""Pages of documentation: their code blocks, run line by line, with what the comments say of each value."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np

import fastrf

ROOT = Path(__file__).parent.parent


def blocks(page, language):
    """The code blocks of a page in one language."""
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def check_python(page, names=None):
    """Run the blocks; the comment behind an expression is its value, or `dtype[shape]`. How many were checked."""
    names = {} if names is None else names
    names["fastrf"] = fastrf
    checked = 0
    for block in blocks(page, "python"):
        lines = block.splitlines()
        for statement in ast.parse(block).body:
            comment = lines[statement.end_lineno - 1][statement.end_col_offset :].strip().removeprefix("#")
            if not isinstance(statement, ast.Expr) or not comment:
                exec(compile(ast.Module([statement], []), "page", "exec", dont_inherit=True), names)
                continue
            check(eval(ast.get_source_segment(block, statement), names), comment.strip().partition(":")[0], names)
            checked += 1
    return checked


def check(value, said, names):
    """Whether a value is what a comment says."""
    if re.fullmatch(r"\w+\[[\d, ]+\]", said):
        kind, shape = said.rstrip("]").split("[")
        assert (str(value.dtype), value.shape) == (kind, tuple(map(int, shape.split(","))))
        return
    expected = eval(said, {**names, "inf": float("inf")})
    assert np.array_equal(value, expected) if isinstance(value, np.ndarray) else value == expected, said
