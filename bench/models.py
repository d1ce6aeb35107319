"""Every torchvision model and one per timm family against autograd: `python -m bench.models [--only NAME ...]`.

Each model is captured, lowered and analysed at the smallest sensible input, and random neurons (corners included) are
compared with the oracle of `tests.autograd`. Results are appended to a JSON lines cache, from which `docs/models.md` is
written. Models run one after another in a worker process, which is killed where a model takes too long.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

__all__ = ["compare", "main", "report"]

PAGE = Path(__file__).parent.parent / "docs" / "models.md"
MEMORY = 14 * 2**30
ENOUGH = 40

#: The smallest variant of each of timm's model families.
TIMM = """
beit_base_patch16_224 halonet_h1 test_byobnet cait_xxs24_224 coat_tiny convit_tiny convmixer_768_32 test_convnext
cpubone_nano crossvit_tiny_240 csatv2 cs3darknet_focus_s cspnext_tiny davit_tiny deepseek_vit_412m
deit_tiny_patch16_224 densenet121 dla46x_c dpn48b edgenext_xx_small efficientformer_l1 efficientformerv2_s0
test_efficientnet efficientvim_m1 efficientvit_b0 efficientvit_m0 vit_tiny_patch16_dinov3_qkvb fasternet_t0 fastvit_t8
focalnet_tiny_srf gcvit_xxtiny gemma4_vit_167m ghostnet_050 hardcorenas_b hgnetv2_b0 hiera_tiny_224 sam2_hiera_tiny
hrnet_w18_small iformer_t inception_next_atto inception_resnet_v2 inception_v3 inception_v4 lcnetv2_small levit_128s
lowformer_b0 test_mambaout test_coatnet poolformerv2_s12 gmlp_ti16_224 mobilenetv3_small_050 mobilenetv5_base
mobilevit_xxs mvitv2_tiny naflexvit_so150m2_patch16_reg1_gap nasnetalarge nest_tiny nextvit_small test_nfnet
pit_ti_224 pnasnet5large pvt_v2_b0 qwen3_vit_88m rdnet_tiny regnetx_002 repghostnet_050 repvit_m1 res2next50
resnest14d test_resnet resnetv2_18 rexnet_100 selecsls42 legacy_seresnet18 sequencer2d_s shvit_s1 skresnet18
starnet_s050 swiftformer_xs swin_tiny_patch4_window7_224 swinv2_tiny_window8_256 swinv2_cr_tiny_224 tiny_vit_5m_224
tnt_s_legacy_patch16_224 tresnet_m twins_svt_small vgg11 visformer_tiny test_vit vit_tiny_r_s16_p8_224 test_vit_relpos
samvit_base_patch16_224 vitamin_small_224 volo_d1_224 ese_vovnet19b_slim_dw legacy_xception xception41p
xcit_nano_12_p8_224
""".split()  # noqa: SIM905  (reads better as text)

#: One of each kind first, so that a run that is cut short has seen them all.
FIRST = """
resnet18 mobilenet_v3_small swin_t densenet121 squeezenet1_1 alexnet vgg11_bn googlenet inception_v3 mnasnet0_5
mobilenet_v2 shufflenet_v2_x0_5 efficientnet_b0 efficientnet_v2_s regnet_y_400mf regnet_x_400mf convnext_tiny vit_b_32
swin_v2_t maxvit_t resnext50_32x4d wide_resnet50_2 deeplabv3_mobilenet_v3_large fcn_resnet50
lraspp_mobilenet_v3_large fasterrcnn_resnet50_fpn fasterrcnn_mobilenet_v3_large_320_fpn fasterrcnn_resnet50_fpn_v2
fcos_resnet50_fpn retinanet_resnet50_fpn retinanet_resnet50_fpn_v2 keypointrcnn_resnet50_fpn maskrcnn_resnet50_fpn
ssd300_vgg16 ssdlite320_mobilenet_v3_large r3d_18 mc3_18 r2plus1d_18 s3d swin3d_t mvit_v1_b mvit_v2_s
""".split()  # noqa: SIM905  (reads better as text)

Shape = tuple[int, ...]
Attempt = tuple[Shape, dict[str, Any]]


# The models ----------------------------------------------------------------------------------------------


def torchvision_names() -> list[str]:
    """All of torchvision's classification, segmentation, detection and video models, one of each kind first."""
    import torchvision

    names = [n for n in torchvision.models.list_models() if not n.startswith("quantized") and "raft" not in n]
    return sorted(names, key=lambda n: (FIRST.index(n) if n in FIRST else len(FIRST), n))


def torchvision_model(name: str) -> tuple[Any, Shape]:
    """A model (a detector's backbone) and the smallest sensible input."""
    import torchvision
    from torchvision.models.video import mvit as video_transformers

    (video, size), options = _torchvision_input(name)
    kind = torchvision.models.get_model_builder(name).__module__
    if "segmentation" in kind or "detection" in kind:
        options["weights_backbone"] = None
    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = False
    with mock.patch.object(video_transformers, "_mvit", partial(_small_mvit, video_transformers._mvit)):
        model = torchvision.models.get_model(name, weights=None, **options)
    return (model.backbone if "detection" in kind else model), (3, *video, size, size)


def _small_mvit(build: Callable[..., Any], **settings: Any) -> Any:
    """MViT for a small video: its builders fix the size that its positions are learned for."""
    return build(**{**settings, "spatial_size": (64, 64), "temporal_size": 8})


def _torchvision_input(name: str) -> tuple[tuple[Shape, int], dict[str, Any]]:
    """Frames, side, and arguments of the model."""
    if name.startswith("mvit"):
        return ((8,), 64), {}
    if name.startswith("vit"):
        size = 56 if name.endswith("14") else 96 if name.endswith("32") else 64
        return ((), size), {"image_size": size}
    frames = {"r3d_18": (6, 48), "mc3_18": (6, 48), "r2plus1d_18": (6, 48), "s3d": (13, 209), "swin3d": (8, 64)}
    for prefix, (count, size) in frames.items():
        if name.startswith(prefix):
            return ((count,), size), {}
    sizes = {"maxvit": 224, "inception": 111, "ssd300": 300, "ssdlite": 128, "vgg": 64, "alexnet": 95}
    for prefix, size in sizes.items():
        if name.startswith(prefix):
            return ((), size), {}
    return ((), 128 if any(k in name for k in ("rcnn", "retinanet", "fcos")) else 96), {}


def timm_attempts(name: str) -> Iterator[tuple[Any, Shape]]:
    """A model at sizes from small to its own, until one is accepted."""
    import timm

    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    native = config.input_size if config is not None else (3, 224, 224)
    for size in (112, 128, native[-1]):
        if size > native[-1] or (size < native[-1] <= 160):
            continue
        try:
            fixed = config is not None and config.fixed_input_size and size != native[-1]
            yield timm.create_model(name, **({"img_size": size} if fixed else {})), (3, size, size)
        except (TypeError, AssertionError, ValueError, RuntimeError):
            if size == native[-1]:
                raise


# One model -----------------------------------------------------------------------------------------------


def compare(exported: Any, shape: Shape, neurons: int, until: float, seed: int = 0) -> dict[str, Any]:
    """Analyse a captured model and compare neurons of a dozen nodes with autograd."""
    import torch

    import fastrf
    from fastrf.engine.memo import forget
    from fastrf.frontends import torch as frontend
    from tests.autograd import Oracle

    start = time.perf_counter()
    network = frontend.to_network(exported)
    lowered = time.perf_counter()
    forget()
    analysis = fastrf.analyze(network)
    done = time.perf_counter()
    result: dict[str, Any] = {
        "nodes": len(network.nodes),
        "terms": max(len(found.terms) for found in analysis._dependencies.values()),
        "approximate": [[name, network.by_name[name].op] for name in _approximate(analysis)],
        "size": _last_size(analysis),
        "lower_s": lowered - start,
        "analysis_ms": 1e3 * (done - lowered),
    }
    nodes = _results_of(exported, network)
    generator = np.random.default_rng(seed)
    names = list(nodes)
    places = np.linspace(0, len(names), 11, endpoint=False) + generator.random(11) * len(names) / 11
    chosen = [names[k] for k in sorted({min(int(p), len(names) - 1) for p in places} | {len(names) - 1})]
    oracle = Oracle(exported, (torch.ones((1, *shape)),), keep=set(chosen))
    compared, wrong = 0, []
    for turn, name in itertools.product(range(-(-neurons // len(chosen))), chosen):
        if time.perf_counter() > until:
            break
        index, field = _neuron(generator, nodes[name], turn), analysis[name]
        mine = field.neuron_mask(index[1:] if len(index) == len(field.shape) + 1 else index)
        truth = np.asarray(oracle.mask(name, index)).reshape(field.input_shape)
        compared += 1
        if (mine != truth).any():
            wrong.append([name, list(index), int((mine & ~truth).sum()), int((truth & ~mine).sum()), field.exact])
    return {**result, "compared": compared, "agreed": compared - len(wrong), "wrong": wrong}


def _results_of(exported: Any, network: Any) -> dict[str, Shape]:
    """The full shapes of captured nodes that are layers of the network, by their names in the graph."""
    import torch

    layers = {*network.aliases, *(node.name for node in network.nodes if not node.scope)}
    calls = [n for n in exported.graph.nodes if n.op == "call_function" and n.name in layers]
    tensors = {n.name: n.meta.get("val") for n in calls}
    return {name: tuple(t.shape) for name, t in tensors.items() if isinstance(t, torch.Tensor) and t.numel()}


def _neuron(generator: np.random.Generator, full: Shape, turn: int) -> Shape:
    """The first corner, the last, then any."""
    if turn < 2:
        return tuple(turn * (n - 1) for n in full)
    return tuple(int(generator.integers(n)) for n in full)


def _approximate(analysis: Any) -> list[str]:
    found = dict.fromkeys(name for field in analysis.outputs for name in field.approximate_at)
    return list(found)


def _last_size(analysis: Any) -> list[Any]:
    """Name and nominal size of the last node that has at least two spatial axes."""
    for name in reversed(list(analysis)):
        field = analysis[name]
        if len(field.position_shape) > 1 and field.exact and min(field.position_shape) > 1:
            return [name, [float(n) for n in field.size]]
    return ["", []]


def _work(source: str, name: str, neurons: int, cap: float) -> dict[str, Any]:
    """All figures of one model, or its error."""
    import torch

    from fastrf.frontends import torch as frontend

    torch.set_num_threads(1)
    start = time.perf_counter()
    result: dict[str, Any] = {"source": source, "name": name, "family": name}
    try:
        attempts = iter([torchvision_model(name)]) if source == "torchvision" else timm_attempts(name)
        exported, shape = None, ()
        problem: Exception | None = None
        for model, size in attempts:
            result["family"] = type(model).__module__.rpartition(".")[2]
            begin = time.perf_counter()
            try:
                with torch.no_grad():  # some models fail only where indices are looked at, which capturing does not
                    model.eval()(torch.zeros(1, *size))
                exported, shape = frontend.capture(model, size), size
            except Exception as error:
                problem = error
                continue
            result |= {"shape": list(shape), "export_s": time.perf_counter() - begin}
            break
        if exported is None:
            raise problem or ValueError("no input size accepted")
        result |= compare(exported, shape, neurons, start + cap * 0.9)
    except Exception as error:
        result["error"] = f"{type(error).__name__}: {str(error)[:600]}"
    result["total_s"] = time.perf_counter() - start
    return result


# All models ----------------------------------------------------------------------------------------------


def _serve(connection: Any) -> None:
    """The worker: models in, results out."""
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    allowed = MEMORY if hard == resource.RLIM_INFINITY else min(MEMORY, hard)
    resource.setrlimit(resource.RLIMIT_AS, (allowed, hard))
    warnings.simplefilter("ignore")
    import fastrf

    fastrf.analyze("resnet18", (3, 64, 64))  # kernels loaded before anything is timed
    while (order := connection.recv()) is not None:
        connection.send(_work(*order))


class Worker:
    """A process that survives nothing and is replaced."""

    def __init__(self) -> None:
        self.process: Any = None

    def close(self) -> None:
        """Let the process end."""
        if self.process is not None and self.process.is_alive():
            self.connection.send(None)
            self.process.join()

    def run(self, source: str, name: str, neurons: int, cap: float) -> dict[str, Any]:
        """One model's figures; an error where the process dies or exceeds `cap` seconds."""
        if self.process is None or not self.process.is_alive():
            context = multiprocessing.get_context("spawn")
            self.connection, theirs = context.Pipe()
            self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
            self.process.start()
            theirs.close()
        self.connection.send((source, name, neurons, cap))
        try:
            if self.connection.poll(cap + 20):
                return self.connection.recv()  # type: ignore[no-any-return]
            problem = f"more than {cap:.0f} s"
        except (EOFError, OSError):
            problem = "the process died (out of memory?)"
        self.process.kill()
        self.process.join()
        return {"source": source, "name": name, "family": name, "error": problem}


def report(rows: Sequence[dict[str, Any]]) -> str:
    """The page: totals, a table per library, and what is not exact or not equal."""
    latest = {(row["source"], row["name"]): row for row in rows}
    lines = [
        "# Models",
        "",
        "Written by `python -m bench.models`. Each model is captured with `torch.export`, analysed,",
    ]
    lines += ["and random neurons, corners included, are compared with an independent autograd oracle."]
    lines += ["Inputs are smaller than the models' own, so that the oracle is quick; MViT takes 8x64x64.", ""]
    for source in ("torchvision", "timm"):
        chosen = sorted((r for r in latest.values() if r["source"] == source), key=lambda r: (r["family"], r["name"]))
        if not chosen:
            continue
        ran = [r for r in chosen if "error" not in r]
        exact = sum(not r["approximate"] for r in ran)
        lines += [
            f"## {source}",
            "",
            f"{len(chosen)} models, {len(ran)} analysed, {exact} exact throughout; "
            f"{sum(r['compared'] for r in ran)} neurons compared, {sum(r['agreed'] for r in ran)} agreed; "
            f"{sum(r['compared'] < ENOUGH for r in ran)} models by fewer than {ENOUGH} neurons.",
            "",
            "| family | model | input | nodes | terms | exact | nominal size (at) | export, s | analysis, ms "
            "| neurons | agreed |",
            "|---|---|---|--:|--:|---|---|--:|--:|--:|--:|",
            *map(_row, chosen),
            "",
        ]
    return "\n".join(lines)


def _row(row: dict[str, Any]) -> str:
    shape = "x".join(map(str, row.get("shape", [])))
    head = f"| {row['family']} | {row['name']} | {shape} "
    if "error" in row:
        return f"{head}| | | {row['error'].splitlines()[0][:160].replace('|', '/')} | | | | | |"
    operators = sorted({op for _, op in row["approximate"]})
    exact = f"no: {', '.join(operators)} ({len(row['approximate'])} nodes)" if operators else "yes"
    at, sizes = row["size"]
    size = f"{' x '.join('inf' if n == float('inf') else f'{n:g}' for n in sizes)} ({at})" if at else ""
    return (
        f"{head}| {row['nodes']} | {row['terms']} | {exact} | {size} | {row['export_s']:.1f} "
        f"| {row['analysis_ms']:.0f} | {row['compared']} | {row['agreed']} |"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen models; 1 where any fails or disagrees."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=[], help="these models (timm's with timm: in front)")
    parser.add_argument("--torchvision", action="store_true")
    parser.add_argument("--timm", action="store_true")
    parser.add_argument("--first", action="store_true", help="of torchvision one of each kind only")
    parser.add_argument("--resume", action="store_true", help="skip models that the cache has without error")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "fastrf-models.jsonl")
    parser.add_argument("--neurons", type=int, default=44)
    parser.add_argument("--cap", type=float, default=180.0, help="seconds per model")
    given = parser.parse_args(arguments)
    rows = [json.loads(line) for line in given.cache.read_text().splitlines()] if given.cache.exists() else []
    seen = {(row["source"], row["name"]) for row in rows if "error" not in row} if given.resume else set()
    worker, failed = Worker(), 0
    for source, name in _chosen(given):
        if (source, name) in seen:
            continue
        row = worker.run(source, name, given.neurons, given.cap)
        failed += "error" in row or row["agreed"] != row["compared"]
        with given.cache.open("a") as file:
            file.write(json.dumps(row) + "\n")
        rows.append(row)
        print(source, name, row.get("error") or _brief(row), flush=True)
    worker.close()
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(report(rows))
    return int(bool(failed))


def _brief(row: dict[str, Any]) -> str:
    return (
        f"{row['nodes']} nodes, {row['agreed']}/{row['compared']} agreed, {len(row['approximate'])} approximate, "
        f"analysis {row['analysis_ms']:.0f} ms, {row['total_s']:.0f} s in all"
    )


def _chosen(given: argparse.Namespace) -> list[tuple[str, str]]:
    if given.only:
        return [("timm", n.removeprefix("timm:")) if n.startswith("timm:") else ("torchvision", n) for n in given.only]
    both = not given.torchvision and not given.timm
    chosen: list[tuple[str, str]] = []
    if given.torchvision or both:
        names = torchvision_names()
        chosen += [("torchvision", name) for name in names if name in FIRST]
    if given.timm or both:
        chosen += [("timm", name) for name in TIMM]
    if (given.torchvision or both) and not given.first:
        chosen += [("torchvision", name) for name in names if name not in FIRST]
    return chosen


if __name__ == "__main__":
    sys.exit(main())
