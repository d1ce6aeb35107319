"""Pages of documentation: their code blocks, run in order, with what comments and printed blocks say of each.

| block | what is checked |
|---|---|
| `python` | runs; a comment behind an expression is its value, or `dtype[shape]` |
| `sh` | each line that begins with `fastrf` or `echo` runs, in 80 columns; `# exits with 1` behind one says so |
| `text` behind one of these | what it prints |
| `toml`, `json`, `python` with `# NAME` in the first line | a file of that name |
| `py`, and lines with `--scheduler` | need what no test has, such as a cluster: `py` parses |
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import importlib.util
import io
import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import fastrf

ROOT = Path(__file__).parent.parent
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def fences(page):
    """The code blocks of a page in order, each with its language."""
    return _FENCE.findall(page)


def blocks(page, language):
    """The code blocks of a page in one language."""
    return [body for kind, body in fences(page) if kind == language]


class Reader:
    """Reads a page as a person would who tries everything, in the current folder. `checked` counts what was said."""

    def __init__(self, names=None):
        self.names = {} if names is None else names
        self.names["fastrf"] = fastrf
        self.absent = set()  # names that blocks would have given which need what is not installed
        self.checked = 0
        self.printed = None

    def read(self, page):
        """Every block in turn."""
        for kind, body in fences(page):
            if kind == "text" and self.printed is not None:
                assert lines(self.printed) == lines(body)
                self.checked += 1
                continue
            self.printed = None
            file = re.match(r"# ([\w./]+\.\w+)\n", body)
            if file and kind in ("toml", "json", "python"):
                Path(file[1]).write_text(body if kind != "json" else body.partition("\n")[2])
            if kind == "python" and not file:
                self.run(body)
            elif kind == "sh":
                outputs = [self.command(line) for line in body.splitlines()]
                self.printed = None if None in outputs else "".join(outputs)
            elif kind in ("py", "toml", "json"):
                {"py": ast.parse, "toml": tomllib.loads, "json": json.loads}[kind](
                    body if kind != "json" or not file else body.partition("\n")[2]
                )
        return self.checked

    def run(self, block):
        """A block of Python, unless it imports what is not installed, or needs what such a block gives."""
        tree = ast.parse(block)
        loaded, given = used(tree)
        if not all(map(installed, imported(tree))) or loaded & self.absent:
            self.absent |= given
            return
        self.absent -= given
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            for statement in tree.body:
                self.statement(block, statement)
        self.printed = out.getvalue()

    def statement(self, block, statement):
        """One statement; the comment behind an expression is its value."""
        line = block.splitlines()[statement.end_lineno - 1].encode()
        comment = line[statement.end_col_offset :].decode().strip().removeprefix("#")
        if not isinstance(statement, ast.Expr) or not comment:
            exec(compile(ast.Module([statement], []), "page", "exec", dont_inherit=True), self.names)
            return
        value = eval(ast.get_source_segment(block, statement), self.names)
        self.checked += check(value, comment.strip().partition(": ")[0], self.names)

    def command(self, line):
        """A line of a shell: what `fastrf` prints, a note on stderr included; None where it cannot be run here."""
        words = shlex.split(line, comments=True)[1:]
        if line.startswith("echo "):
            subprocess.run(line, shell=True, check=True)
            return ""
        if not line.startswith("fastrf ") or "--scheduler" in words:
            return None
        if not all(map(installed, re.findall(r"(?<= )([\w.]+):\w+", line))):
            return None
        from fastrf.cli import commands

        words = [path for word in words for path in (map(str, Path().glob(word)) if "*.onnx" in word else [word])]
        if "-o" in words and "--resume" not in words:
            Path(words[words.index("-o") + 1]).unlink(missing_ok=True)  # another snippet's of the page
        out, err = Terminal(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            patch.setenv("COLUMNS", "80")
            patch.setenv("NO_COLOR", "1")
            patch.setattr("fastrf.system.terminal._is_terminal", lambda stream: stream is out)
            with pytest.raises(SystemExit) as stop:
                commands.main(words)
        assert (stop.value.code or 0) == line.endswith("# exits with 1"), f"{line}: {err.getvalue()}"
        assert out.getvalue() or err.getvalue(), line
        return out.getvalue() + err.getvalue()


class Terminal(io.StringIO):
    """Where commands print to."""

    encoding = "utf-8"


def check_python(page, names=None):
    """Run the Python of a page alone. How many values were checked."""
    reader = Reader(names)
    for block in blocks(page, "python"):
        reader.run(block)
    return reader.checked


def imported(tree):
    """The modules that a block imports at its top."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def installed(module):
    """Whether a module, or the package that it is in, is there."""
    return module.partition(".")[0] in sys.modules or importlib.util.find_spec(module.partition(".")[0]) is not None


def used(tree):
    """The names that a block reads, and those that it gives."""
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    given = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    given |= {node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            given |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    return {node.id for node in names if isinstance(node.ctx, ast.Load)} - set(dir(builtins)), given - {"fastrf"}


def lines(text):
    """The lines of a text, without blanks at their ends."""
    return [line.rstrip() for line in text.strip("\n").splitlines()]


def check(value, said, names):
    """Whether a value is what a comment says; False for a comment that is no value."""
    if re.fullmatch(r"\w+\[[\d, ]+\]", said):
        kind, shape = said.rstrip("]").split("[")
        assert (str(value.dtype), value.shape) == (kind, tuple(map(int, shape.split(","))))
        return True
    try:
        expected = eval(said, {**names, "inf": float("inf"), "nan": float("nan")})
    except (SyntaxError, NameError):
        return False
    assert np.array_equal(value, expected) if isinstance(value, np.ndarray) else value == expected, (value, said)
    return True
