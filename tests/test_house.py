"""The rules of the house: what is public, which way imports run, and what a bare import costs."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastrf
from bench import house

SOURCE = Path(fastrf.__file__).parent

#: The parts of fastrf, lower ones first: a module imports only from parts at or below its own.
ORDER = [
    *["errors", "budget", "system", "engine", "ops", "network", "zoo", "queries", "field"],
    *["frontends", "summary", "analysis", "spaces", "sweeps", "erf", "anchors"],
    *["plot", "tiling", "checks", "explorer", "testing", "__init__", "cli", "__main__"],
]


def top(module):
    """The part of fastrf that a module belongs to."""
    return module.split(".")[1] if "." in module else "__init__"


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_every_public_name_is_there_and_documented():
    assert sorted(fastrf.__all__) == fastrf.__all__
    assert set(fastrf._HOME) | {"__version__"} == set(fastrf.__all__)
    assert dir(fastrf) == fastrf.__all__
    for name in fastrf.__all__:
        value = getattr(fastrf, name)
        assert name == "__version__" or inspect.getdoc(value)
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        _ = fastrf.nope


def test_no_module_bears_the_name_of_a_public_function():
    names = {info.name for info in pkgutil.iter_modules([str(SOURCE)])}
    functions = {name for name in fastrf.__all__ if inspect.isfunction(getattr(fastrf, name))}
    assert not names & functions


def test_every_module_declares_what_it_exports():
    for name in house.imports():
        if name in ("fastrf.__main__", "fastrf.engine.kernels"):
            continue
        if "torch" in name and importlib.util.find_spec("torch") is None:
            continue
        module = importlib.import_module(name)
        assert module.__doc__
        exported = module.__all__ if not hasattr(module, "__path__") else ()
        assert all(hasattr(module, one) for one in exported), name


def test_imports_run_one_way():
    for module, targets in house.imports().items():
        for target in targets:
            assert ORDER.index(top(target)) <= ORDER.index(top(module)), f"{module} imports {target}"


def test_no_circle_of_imports():
    assert not house.circles(house.imports())


def test_files_are_read_in_one_sitting():
    assert not house.long_files()


def test_circles_are_seen_whichever_way_round():
    graph = {"a": {"b"}, "b": {"c", "b"}, "c": {"a", "d"}, "d": {"e"}, "e": {"d"}, "f": {"a"}}
    assert sorted(house.circles(graph)) == [["a", "b", "c"], ["d", "e"]]
    assert not house.circles({"a": {"b", "c"}, "b": {"c"}, "c": set()})


#: What names an operator, in either front-end, and the functions of texts that look at parts of them.
OPERATORS = ("operator_name", "short_name", "op", "op_type", "target", "domain")
PARTS = (
    "startswith",
    "endswith",
    "removeprefix",
    "removesuffix",
    "partition",
    "rpartition",
    "split",
    "find",
    "replace",
)


def names_an_operator(node, known):
    """Whether an expression is an operator's name, or was put into a variable as one."""
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "str":
        return any(names_an_operator(argument, known) for argument in node.args)
    if isinstance(node, ast.Call):
        return names_an_operator(node.func, known)
    if isinstance(node, ast.Attribute):
        return node.attr in OPERATORS
    return isinstance(node, ast.Name) and node.id in known


def decisions_by_parts(tree):
    """Where a function looks at a part of an operator's name: prefixes, endings, what it contains, some letters."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        nodes = list(ast.walk(function))
        known = {*OPERATORS[:2]}
        for node in nodes:
            if isinstance(node, ast.Assign) and names_an_operator(node.value, known):
                known |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        for node in nodes:
            called = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in PARTS
            if called and names_an_operator(node.func.value, known):
                yield function.name
            inside = isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn)
            if inside and names_an_operator(node.comparators[0], known):
                yield function.name
            if isinstance(node, ast.Subscript) and names_an_operator(node.value, known):
                yield function.name


@pytest.mark.parametrize("frontend", ["torch", "onnx"])
def test_operators_are_told_apart_by_their_whole_names(frontend):
    for path in (SOURCE / "frontends" / frontend).glob("*.py"):
        assert not list(decisions_by_parts(ast.parse(path.read_text()))), path


def test_decisions_by_parts_of_names_are_seen():
    found = [
        "name = short_name(node)\n    return name.startswith('conv')",
        "return 'mean' in operator_name(node)",
        "return 'conv' not in str(node.target)",
        "text = str(node.target)\n    return text[-1] == '_'",
        "return call.op.endswith('Pool')",
    ]
    for code in found:
        assert list(decisions_by_parts(ast.parse(f"def decide(node, call):\n    {code}"))), code
    fine = "def decide(node):\n    return short_name(node) in TABLE and TABLE[short_name(node)] in ('conv',)"
    assert not list(decisions_by_parts(ast.parse(fine)))


def test_importing_is_light():
    heavy = ["numba", "scipy", "numpy", "rich", "typer", "torch", "onnx", "matplotlib", "pandas", "zarr", "dask"]
    assert run(f"import sys, fastrf; print([m for m in {heavy} if m in sys.modules])") == "[]"


def test_help_imports_neither_numba_nor_scipy():
    code = (
        "import sys, contextlib, io\n"
        "from fastrf.cli.commands import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    main(['--help'])\n"
        "print([m for m in ('numba', 'scipy', 'numpy', 'torch', 'onnx') if m in sys.modules])"
    )
    assert run(code) == "[]"


def test_version_agrees_with_the_changelog():
    changelog = (Path(__file__).parent.parent / "CHANGELOG.md").read_text()
    assert f"## {fastrf.__version__}" in changelog
