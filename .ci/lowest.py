"""The lowest versions that pyproject.toml allows, as constraints for pip: `python .ci/lowest.py test sweep`."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]


def pins(requirements: list[str], project: dict[str, Any] = PROJECT) -> Iterator[str]:
    """`name==lowest` of each requirement that has a lower bound; extras of the project itself are followed."""
    for requirement in requirements:
        found = re.fullmatch(r"([\w.-]+)(?:\[([\w,-]+)\])?(?:>=([\d.]+))?", requirement)
        if found is None:
            raise SystemExit(f"{requirement!r} is not a name with a lower bound")
        name, extras, lowest = found.groups()
        if name == project["name"]:
            for extra in extras.split(","):
                yield from pins(project["optional-dependencies"][extra], project)
        elif lowest is not None:
            yield f"{name}=={lowest}"


if __name__ == "__main__":
    wanted = [f"{PROJECT['name']}[{extra}]" for extra in sys.argv[1:]]
    sys.stdout.write("\n".join(sorted(set(pins([*PROJECT["dependencies"], *wanted])))) + "\n")
