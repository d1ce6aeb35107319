"""Other tools on the same models, and who is right: `python -m bench.compare [--install] [--smoke]`.

Each tool runs in a process of its own, on a torchvision model with random weights, and says how wide the receptive
field of the last map is. The truth is the width on an unbounded image, which tests hold against autograd and published
numbers. `--install` brings the tools into `.benchmarks/peers`, without their dependencies. The table of
`docs/comparison.md`, with what each tool cannot do and where it failed, and its summary in the README are written anew.
A tool that is not there, or that runs longer than `LIMIT`, is recorded as such.

Gradients are asked as their authors advise: positive weights, an image wider than the field. asdex reads JAX, so it
gets the traced model in `jax.lax` with one channel a layer: convolutions read every channel, so the field is the same.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.in_jax import in_jax
from bench.pages import ROOT, write_between
from bench.timing import median_seconds

__all__ = ["Answer", "answers", "main", "write"]

PEERS = Path(os.environ.get("FASTRF_PEERS", ROOT / ".benchmarks" / "peers"))
PACKAGES = {
    "torchscan": ("torchscan==0.1.2",),
    "rfa_toolbox": ("rfa-toolbox==1.7.0", "attrs", "graphviz"),
    "receptivefield": ("receptivefield==0.5.0",),
    "openerf": ("openerf==0.6.1",),
    "asdex": ("asdex==0.5.1", "jax==0.10.2", "jaxlib==0.10.2", "opt_einsum==3.4.0"),
}

#: Why pip did not install a tool, in this run.
PROBLEMS: dict[str, str] = {}

#: Seconds that a tool may take for a model.
LIMIT = 300

#: What a tool gives and does not give, right or wrong.
NOTES = {
    "torchscan": "one width per layer, added up in the order of calls; no masks, no positions.",
    "rfa_toolbox": "widths over paths; no padding, no positions, no masks, dilation ignored.",
    "receptivefield": "counts columns with a gradient (gaps are lost) of one middle position, in float32; no masks.",
    "openerf": "positive gradients of the middle of the map, in float32, for RGB images; no other position.",
    "asdex": "exact masks of every scalar of a JAX function (here one channel a layer), slow to grow; no pooling.",
}

#: Width of the last map's field on an unbounded image.
TRUTH = {
    "alexnet": 195,
    "vgg16": 212,
    "resnet18": 435,
    "resnet50": 427,
    "resnet152": 1451,
    "inception_v3": 1311,
    "densenet121": 2071,
    "unet": 204,
    "dilated": 29,
}


@dataclass(frozen=True)
class Answer:
    """What a tool says of a model: the width (None: it failed), whether that is right, and how long it took."""

    tool: str
    model: str
    width: float | None
    right: bool
    seconds: float | None
    ours: float | None
    analysis: float | None = None
    problem: str = ""


def build(model: str) -> tuple[Any, tuple[int, ...]]:
    """A model without its head, and its input."""
    import torchvision
    from torch import nn

    from bench.autograd import unet

    if model == "unet":
        return unet().eval(), (1, 224, 224)
    if model == "dilated":
        layers = [nn.Conv2d(1 if k == 0 else 4, 4, 3, padding=d, dilation=d) for k, d in enumerate((2, 4, 8))]
        return nn.Sequential(*layers).eval(), (1, 224, 224)
    options = {"aux_logits": False, "init_weights": False} if model == "inception_v3" else {}
    whole = torchvision.models.get_model(model, weights=None, **options).eval()
    if hasattr(whole, "features"):
        whole = whole.features
    elif model != "inception_v3":
        whole = nn.Sequential(*list(whole.children())[:-2])
    else:
        whole.avgpool, whole.dropout, whole.fc = nn.Identity(), nn.Identity(), nn.Identity()
    return whole, (3, 299, 299) if model == "inception_v3" else (3, 224, 224)


# One function per tool: the width that it finds ---------------------------------------------------------------


def by_torchscan(model: Any, shape: tuple[int, ...]) -> float:
    """The receptive field that torchscan adds up in the order of calls."""
    from torchscan import crawl_module

    return float(crawl_module(model, shape)["layers"][-1]["rf"])


def by_rfa(model: Any, shape: tuple[int, ...]) -> float:
    """The largest field over paths through the traced graph."""
    import collections
    import collections.abc

    collections.Sequence = collections.abc.Sequence  # type: ignore[attr-defined]  # it was written for Python 3.9
    from rfa_toolbox import create_graph_from_pytorch_model

    graph = create_graph_from_pytorch_model(model, input_res=(1, *shape))
    return float(max(np.max(size) for node in graph.all_layers for size in node.receptive_field_sizes))


def by_receptivefield(model: Any, shape: tuple[int, ...]) -> float:
    """The columns with a gradient, on the long thin image; what it calls height is the width."""
    from receptivefield.pytorch import PytorchReceptiveField
    from receptivefield.types import ImageShape

    _, width = _strip(shape)
    network = _mapped(model, 2)  # it asks for two rows
    (found,) = PytorchReceptiveField(lambda: network).compute(ImageShape(w=width, h=128, c=shape[0]))
    return float(max(found.rf.size))


def by_openerf(model: Any, shape: tuple[int, ...]) -> float:
    """The extent of the effective field's map, on a long thin white image in a folder."""
    from openerf import compute_erf
    from PIL import Image

    height, width = _strip(shape)
    network = _mapped(model)
    network.pretrained_cfg = {"input_size": (3, height, width), "crop_pct": 1.0}
    with tempfile.TemporaryDirectory() as folder:
        Image.new("RGB", (width, height), "white").save(Path(folder) / "white.png")
        found = compute_erf(network, image_dir=folder, device="cpu", show_progress=False)
    columns = np.flatnonzero(found.erf_map.any(axis=0))
    return float(columns[-1] - columns[0] + 1) if columns.size else 0.0


def by_asdex(model: Any, shape: tuple[int, ...]) -> float:
    """The extent of the middle's row of the Jacobian's pattern, one channel a layer, at the model's own size."""
    import asdex
    import jax

    function = in_jax(model)
    image = jax.numpy.zeros((1, 1, *shape[1:]))
    out = jax.eval_shape(function, image).shape
    pattern = asdex.jacobian_sparsity(function, image)
    columns = pattern.cols[pattern.rows == out[2] // 2 * out[3] + out[3] // 2] % shape[2]
    return float(columns.max() - columns.min() + 1)


def _strip(shape: tuple[int, ...]) -> tuple[int, int]:
    """Height and width of an image that no field's width leaves, as low as the layers allow."""
    return 64 if shape[1] == 224 else 96, 4480


def _mapped(model: Any, rows: int = 1) -> Any:
    """The model with positive weights, in the forms that tools of gradients ask for; a flat vector as a map of rows."""
    from torch import nn

    class Mapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, image: Any) -> Any:
            out = self.inner(image)
            self.feature_maps = [out.reshape(1, 2048, rows, -1) if out.dim() == 2 else out]
            return self.feature_maps[0]

        forward_features = forward

    _positive(model)
    return Mapped().eval()


def by_autograd(model: Any, shape: tuple[int, ...]) -> float:
    """The extent of gradients around the middle, on a long thin image: weights positive, maxima as averages."""
    import torch

    image = torch.ones(1, shape[0], *_strip(shape), dtype=torch.float64, requires_grad=True)
    out = _mapped(model.double())(image)
    middle = out.shape[3] // 2 // 16 * 16
    widths = []
    for x in range(middle, middle + (16 if out.shape[3] == image.shape[3] else 1)):
        (gradient,) = torch.autograd.grad(out[0, :, out.shape[2] // 2, x].sum(), image, retain_graph=True)
        seen = (gradient != 0).any(dim=2).any(dim=1)[0].nonzero()
        widths.append(float(seen.max() - seen.min() + 1))
    return max(widths)


def _positive(module: Any) -> None:
    """Weights that cancel nothing; max pooling, which reads one of its window, as average pooling."""
    from torch import nn

    for name, child in module.named_children():
        if isinstance(child, nn.MaxPool2d):
            setattr(module, name, nn.AvgPool2d(child.kernel_size, child.stride, child.padding, child.ceil_mode))
        _positive(child)
    for parameter in module.parameters(recurse=False):
        nn.init.constant_(parameter, 1.0 if parameter.dim() == 1 else 1 / parameter[0].numel())


def by_fastrf(model: Any, shape: tuple[int, ...]) -> float:
    """All nodes, exact, and the width of the last map."""
    import fastrf

    analysis = fastrf.analyze(model, shape)
    maps = [name for name in analysis if len(analysis[name].shape) == len(shape)]
    return float(analysis[maps[-1]].size[0])


TOOLS = {
    "fastrf": by_fastrf,
    "torchscan": by_torchscan,
    "rfa_toolbox": by_rfa,
    "receptivefield": by_receptivefield,
    "openerf": by_openerf,
    "asdex": by_asdex,
    "autograd": by_autograd,
}
#: How often a tool runs for the clock, after a first time that loads what it needs; the median counts.
REPEATS = 5
#: Run once, for the clock: their import is done before it.
SLOW = ("receptivefield", "openerf", "asdex", "autograd")


def child(tool: str, model: str) -> dict[str, Any]:
    """Run a tool on a model in this process, once and then for the clock; slow ones once, imported before."""
    import torch

    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    torch.set_num_threads(1)
    network, shape = build(model)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            if tool not in SLOW:
                TOOLS[tool](network, shape)
            elif tool in PACKAGES:
                importlib.import_module(tool)
            times = []
            for _ in range(1 if tool in SLOW else REPEATS):
                began = time.perf_counter()
                width = TOOLS[tool](network, shape)
                times.append(time.perf_counter() - began)
    except Exception as error:  # whatever a tool raises is its answer
        return {"width": None, "seconds": None, "problem": _named(error)}
    spent = statistics.median(times)
    return {"width": width, "seconds": spent, "problem": "", "analysis": _analysis(network, shape, tool)}


def _named(error: Exception) -> str:
    """An error in one short line."""
    text = " ".join(str(error).split()).replace("`", "'").partition(". ")[0]
    return textwrap.shorten(f"{type(error).__name__}: {text}", 120, placeholder=" ...")


def _analysis(model: Any, shape: tuple[int, ...], tool: str) -> float | None:
    """What fastrf takes once the model is captured."""
    import fastrf
    from fastrf.engine.memo import forget

    if tool != "fastrf":
        return None
    network = fastrf.load(model, shape)
    return median_seconds(lambda: fastrf.analyze(network).output.size, 5, before=forget)


def answers(smoke: bool = False) -> Iterator[Answer]:
    """What every tool that is there says of every model, fastrf first."""
    if importlib.util.find_spec("torchvision") is None:
        return
    for model, truth in list(TRUTH.items())[: 1 if smoke else None]:
        ours: float | None = None
        analysis: float | None = None
        for tool in TOOLS:
            if tool not in ("fastrf", "autograd") and not (PEERS / tool).exists():
                continue
            found = _asked(tool, model)
            if tool == "fastrf":
                ours, analysis = found["seconds"], found["analysis"]
            right = found["width"] == truth
            yield Answer(tool, model, found["width"], right, found["seconds"], ours, analysis, found["problem"])


def _asked(tool: str, model: str) -> dict[str, Any]:
    """What a tool says of a model in a process of its own, which may die or not end."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(PEERS)])}
    command = [sys.executable, "-m", "bench.compare", "--child", tool, model]
    options: dict[str, Any] = {"capture_output": True, "text": True, "env": environment, "cwd": ROOT}
    nothing = {"width": None, "seconds": None, "analysis": None}
    try:
        done = subprocess.run(command, check=False, timeout=LIMIT, **options)
    except subprocess.TimeoutExpired:
        return {**nothing, "problem": f"longer than {LIMIT} s"}
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        return {**nothing, "problem": f"ended with {done.returncode}: {done.stderr.strip()[-60:]}"}
    return {**nothing, **json.loads(lines[-1])}


def table(found: list[Answer]) -> str:
    """Who says what, in Markdown: a wrong width is struck out; then what each tool cannot do."""
    tools = [tool for tool in TOOLS if any(answer.tool == tool for answer in found)]
    lines = [f"| model | true width | {' | '.join(tools)} |", "|---|--:|" + "--:|" * len(tools)]
    for model, truth in TRUTH.items():
        cells = []
        for tool in tools:
            answer = next((a for a in found if (a.tool, a.model) == (tool, model)), None)
            cells.append("" if answer is None else _cell(answer))
        lines.append(f"| {model} | {truth} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *(f"- {tool} {_limits(tool, found)}" for tool in PACKAGES)])


def counts(found: list[Answer]) -> str:
    """On how many models each tool is right, and on how many of those fastrf is faster, in Markdown."""
    tools = [tool for tool in TOOLS if any(answer.tool == tool for answer in found)]
    right = {tool: [answer for answer in found if answer.tool == tool and answer.right] for tool in tools}
    behind = {tool: sum(a.ours is not None and a.ours < (a.seconds or 0) for a in right[tool]) for tool in tools}
    rows = [
        ["", *tools],
        ["---", *["--:"] * len(tools)],
        [f"right, of {len(TRUTH)} models", *(str(len(right[tool])) for tool in tools)],
        ["slower than fastrf where right", *("" if tool == "fastrf" else str(behind[tool]) for tool in tools)],
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def write(found: list[Answer]) -> None:
    """Write the table of `docs/comparison.md` and its summary in the README anew."""
    write_between("comparison.md", "peers", table(found))
    write_between("../README.md", "peers", counts(found))


def _limits(tool: str, found: list[Answer]) -> str:
    """Version, what the tool does not give, and why it failed where it did."""
    said = [answer for answer in found if answer.tool == tool]
    version = PACKAGES[tool][0].partition("==")[2]
    if not said:
        return f"{version}: not installed" + (f": {PROBLEMS[tool]}" if tool in PROBLEMS else "") + "."
    failed: dict[str, list[str]] = {}
    for answer in said:
        if answer.width is None:
            failed.setdefault(answer.problem, []).append(answer.model)
    reasons = [f" Fails on {', '.join(models)}: `{problem}`." for problem, models in failed.items()]
    return f"{version}: {NOTES[tool]}{''.join(reasons)}"


def _cell(answer: Answer) -> str:
    if answer.width is None or answer.seconds is None:
        return "fails"
    width = f"{answer.width:.4g}" if answer.right else f"~~{answer.width:.4g}~~"
    inner = f" ({answer.analysis * 1e3:.0f})" if answer.tool == "fastrf" and answer.analysis else ""
    return f"{width}, {answer.seconds * 1e3:.0f}{inner} ms"


def install() -> None:
    """Bring in each tool by itself, without dependencies; what pip says against one does not stop the others."""
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--ignore-requires-python", "--target", str(PEERS)]
    for tool, packages in PACKAGES.items():
        done = subprocess.run([*command, *packages], check=False, stderr=subprocess.PIPE, text=True)
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        if done.returncode:
            PROBLEMS[tool] = errors[-1] if errors else f"pip ended with {done.returncode}"


def main() -> None:
    """Run the tools and write what they say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--install", action="store_true", help="install the tools, without dependencies, first")
    parser.add_argument("--smoke", action="store_true", help="one model, and write nothing")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(child(*given.child)))
        return
    if given.install:
        install()
    found = []
    for answer in answers(given.smoke):
        found.append(answer)
        print(answer, flush=True)
    if not given.smoke:
        write(found)


if __name__ == "__main__":
    main()
