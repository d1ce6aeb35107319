"""The house in figures: `python -m bench.house [--mutants]`.

Counts what a reader meets: how much stands at the top, circles of imports, lines, long functions and files, lists of
operators by hand. `--mutants` also changes one line at a time and counts the changes that no test
notices, which takes minutes. Rows of speed are those of `python -m bench.report`.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench import mutants
from fastrf.ops import OPERATORS

__all__ = ["SOURCE", "circles", "imports", "long_files", "long_functions", "main", "module_name", "modules", "top"]

SOURCE = Path(__file__).parent.parent / "fastrf"
#: Lines of a function, docstring counted, and of a file that can be read in one sitting.
FUNCTION_LINES, FILE_LINES = 40, 420


def modules() -> list[Path]:
    """Every file of the package."""
    return sorted(SOURCE.rglob("*.py"))


def top() -> list[str]:
    """Modules and packages at the top."""
    return sorted(path.stem for path in SOURCE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists())


def module_name(path: Path) -> str:
    """The module that a file holds."""
    return ".".join(("fastrf", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")


def imports() -> dict[str, set[str]]:
    """What each module imports of fastrf: at its top, in functions, for types; by name or from a package."""
    names = {module_name(path) for path in modules()}
    return {module_name(path): set(_imports(path, names)) for path in modules()}


def _imports(path: Path, names: set[str]) -> Iterator[str]:
    package = module_name(path).split(".")[: None if path.stem == "__init__" else -1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in names)
        elif isinstance(node, ast.ImportFrom):
            parts = [*package[: len(package) - node.level + 1]] if node.level else []
            source = ".".join([*parts, *([node.module] if node.module else [])])
            wholes = [f"{source}.{alias.name}" for alias in node.names]
            yield from (whole if whole in names else source for whole in wholes if source in names)


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Modules that import each other, whichever way round: strongly connected components, after Tarjan."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = lowest[name] = len(order)
        stack.append(name)
        for target in sorted(graph[name] - {name}):
            if target not in order:
                visit(target)
            if target in stack:
                lowest[name] = min(lowest[name], lowest[target])
        if lowest[name] == order[name]:
            at = stack.index(name)
            found.extend([sorted(stack[at:])] if len(stack) > at + 1 else [])
            del stack[at:]

    for name in graph:
        if name not in order:
            visit(name)
    return found


def long_functions() -> list[str]:
    """Functions of more than `FUNCTION_LINES` lines, docstrings counted."""
    return [
        f"{path.relative_to(SOURCE)}: {node.name} ({length})"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for length in [node.end_lineno - node.lineno + 1 if node.end_lineno else 0]
        if length > FUNCTION_LINES
    ]


def long_files() -> list[str]:
    """Files of more than `FILE_LINES` lines."""
    lengths = {path: len(path.read_text().splitlines()) for path in modules()}
    return [f"{path.relative_to(SOURCE)} ({n})" for path, n in lengths.items() if n > FILE_LINES]


def lists_of_operators() -> list[str]:
    """Where operators are listed by name outside `ops/`: each is a further place that a new operator would touch.

    Front-ends say which operators foreign ones become, the zoo and spaces what networks are made of; neither is asked.
    """
    found = []
    for path in modules():
        if path.relative_to(SOURCE).parts[0] in ("ops", "frontends", "zoo", "spaces"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            items = node.keys if isinstance(node, ast.Dict) else getattr(node, "elts", [])
            names = [item.value for item in items if isinstance(item, ast.Constant)]
            if len(names) > 1 and len(names) == len(items) and all(name in OPERATORS for name in names):
                found.append(f"{path.relative_to(SOURCE)}:{node.lineno}: {', '.join(map(str, names))}")
    return found


def main() -> int:
    """Print the table, and what is over a bound below it; exit code 1 if anything is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--mutants", action="store_true", help="try changes of one line, too (minutes)")
    options = parser.parse_args()
    lines = sum(len(path.read_text().splitlines()) for path in modules())
    rows = [
        ("modules and packages at the top of fastrf/", len(top()), 24, top()),
        ("circles of imports, all kinds counted", *_counted(circles(imports()), 0)),
        ("lines of fastrf/", lines, 24_000, []),
        ("lists of operators by hand, besides their facts", *_counted(lists_of_operators(), 0)),
        (f"functions over {FUNCTION_LINES} lines", *_counted(long_functions(), 0)),
        (f"files over {FILE_LINES} lines", *_counted(long_files(), 0)),
    ]
    if options.mutants:
        ended = [(mutant, how) for mutant, how in mutants.tried(mutants.MUTANTS) if how not in mutants.NOTICED]
        rows.append((f"changes of one line that survive, of {len(mutants.MUTANTS)}", *_counted(ended, 2)))
    for what, now, most, which in rows:
        print(f"{what:<54} {now:>7,} of at most {most:,}")
        print("".join(f"    {one}\n" for one in which if now > most), end="")
    return int(any(now > most for _, now, most, _ in rows))


def _counted(found: Sequence[object], most: int) -> tuple[int, int, Sequence[object]]:
    return len(found), most, found


if __name__ == "__main__":
    sys.exit(main())
