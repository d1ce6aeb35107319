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

#: The parts of fastrf, lower ones first: a module imports only from parts at or below its own.
ORDER = [
    *["errors", "budget", "system", "engine", "ops", "network", "zoo", "layers", "queries", "outputs", "field"],
    *["frontends", "loading", "summary", "analysis", "columns", "spaces", "sweeps", "erf", "anchors"],
    *["cli", "__main__", "__init__"],
]


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
        if path.name in ("__init__.py", "__main__.py") or (path.name == "kernels.py" and part(path) == "engine"):
            continue
        name = ".".join(("fastrf", *path.relative_to(SOURCE).with_suffix("").parts))
        if "torch" in name and importlib.util.find_spec("torch") is None:
            continue
        module = importlib.import_module(name)
        assert module.__doc__
        assert all(hasattr(module, exported) for exported in module.__all__), name


def imports(path):
    """Every module of fastrf that a file imports: at its top, in functions, for types; by name or from a package."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "fastrf")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "fastrf":
            assert not node.level, f"{path}: relative imports are not looked at here"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in NAMES else node.module


def dotted(path):
    """The module that a file holds."""
    return ".".join(("fastrf", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")


NAMES = {dotted(path) for path in modules()}


def test_imports_run_one_way():
    for path in modules():
        for target in imports(path):
            top = target.split(".")[1] if "." in target else "__init__"
            if (top, part(path)) != ("__init__", "cli"):  # it shows the version
                assert ORDER.index(top) <= ORDER.index(part(path)), f"{dotted(path)} imports {target}"


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
