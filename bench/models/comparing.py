"""One model: captured, timed, analysed, and random neurons of a dozen nodes compared with autograd."""

from __future__ import annotations

import contextlib
import itertools
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.export import ExportedProgram

import fastrf
from bench.models.case import Case
from bench.models.replaying import unlike
from fastrf.engine.memo import forget
from fastrf.frontends import torch as frontend
from fastrf.frontends.options import Options
from fastrf.frontends.torch.inputs import Inputs
from fastrf.frontends.torch.naming import Names
from fastrf.frontends.torch.programs import Program
from tests.autograd import Oracle, UnknownOperatorError

__all__ = ["compared", "timed"]

Shape = tuple[int, ...]
#: A pair of a forward pass and a capture that takes longer is not repeated.
LONG = 3.0
EXPORT = 10


def compared(case: Case, neurons: int, until: float, *, export: bool, sizes: bool) -> dict[str, Any]:
    """All figures of one model.

    With `export`, whether both captures tell the same of every module; with `sizes`, times at the model's own size too.
    """
    with torch.no_grad():  # some models fail only where indices are looked at, which capturing does not
        Inputs.of(case.model, case.given, case.values).run(case.model.eval())
    captured, network, figures = _captured(case)
    analysis = fastrf.analyze(network, wrt=case.wrt)
    program = _program(captured, case)
    result = {
        **figures,
        "how": "recorded" if isinstance(captured, Program) else "exported",
        "nodes": len(network.nodes),
        "terms": max(len(found.terms) for found in analysis._dependencies.values()),
        "analysis_ms": 1e3 * _median(lambda: fastrf.analyze(network, wrt=case.wrt), before=forget),
        "approximate": [[name, network.by_name[name].op] for name in _along(analysis, "approximate_at")],
        "assumes": _along(analysis, "assumes"),
        "size": _last_size(analysis),
        **_neurons_or_why(program, case, analysis, neurons, until),
    }
    if isinstance(captured, Program):
        result["unlike"] = _or_error(lambda: unlike(captured, case))
    if export:
        result["captures"] = _or_error(lambda: _both(case, analysis))
    return result | (_at_own_size(case) if sizes else {})


def timed(case: Case, *, sizes: bool) -> dict[str, Any]:
    """Only the times of the capture and of the analysis, and how it was captured."""
    captured, network, figures = _captured(case)
    how = "recorded" if isinstance(captured, Program) else "exported"
    spent = _median(lambda: fastrf.analyze(network, wrt=case.wrt), before=forget)
    return {**figures, "how": how, "analysis_ms": 1e3 * spent, **(_at_own_size(case) if sizes else {})}


def _captured(case: Case, long: float = LONG) -> tuple[Any, Any, dict[str, float]]:
    """The capture, its network, and the processor time of both beside that of a forward pass, which takes turns."""
    options = Options(values=case.values)
    inputs = Inputs.of(case.model, case.given, case.values)

    def load() -> tuple[Any, Any]:
        captured = frontend.captured(case.model, case.given, options)
        return captured, frontend.to_network(captured, options)

    def forward() -> None:
        with torch.no_grad():
            inputs.run(case.model)

    began = time.perf_counter()
    found = load()
    forward()
    pairs = [(_seconds(forward), _seconds(load))]
    while len(pairs) < 3 and time.perf_counter() - began < long:
        pairs.append((_seconds(forward), _seconds(load)))
    run, loaded = (statistics.median(times) for times in zip(*pairs, strict=True))
    return *found, {"forward_s": run, "load_s": loaded}


def _at_own_size(case: Case) -> dict[str, float]:
    """The same times at the size that the model is made for; a smaller input makes a forward pass short."""
    if case.own is None:
        return {}
    own = case.own()
    own.model.eval()
    return {f"own_{key}": seconds for key, seconds in _captured(own, LONG / 3)[-1].items()}


def _seconds(action: Callable[[], object]) -> float:
    began = time.process_time()
    action()
    return time.process_time() - began


def _median(action: Callable[[], object], before: Callable[[], object]) -> float:
    times: list[float] = []
    while len(times) < 3 and sum(times) < LONG:
        before()
        times.append(_seconds(action))
    return statistics.median(times)


def _program(captured: Any, case: Case) -> Program:
    """The captured program, with arguments that are constants among what is stored."""
    program = Program.of(captured) if isinstance(captured, ExportedProgram) else captured
    fixed = {node: case.values[name] for name, node in program.inputs.items() if name in case.values}
    inputs = {name: node for name, node in program.inputs.items() if name not in case.values}
    return replace(program, inputs=inputs, stored={**program.stored, **fixed})


# Neurons -------------------------------------------------------------------------------------------------


def _neurons_or_why(program: Program, case: Case, analysis: Any, neurons: int, until: float) -> dict[str, Any]:
    """The same; none where the oracle knows an operator not."""
    try:
        return _neurons(program, case, analysis, neurons, until)
    except UnknownOperatorError as error:
        return {"compared": 0, "agreed": 0, "wrong": [], "uncompared": str(error).splitlines()[0]}


def _neurons(program: Program, case: Case, analysis: Any, neurons: int, until: float) -> dict[str, Any]:
    """How many neurons were compared and agreed; those of over-approximations where they hold what autograd says."""
    layers = _layers_of(program, analysis.network)
    generator, names = np.random.default_rng(0), list(layers)
    count = 11 if neurons >= 40 else 7
    places = np.linspace(0, len(names), count, endpoint=False) + generator.random(count) * len(names) / count
    chosen = [names[k] for k in sorted({min(int(p), len(names) - 1) for p in places} | {len(names) - 1})]
    oracle = Oracle(program, keep=set(chosen))
    wrt = list(program.inputs).index(case.wrt) if case.wrt else 0
    done, wrong = 0, []
    for turn, name in itertools.product(range(-(-neurons // len(chosen))), chosen):
        if time.perf_counter() > until:
            break
        layer, full = layers[name]
        index, field = _neuron(generator, full, turn), analysis[layer]
        if oracle.values[name][index] == -np.inf:  # excluded by a number so low that it may as well be infinite
            continue
        mine = field.neuron_mask(index[1:] if len(index) == len(field.shape) + 1 else index)
        truth = np.asarray(oracle.mask(name, index, wrt)).reshape(field.input_shape)
        done += 1
        if (truth & ~mine).any() or (field.exact and (mine != truth).any()):
            wrong.append([layer, list(index), int((mine & ~truth).sum()), int((truth & ~mine).sum()), field.exact])
    return {"compared": done, "agreed": done - len(wrong), "wrong": wrong}


def _layers_of(program: Program, network: Any) -> dict[str, tuple[str, Shape]]:
    """Layers, and the full shapes of their results, by the names of nodes in the captured graph."""
    plain = {node.name: node.name for node in network.nodes if not node.scope}
    found = {**plain, **network.aliases}
    returned = Names(program).returned
    found |= {node.name: network.returns[key] for key, node in returned.items() if key in network.returns}
    calls = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "call_function"}
    tensors = {name: like for name, like in calls.items() if isinstance(like, torch.Tensor) and like.numel()}
    return {name: (found[name], tuple(like.shape)) for name, like in tensors.items() if name in found}


def _neuron(generator: np.random.Generator, full: Shape, turn: int) -> Shape:
    """The first corner, the last, then any."""
    if turn < 2:
        return tuple(turn * (n - 1) for n in full)
    return tuple(int(generator.integers(n)) for n in full)


def _along(analysis: Any, what: str) -> list[str]:
    return list(dict.fromkeys(said for field in analysis.outputs for said in getattr(field, what)))


def _last_size(analysis: Any) -> list[Any]:
    """Name and nominal size of the last node with at least two spatial axes, or one if the input has no more."""
    least = min(2, len(analysis.outputs[0].pixel_shape))
    for name in reversed(list(analysis)):
        field = analysis[name]
        if len(field.position_shape) >= least and field.exact and min(field.position_shape, default=0) > 1:
            sizes = [float(n) for n in field.size]
            if any(sizes):
                return [name, sizes]
    return ["", []]


# Both captures -------------------------------------------------------------------------------------------


def _both(case: Case, ours: Any) -> list[str]:
    """Names of modules (and "output") of which the exported model tells something else."""
    with _limited(EXPORT):
        exported = fastrf.analyze(case.model, case.given, values=case.values, capture="export", wrt=case.wrt)
    mine, theirs = ours.network.returns, exported.network.returns
    pairs = {name: (ours[mine[name]], exported[theirs[name]]) for name in mine if name in theirs}
    pairs["output"] = ours.outputs[-1], exported.outputs[-1]
    return [name for name, (one, other) in pairs.items() if _said(one) != _said(other)]


def _said(field: Any) -> tuple[Any, ...]:
    return field.dependency, str((field.shape, field.exact, field.size, field.stride, field.start))


@contextlib.contextmanager
def _limited(seconds: int) -> Iterator[None]:
    """Raise TimeoutError in what takes longer."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _or_error(action: Callable[[], list[str]]) -> list[str] | str:
    """What it returns, or why it fails."""
    try:
        return action()
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
