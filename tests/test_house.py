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

SOURCE = Path(fastrf.__file__).parent

#: Lower layers first; a module may import only from layers at or below its own.
LAYERS = [
    {
        "errors",
        "limits",
        "memory",
        "kernels",
        "positions",
        "files",
        "texts",
        "tabular",
        "interrupts",
        "console",
        "compiling",
    },
    {"relation", "stretched"},
    {"regular", "terms"},
    {"axis_map"},
    {"extent"},
    {"pieces", "joining"},
    {"recipe", "dependency", "nominal"},
    {"ops", "costs", "halo", "tightening"},
    {"network", "naming", "layers", "zoo", "counting", "storage", "masks", "ignoring"},
    {"streams"},
    {"frontends", "field"},
    {"loading", "analysis", "summary", "drawing", "source_options"},
    {"sweeps"},
    {"spaces", "anchors"},
    {"warmup", "cli", "__main__", "__init__"},
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}


def modules():
    return sorted(path for path in SOURCE.rglob("*.py"))


def part(path):
    """The top-level part of fastrf that a file belongs to."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


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
    for path in modules():
        if part(path) in ("__main__", "kernels") or path.name == "__init__.py":
            continue
        name = ".".join(("fastrf", *path.relative_to(SOURCE).with_suffix("").parts))
        if "torch" in name and importlib.util.find_spec("torch") is None:
            continue
        module = importlib.import_module(name)
        assert module.__doc__
        assert all(hasattr(module, exported) for exported in module.__all__), name


def test_imports_run_one_way():
    for path in modules():
        tree = ast.parse(path.read_text())
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fastrf"):
                pieces = (node.module or "").split(".")
                targets = [pieces[1]] if len(pieces) > 1 else [alias.name for alias in node.names]
                for target in targets:
                    assert RANK[target] <= RANK[part(path)], f"{path.name} imports {target}"


def test_importing_is_light():
    heavy = ["numba", "scipy", "numpy", "rich", "typer", "torch", "onnx", "matplotlib", "pandas", "zarr", "dask"]
    assert run(f"import sys, fastrf; print([m for m in {heavy} if m in sys.modules])") == "[]"


def test_help_imports_neither_numba_nor_scipy():
    code = (
        "import sys, contextlib, io\n"
        "from fastrf.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    main(['--help'])\n"
        "print([m for m in ('numba', 'scipy', 'numpy', 'torch', 'onnx') if m in sys.modules])"
    )
    assert run(code) == "[]"


def test_version_agrees_with_the_changelog():
    changelog = (Path(__file__).parent.parent / "CHANGELOG.md").read_text()
    assert f"## {fastrf.__version__}" in changelog
