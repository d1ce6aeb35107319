"""Pages that the program itself knows best: `python -m bench.reference` writes options of commands and operators.

`docs/commands/*.md` get options between their marks, `docs/spec_operators.md` and `docs/api/layers.md` the operators.
`tests/test_docs.py` asks that they are what this writes.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Iterator
from typing import Any

import typer.main

import fastrf
from bench.pages import DOCS, put_between
from fastrf.checks.figures import FIGURES
from fastrf.cli.commands import app
from fastrf.ops.registry import Operator

#: Names of groups of options that several commands share, and a command whose options hold them.
SHARED = {"MODEL": ("boxes", "summary"), "table": ("boxes", "summary")}
#: What a module's operators have in common, in the page's order.
KINDS = {
    "windows": "Windows",
    "dense": "Dense layers, attention, norms, reductions",
    "shape": "Shapes",
    "resize": "Resizing",
    "pointwise": "Elements",
    "dynamic": "What data decides",
}


def written() -> Iterator[tuple[str, str]]:
    """Every page that is written, by its path in `docs`, with what it should hold."""
    for page in sorted((DOCS / "commands").glob("*.md")):
        text = page.read_text()
        for name in re.findall(r"<!-- options (\w+) -->", text):
            text = put_between(text, f"options {name}", options(name))
        if page.name == "check.md":
            text = put_between(text, "figures", figures())
        yield f"commands/{page.name}", text
    yield "spec_operators.md", operators()
    layers = (DOCS / "api" / "layers.md").read_text()
    yield "api/layers.md", put_between(layers, "constructors", constructors())


def command(name: str) -> Any:
    """A command as it parses its words."""
    return typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]


def shared(name: str) -> list[str]:
    """The parameters of a model, or of a table."""
    from dataclasses import fields

    from fastrf.cli.options import Printed, Source

    return [field.name for field in fields({"MODEL": Source, "table": Printed}[name])]


def options(name: str) -> str:
    """The table of a command's own options, or of those that are shared."""
    if name in SHARED:
        known = {one.name: one for parent in SHARED[name] for one in command(parent).params}
        return table([known[own] for own in shared(name)])
    params = command(name).params
    names = {one.name for one in params}
    groups: list[Collection[str]] = [shared("MODEL")] if "model" in names else []
    groups += [shared("table")] if "markdown" in names else []
    return table([one for one in params if not any(one.name in group for group in groups)])


def table(params: list[Any]) -> str:
    """Options in Markdown: what is typed, and what it does."""
    lines = ["| option | what it does |", "|---|---|"]
    for one in params:
        if one.name == "help":
            continue
        typed = ", ".join(sorted(one.opts, key=len, reverse=True)) if one.opts[0].startswith("-") else ""
        value = "" if getattr(one, "is_flag", False) else f" {one.metavar or one.name.upper()}"
        shown = one.default is not None and one.default != () and not getattr(one, "is_flag", False) and typed
        default = f" Default: `{one.default}`." if shown and "efault" not in one.help else ""
        needed = " Needed." if typed and one.required else ""
        lines.append(f"| `{(typed + value).strip()}` | {one.help}{default}{needed} |")
    return "\n".join(lines)


def figures() -> str:
    """The figures that rules may ask for."""
    lines = ["| figure | is |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{one.name}` | {one.about} |" for one in FIGURES.values())])


def operators() -> str:
    """The page of all operators."""
    parts = [_HEAD]
    for module, title in KINDS.items():
        parts.append(f"## {title}")
        for function, found in groups(module):
            parts.append(entry(function, found))
    return "\n\n".join(parts) + "\n"


def groups(module: str) -> list[tuple[Any, list[Operator]]]:
    """The functions of a module in their order, each with the operators that depend alike."""
    found: dict[Any, list[Operator]] = {}
    for one in fastrf.ops.OPERATORS.values():
        if one.function.__module__ == f"fastrf.ops.{module}":
            found.setdefault(one.function, []).append(one)
    return sorted(found.items(), key=lambda pair: pair[0].__code__.co_firstlineno)


def entry(function: Any, found: list[Operator]) -> str:
    """What a function's operators are called, read and take."""
    names = [one.name for one in found]
    told = inspect.getdoc(function) or ""
    heading = f"### {names[0]}"
    others = f"Likewise {', '.join(f'`{name}`' for name in names[1:])}.\n\n" if names[1:] else ""
    return f"{heading}\n\n{others}{paragraphs(told)}\n\n{attributes(found[0])}"


def paragraphs(text: str) -> str:
    """A docstring in Markdown, in which lines such as `Source: ...` stand by themselves."""
    return re.sub(r"\n+(?=(?:Maths|Example|Source): )", "\n\n", text)


def attributes(one: Operator) -> str:
    """What it reads, and its attributes with their defaults."""
    number = "any number of inputs" if one.max_inputs is None else ", ".join(f"`{p.name}`" for p in one.inputs)
    given = [
        f"`{p.name}`" if p.default is p.empty else f"`{p.name} = {p.default!r}`"
        for p in one.parameters
        if p.kind is p.KEYWORD_ONLY
    ]
    return f"- reads: {number}\n- attributes: {', '.join(given) or 'none'}"


def constructors() -> str:
    """The functions of layers, with what each takes."""
    lines = ["| function | takes |", "|---|---|"]
    for name in sorted(fastrf.__all__):
        value = getattr(fastrf, name)
        if inspect.isfunction(value) and value.__module__ == "fastrf.frontends.layers" and name != "layer":
            signature = inspect.signature(value)
            given = ", ".join(str(p.replace(annotation=p.empty)) for p in list(signature.parameters.values())[:-2])
            page = f"../spec_operators.md#{heading_of(name)}"
            lines.append(f"| [`fastrf.{name}`]({page}) | {f'`{given}`' if given else ''} |")
    return "\n".join(lines)


def heading_of(name: str) -> str:
    """The operator whose heading an operator stands under."""
    function = fastrf.ops.OPERATORS[name].function
    return next(one.name for one in fastrf.ops.OPERATORS.values() if one.function is function)


_HEAD = """# Operators of specs

Written by `python -m bench.reference` from the operators' own documentation. A layer of a spec names one with `op`, and
gives its attributes beside it:

```toml
input_shape = [8, 32, 32]

[[layers]]
op = "resize"
scale = 2
mode = "nearest"
```

In Python, the same is `fastrf.layer("resize", scale=2, mode="nearest")`, or a mapping. Shapes and axes are without the
batch. `kernel_size`, `stride`, `dilation` are one number, or one for each spatial axis; `padding` is a number, one for
each axis, a pair `[before, after]` for each axis (of one axis the pair alone will do), `"same"`, `"same_lower"`,
`"causal"` (all before) or `"valid"`. An attribute without a default must be given."""


def main() -> None:
    """Write every page."""
    for name, text in written():
        (DOCS / name).write_text(text)
        print(name)


if __name__ == "__main__":
    main()
