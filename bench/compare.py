"""Other tools on the same models, and who is right: `python -m bench.compare [--install] [--smoke]`.

Each tool runs in a process of its own, on a torchvision model with random weights, and says how wide the receptive
field of the last map is. The truth is the width on an unbounded image, which tests hold against autograd and published
numbers. `--install` brings the tools into `.benchmarks/peers`, without their dependencies; the README's table between
the marks is written anew. Tools that are not there are left out.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.timing import median_seconds

__all__ = ["Answer", "answers", "main"]

ROOT = Path(__file__).parent.parent
PEERS = Path(os.environ.get("FASTRF_PEERS", ROOT / ".benchmarks" / "peers"))
PACKAGES = ("torchscan==0.1.2", "rfa-toolbox==1.7.0", "attrs", "graphviz")
README = ROOT / "README.md"
MARKS = ("<!-- peers -->", "<!-- /peers -->")

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


def by_autograd(model: Any, shape: tuple[int, ...]) -> float:
    """The extent of gradients around the middle, on a long thin image: weights positive, maxima as averages."""
    import torch

    _positive(model.double())
    image = torch.ones(1, shape[0], 64 if shape[1] == 224 else 96, 4480, dtype=torch.float64, requires_grad=True)
    out = model(image)
    out = out.reshape(1, 2048, 1, -1) if out.dim() == 2 else out
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
    """All nodes, exact, and the width of the last."""
    import fastrf

    return float(fastrf.analyze(model, shape).output.size[0])


TOOLS = {
    "fastrf": by_fastrf,
    "torchscan": by_torchscan,
    "rfa_toolbox": by_rfa,
    "autograd": by_autograd,
}


def child(tool: str, model: str) -> dict[str, Any]:
    """Run a tool on a model in this process, the second time for the clock."""
    import torch

    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    torch.set_num_threads(1)
    network, shape = build(model)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            if tool != "autograd":
                TOOLS[tool](network, shape)
            began = time.perf_counter()
            width = TOOLS[tool](network, shape)
            spent = time.perf_counter() - began
    except Exception as error:  # whatever a tool raises is its answer
        return {"width": None, "seconds": None, "problem": f"{type(error).__name__}: {error}"[:80]}
    return {"width": width, "seconds": spent, "problem": "", "analysis": _analysis(network, shape, tool)}


def _analysis(model: Any, shape: tuple[int, ...], tool: str) -> float | None:
    """What fastrf takes once `torch.export` has captured the model."""
    import fastrf
    from fastrf.memory import forget

    if tool != "fastrf":
        return None
    network = fastrf.load(model, shape)
    return median_seconds(lambda: fastrf.analyze(network).output.size, 5, before=forget)


def answers(smoke: bool = False) -> Iterator[Answer]:
    """What every installed tool says of every model, fastrf first."""
    if importlib.util.find_spec("torchvision") is None:
        return
    for model, truth in list(TRUTH.items())[: 1 if smoke else None]:
        ours: float | None = None
        analysis: float | None = None
        for tool in TOOLS:
            if tool not in ("fastrf", "autograd") and not (PEERS / tool).exists():
                continue
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(PEERS)])}
            command = [sys.executable, "-m", "bench.compare", "--child", tool, model]
            done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, cwd=ROOT)
            lines = done.stdout.strip().splitlines()
            found = json.loads(lines[-1]) if lines else {"width": None, "seconds": None, "problem": done.stderr[-80:]}
            if tool == "fastrf":
                ours, analysis = found["seconds"], found["analysis"]
            right = found["width"] == truth
            yield Answer(tool, model, found["width"], right, found["seconds"], ours, analysis, found["problem"])


def table(found: list[Answer]) -> str:
    """Who says what, in Markdown: a wrong width is struck out."""
    tools = [tool for tool in TOOLS if any(answer.tool == tool for answer in found)]
    lines = [f"| model | true width | {' | '.join(tools)} |", "|---|--:|" + "--:|" * len(tools)]
    for model, truth in TRUTH.items():
        cells = []
        for tool in tools:
            answer = next((a for a in found if (a.tool, a.model) == (tool, model)), None)
            cells.append("" if answer is None else _cell(answer))
        lines.append(f"| {model} | {truth} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(answer: Answer) -> str:
    if answer.width is None or answer.seconds is None:
        return "fails"
    width = f"{answer.width:.4g}" if answer.right else f"~~{answer.width:.4g}~~"
    inner = f" ({answer.analysis * 1e3:.0f})" if answer.tool == "fastrf" and answer.analysis else ""
    return f"{width}, {answer.seconds * 1e3:.0f}{inner} ms"


def write_table(found: list[Answer]) -> None:
    """Put the table into the README, between the marks."""
    before, _, rest = README.read_text().partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    README.write_text(f"{before}{MARKS[0]}\n{table(found)}\n{MARKS[1]}{after}")


def main() -> None:
    """Run the tools and write the table into the README."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--install", action="store_true", help="install the tools, without dependencies, first")
    parser.add_argument("--smoke", action="store_true", help="one model, and write nothing")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(child(*given.child)))
        return
    if given.install:
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--no-deps",
            "--ignore-requires-python",
            "--target",
            str(PEERS),
        ]
        subprocess.run([*command, *PACKAGES], check=True)
    found = []
    for answer in answers(given.smoke):
        found.append(answer)
        print(answer, flush=True)
    if not given.smoke:
        write_table(found)


if __name__ == "__main__":
    main()
