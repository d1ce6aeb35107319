"""What Python says of a field, in the form in which `explorer/answer.mjs` answers: see `test_explorer_engine`."""

import json
import math
import subprocess
from pathlib import Path

import numpy as np
import pytest

import fastrf
from fastrf.explorer.encoding import encoded
from tests.browser.chromium import node

ANSWER = Path(__file__).parent / "explorer" / "answer.mjs"
#: Of the fastrf that is imported, which may be installed elsewhere.
ENGINE = Path(fastrf.__file__).parent / "explorer" / "page" / "engine"


def answers(document, asks):
    """What the page's engine says of a document: `asks` are (model, number of the node, what, of which place)."""
    program = node()
    if program is None:
        pytest.skip("there is no node to run JavaScript")
    given = json.dumps({"document": document, "asks": asks})
    command = [program, str(ANSWER), ENGINE.as_uri()]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def told(mask):
    """A mask as the engine's Seen tells it."""
    mask = np.asarray(mask)
    runs = [changes(mask.any(axis=tuple({*range(mask.ndim)} - {axis})), closed=True) for axis in range(mask.ndim)]
    box = [[line[0], line[-1]] for line in runs] if mask.any() else None
    found = {"mask": changes(mask.ravel()), "box": box, "count": int(np.count_nonzero(mask))}
    return found | {"runs": runs, "shape": list(mask.shape)}


def changes(line, closed=False):
    """Where a line of truth values changes; with `closed`, at its end, too."""
    ends = [[False], line, [False]] if closed else [[False], line]
    return np.flatnonzero(np.diff(np.concatenate(ends).astype(np.int8))).tolist()


def plain(values):
    """Numbers as JSON and JavaScript both write them."""
    found = np.asarray(values, float).ravel().tolist()
    return [v if math.isfinite(v) else "NaN" if math.isnan(v) else "Infinity" if v > 0 else "-Infinity" for v in found]


def whole(values):
    """A map over all places."""
    return {"shape": list(values.shape), "step": [1] * values.ndim, "values": plain(values)}


def places(rng, shape, count):
    """Both corners, and some that are drawn."""
    if 0 in shape:
        return []
    drawn = [[int(rng.integers(n)) for n in shape] for _ in range(count)]
    return [[0] * len(shape), [n - 1 for n in shape], *drawn]


def looks(field):
    """Look-back and look-ahead along every pixel axis; None where there are no steps."""
    found = []
    for axis in range(len(field.pixel_shape)):
        try:
            found.append(plain([field.lookback(axis), field.lookahead(axis)]))
        except fastrf.FastRFError:
            found.append(None)
    return found


def truths(field, rng, count):
    """All that is asked of a field, (what, of which place), with what Python says."""
    seers = field.projective()
    for place in places(rng, field.position_shape, count):
        yield "mask", place, told(field.mask(place))
    for place in places(rng, field.shape, count // 2):
        yield "neuron", place, told(field.neuron_mask(place))
    for place in places(rng, field.pixel_shape, count // 2):
        yield "seers", place, told(seers.mask(place))
    for place in places(rng, field.input_shape, count // 4):
        yield "neuronSeers", place, told(seers.neuron_mask(place))
    centers = field.centers()
    for place in places(rng, field.position_shape, 4):
        yield "center", place, plain(centers[tuple(place)])
    yield "looks", None, looks(field)


def map_truths(field):
    """The maps of a field, with what Python says."""
    coverage = field.coverage()
    yield "areas", None, whole(field.areas())
    yield "densities", None, whole(field.densities())
    yield "clipped", None, whole(field.clipped())
    yield "coverage", None, whole(coverage)
    yield "blind", None, told(coverage == 0)


def require_same(analysis, names, rng, count=8, maps=True):
    """The engine says of some nodes what Python says, bit for bit."""
    numbers = {name: k for k, name in enumerate([*analysis.network.inputs, *analysis.network.by_name])}
    asks, wanted = [], []
    for name in names:
        field = analysis[name]
        for what, place, truth in [*truths(field, rng, count), *(map_truths(field) if maps else ())]:
            asks.append((0, numbers[name], what, place))
            wanted.append(truth)
    for ask, got, want in zip(asks, answers(encoded([analysis]), asks), wanted, strict=True):
        assert got == want, (analysis.network.name, names, ask)


def some(analysis, rng, count):
    """Some nodes, the last one included."""
    names = list(analysis)
    return [*dict.fromkeys([*(names[int(rng.integers(len(names)))] for _ in range(count)), names[-1]])]
