"""What each output element depends on, found by changing one input element at a time.

Structural meaning: an element counts if some inputs and weights let it matter. So several random base points are tried
(positive, normal, large, permuted, the stored one), each with several changes (fresh, tiny, huge, both signs), and an
output element depends on an input element if any change alters it. Outputs are compared exactly; a change into or out
of NaN is not counted (0 * NaN would spread it) unless `special` asks for it. The models run in onnxruntime where it can
run them, else in `onnx.reference`.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from .draws import ROUNDS, draw, moved, sort_of

__all__ = ["Array", "Dependence", "Run", "Unsuitable", "bound", "perturb", "promoted", "quiet", "runner"]

Array = NDArray[np.generic]
Run = Callable[[Mapping[str, Array]], list[Array]]

#: onnxruntime computes these with running sums, whose rounding reaches beyond the window.
REFERENCE_FIRST = {"LRN"}
#: onnxruntime refuses models of a later IR than its own, though it knows all they hold.
NEWEST_IR = 10


class LRN(OpRun):
    """Local response normalisation; the one of onnx.reference loops over the batch in place of the channels."""

    def _run(self, x: Array, alpha: float, beta: float, bias: float, size: int) -> tuple[Array]:
        squares, before = np.square(x, dtype=np.float64), (size - 1) // 2
        sums = [squares[:, max(c - before, 0) : c - before + size].sum(1) for c in range(x.shape[1])]
        return ((x / (bias + alpha / size * np.stack(sums, 1)) ** beta).astype(x.dtype),)


class Unsuitable(Exception):  # noqa: N818
    """Perturbation cannot answer for this model; the text says why."""


@dataclass(frozen=True)
class Dependence:
    """Which probed input elements each output element depends on.

    Attributes:
        columns: by output, by input, `bool[*out, k]`: one column per probed input element.
        probed: by input, `int64[k]`, ascending flat indices of the elements that were perturbed.
        shapes: the shape of every perturbed input.
        runtime: "onnxruntime" or "reference".
        evaluations: how often the model ran.
    """

    columns: dict[str, dict[str, NDArray[np.bool_]]]
    probed: dict[str, NDArray[np.int64]]
    shapes: dict[str, tuple[int, ...]]
    runtime: str
    evaluations: int

    def complete(self, name: str) -> bool:
        """Whether every element of the input was perturbed."""
        return len(self.probed[name]) == int(np.prod(self.shapes[name]))

    def mask(self, output: str, name: str) -> NDArray[np.bool_]:
        """`bool[*out, *in]`; only for an input that was perturbed completely."""
        if not self.complete(name):
            raise Unsuitable(f"{name} was sampled: use columns and probed")
        columns = self.columns[output][name]
        return columns.reshape(*columns.shape[:-1], *self.shapes[name])


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings, no floating-point complaints, nothing printed."""
    with warnings.catch_warnings(), np.errstate(all="ignore"), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def bound(model: onnx.ModelProto, arrays: Mapping[str, Array]) -> onnx.ModelProto:
    """The model with these inputs turned into initialisers."""
    out = onnx.ModelProto()
    out.CopyFrom(model)
    kept = [value for value in out.graph.input if value.name not in arrays]
    known = [tensor for tensor in out.graph.initializer if tensor.name not in arrays]
    del out.graph.input[:], out.graph.initializer[:]
    out.graph.input.extend(kept)
    out.graph.initializer.extend([*known, *(numpy_helper.from_array(a, name) for name, a in arrays.items())])
    out.ir_version = max(out.ir_version, 4)
    return out


def promoted(model: onnx.ModelProto, names: Collection[str]) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """The model with these initialisers turned into inputs, and the values they had."""
    out = onnx.ModelProto()
    out.CopyFrom(model)
    values = {t.name: numpy_helper.to_array(t) for t in out.graph.initializer if t.name in names}
    kept = [tensor for tensor in out.graph.initializer if tensor.name not in values]
    kinds = {t.name: t.data_type for t in out.graph.initializer}
    known = {value.name for value in out.graph.input}
    del out.graph.initializer[:]
    out.graph.initializer.extend(kept)
    out.graph.input.extend(
        onnx.helper.make_tensor_value_info(name, kinds[name], a.shape)
        for name, a in values.items()
        if name not in known
    )
    return out, values


def runner(model: onnx.ModelProto, arrays: Mapping[str, Array], runtime: str | None = None) -> tuple[Run, str]:
    """A function from input arrays to output arrays, and the runtime behind it.

    Args:
        model: what to run.
        arrays: inputs to try it with.
        runtime: "onnxruntime" or "reference"; None takes the first that can run the model.

    Raises:
        Unsuitable: If no runtime can.
    """
    reference = any(node.op_type in REFERENCE_FIRST for node in model.graph.node)
    order = ("reference", "onnxruntime") if reference else ("onnxruntime", "reference")
    troubles = []
    for name in [runtime] if runtime else order:
        try:
            run = _onnxruntime(model) if name == "onnxruntime" else _reference(model)
            first, second = run(arrays), run(arrays)
        except Exception as error:  # any runtime, any complaint
            troubles.append(f"{name}: {str(error).splitlines()[0] if str(error) else type(error).__name__}"[:150])
            continue
        if not all(isinstance(a, np.ndarray) for a in first):
            raise Unsuitable("an output is no tensor")
        if any(a.shape != b.shape or _changed(a, b, special=True).any() for a, b in zip(first, second, strict=True)):
            raise Unsuitable("two runs differ: random")
        return run, name
    raise Unsuitable("; ".join(troubles))


def _onnxruntime(model: onnx.ModelProto) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.ir_version = min(copy.ir_version, NEWEST_IR)
    session = onnxruntime.InferenceSession(copy.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in model.graph.output]
    return lambda arrays: session.run(names, dict(arrays))


def _reference(model: onnx.ModelProto) -> Run:
    evaluator = ReferenceEvaluator(model, new_ops=[LRN])
    return lambda arrays: [a if isinstance(a, list) else np.asarray(a) for a in evaluator.run(None, dict(arrays))]


def _changed(before: Array, after: Array, *, special: bool) -> NDArray[np.bool_]:
    """Where two outputs differ; NaN equals NaN, and is passed over unless `special`."""
    unequal = np.asarray(before != after, bool)
    if not unequal.any() or before.dtype == object:
        return unequal
    nan = np.isnan(before), np.isnan(after)
    return unequal & ~(nan[0] & nan[1] if special else nan[0] | nan[1])


def perturb(
    model: onnx.ModelProto,
    arrays: Mapping[str, Array],
    wrt: Collection[str] | None = None,
    *,
    fixed: Collection[str] = (),
    weights: Collection[str] = (),
    seed: int = 0,
    evaluations: int = 60_000,
    runtime: str | None = None,
    special: bool = False,
) -> Dependence:
    """Which elements of the inputs each output element depends on.

    Args:
        model: the model.
        arrays: a value for each input; shapes and dtypes are kept.
        wrt: inputs to perturb; None takes all of a float type that are not fixed.
        fixed: inputs that keep the value given (indices, shapes, scales). All others vary with the base point.
        weights: initialisers to vary with the base point.
        seed: of all random numbers.
        evaluations: how often the model may run (a sixth of it in the reference runtime): beyond, elements are sampled.
        runtime: as in `runner`.
        special: also try NaN and infinities, and count changes into or out of NaN.

    Raises:
        Unsuitable: If the model cannot run, is random, or has outputs whose shape depends on the values.
    """
    rng = np.random.default_rng(seed)
    model, values = promoted(model, weights)
    stored = {**arrays, **values}
    names = (
        [n for n, a in arrays.items() if sort_of(a.dtype) == "float" and n not in fixed] if wrt is None else list(wrt)
    )
    with quiet():
        run, used = runner(model, stored, runtime)
        budget = evaluations // (1 if used == "onnxruntime" else 6)
        first, outputs = run(stored), [value.name for value in model.graph.output]
        share = max(budget // (2 * len(ROUNDS) * max(len(names), 1)), 8)
        probed = {n: _sample(rng, stored[n].size, share) for n in names}
        found = {n: [np.zeros((len(probed[n]), *a.shape), bool) for a in first] for n in names}
        count, news, passes = 0, True, 0
        while news and passes < 4 and (passes < 2 or count < budget):
            news, worked, passes = passes == 0, False, passes + 1
            for kind, change in (*ROUNDS, *((("stored", "special"),) if special else ())):
                base = {n: a.copy() if n in fixed else draw(rng, kind, a) for n, a in stored.items()}
                try:
                    before = run(base)
                except Exception:  # outside the operator's domain; other base points follow
                    continue
                if any(a.shape != b.shape for a, b in zip(first, before, strict=True)):
                    raise Unsuitable("the shape of an output depends on the values")
                worked = True
                for name in names:
                    count += len(probed[name])
                    news |= _probe(run, rng, (kind, change), base, before, name, probed[name], found[name])
            if not worked:
                raise Unsuitable("no random base point can be evaluated")
    columns = {out: {n: np.moveaxis(found[n][i], 0, -1) for n in names} for i, out in enumerate(outputs)}
    return Dependence(columns, probed, {n: stored[n].shape for n in names}, used, count)


def _sample(rng: np.random.Generator, size: int, most: int) -> NDArray[np.int64]:
    """All flat indices, or `most` of them with the first and the last."""
    if size <= most:
        return np.arange(size)
    return np.unique([0, size - 1, *rng.choice(size, most - 2, replace=False)])


def _probe(
    run: Run,
    rng: np.random.Generator,
    how: tuple[str, str],
    base: dict[str, Array],
    before: list[Array],
    name: str,
    indices: NDArray[np.int64],
    found: list[NDArray[np.bool_]],
) -> bool:
    """One round over one input, noted in `found`; whether it brought anything new."""
    original, news = base[name], False
    special = how[1] == "special"
    if special:
        values = rng.choice(np.array([np.nan, np.inf, -np.inf]), original.shape).astype(original.dtype)
    else:
        values = moved(rng, how[1], how[0], original)
    for column, index in enumerate(indices):
        array = original.copy()
        array.flat[index] = values.flat[index]
        try:
            after = run({**base, name: array})
        except Exception:  # this value is outside the operator's domain
            continue
        for seen, a, b in zip(found, before, after, strict=True):
            if a.shape != b.shape:
                raise Unsuitable("the shape of an output depends on the values")
            changed = _changed(a, b, special=special)
            if changed.any():
                news = news or bool((changed & ~seen[column]).any())
                seen[column] |= changed
    return news
