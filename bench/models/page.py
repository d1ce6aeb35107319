"""`docs/models.md` from the rows of the cache: totals, and a table per library."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench.models.libraries import FIRST, LIBRARIES

__all__ = ["PAGE", "is_well", "report"]

PAGE = Path(__file__).parent.parent.parent / "docs" / "models.md"
Row = dict[str, Any]

OPENING = """# Models

Written by `python -m bench.models`. Each model is captured as `fastrf.analyze` does by default, analysed, and random
neurons, corners included, are compared with an independent autograd oracle. The recorded graph is also run on random
numbers: the model and each of its modules must give the same ("unlike" names those that do not). Of one model in six,
where `torch.export` follows within ten seconds, every module's field is compared with that of the exported model.

- **input**: smaller than the model's own, so that the oracle is quick; without the batch.
- **exact**: `yes`; `assumed`: exact if what `assumes` lists holds; or the operators whose nodes `approximate_at` lists.
- **capture, ms**: from the module to a `Network`; **ratio**: over one forward pass of the module at the same input.
  **at own size**: the same at the input that the model is made for. A small input makes a forward pass short, and a
  small configuration shorter still; capture depends on neither. **analysis, ms**: all nodes, remembering nothing. All
  are processor time on one thread, medians of three.
- **neurons**: compared with autograd; all agreed where no other number follows. Fewer are those of models that took
  longer than a minute or two.
"""
PACKAGES = """
torch torchvision timm transformers diffusers segmentation-models-pytorch monai pytorchcv ultralytics keras torchaudio
asteroid braindecode demucs denoiser pytorch-tcn wavenet-vocoder torchcrepe
""".split()  # noqa: SIM905  (reads better as text)
HEAD = [
    "| model | input | captured | nodes | terms | exact | nominal size (at) | capture, ms | ratio | at own size "
    "| analysis, ms | neurons |",
    "|---|---|---|--:|--:|---|---|--:|--:|--:|--:|--:|",
]


def is_well(row: Row) -> bool:
    """Whether a model was analysed, and nothing disagrees."""
    if "error" in row:
        return False
    differ = isinstance(row.get("captures"), list) and row["captures"]
    return bool(row["agreed"] == row["compared"] and not row.get("unlike") and not differ)


def report(rows: Sequence[Row]) -> str:
    """The page."""
    latest = {(row["source"], row["name"]): row for row in rows}
    by_library = {
        library: [latest[library, name] for name in LIBRARIES[library].names() if (library, name) in latest]
        for library in LIBRARIES
    }
    parts = [OPENING, _versions(), _totals({library: found for library, found in by_library.items() if found})]
    for library, found in by_library.items():
        if found:
            parts.append(_section(library, found))
    return "\n".join(parts)


def _versions() -> str:
    """The packages that are installed here."""
    found = []
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found.append(f"{package} {version(package).partition('+')[0]}")
    return f"Packages: {', '.join(found)}.\n"


def _totals(by_library: dict[str, list[Row]]) -> str:
    """One row per library, and of those that were looked at first and since."""
    lines = [
        "| library | models | analysed | exact, listed | recorded | neurons | agreed | equal | ratio | at own size |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [_total(LIBRARIES[library].title, found) for library, found in by_library.items()]
    groups = {"torchvision, timm": True, "all others": False}
    for title, first in groups.items():
        found = [row for library, rows in by_library.items() if (library in FIRST) is first for row in rows]
        if found:
            lines.append(_total(f"**{title}**", found))
    return "\n".join([*lines, ""])


def _total(title: str, rows: Sequence[Row]) -> str:
    ran = [row for row in rows if "error" not in row]
    listed = sum(1 for row in ran if row["approximate"] or row["assumes"])
    both = [row["captures"] for row in ran if isinstance(row.get("captures"), list)]
    cells = [
        *(title, len(rows), len(ran), f"{len(ran) - listed}, {listed}", sum(row["how"] == "recorded" for row in ran)),
        *(sum(row["compared"] for row in ran), sum(row["agreed"] for row in ran)),
        f"{sum(not found for found in both)} of {len(both)}",
        _median([row["load_s"] / row["forward_s"] for row in ran]),
        _median([row["own_load_s"] / row["own_forward_s"] for row in ran if "own_load_s" in row]),
    ]
    return f"| {' | '.join(map(str, cells))} |"


def _median(numbers: Sequence[float]) -> str:
    return f"{statistics.median(numbers):.2g}" if numbers else ""


def _section(library: str, rows: Sequence[Row]) -> str:
    """A library's table, and what went wrong in it."""
    found = LIBRARIES[library]
    lines = [f"## {found.title}", "", *([found.note, ""] if found.note else []), *HEAD]
    lines += [_row(row) for row in sorted(rows, key=lambda row: row["name"].lower())]
    problems = [f"- {row['name']}: {said}" for row in rows for said in [_problem(row)] if said]
    return "\n".join([*lines, "", *([*problems, ""] if problems else [])])


def _row(row: Row) -> str:
    head = f"| {row['name']} | {row.get('input', '')} "
    if "error" in row:
        return f"{head}| fails | | | | | | | | | |"
    operators = sorted({op for _, op in row["approximate"]})
    exact = (
        f"{', '.join(operators)} ({len(row['approximate'])})" if operators else "assumed" if row["assumes"] else "yes"
    )
    at, sizes = row["size"]
    size = f"{' x '.join(f'{n:g}' for n in sizes)} ({at})" if at else ""
    neurons = row["compared"] if row["agreed"] == row["compared"] else f"{row['compared']}, agreed {row['agreed']}"
    own = f"{row['own_load_s'] / row['own_forward_s']:.2g}" if "own_load_s" in row else ""
    cells = [
        *(row["how"], row["nodes"], row["terms"], exact, size, f"{1e3 * row['load_s']:.0f}"),
        *(f"{row['load_s'] / row['forward_s']:.2g}", own, f"{row['analysis_ms']:.0f}", neurons),
    ]
    return f"{head}| {' | '.join(map(str, cells))} |"


def _problem(row: Row) -> str:
    """Why it fails, or what does not agree."""
    if "error" in row:
        return " ".join(row["error"].split())[:240].replace("|", "/")
    said = []
    if row.get("uncompared"):
        said.append(f"no neuron compared, since the oracle has {row['uncompared']}")
    if row.get("unlike"):
        said.append(f"unlike: {row['unlike']}")
    if isinstance(row.get("captures"), list) and row["captures"]:
        said.append(f"the captures differ at {', '.join(row['captures'][:3])}")
    return "; ".join(said)
