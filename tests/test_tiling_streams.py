"""Streams: what comes in by pieces of any length gives, bit for bit, what the whole gives."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import fastrf
from fastrf.tiling import Call, stream

torch = pytest.importorskip("torch")

from tests.streaming_networks import AHEAD, CAUSAL, signal, whole_numbers  # noqa: E402
from tests.test_tiling_random import layer  # noqa: E402
from tests.tiling_models import exact  # noqa: E402

N = 12 * 40
MODELS = {**CAUSAL, **AHEAD}


def build(name, seed):
    """A model of whole numbers, its analysis, and a generator of signals."""
    generator = torch.Generator().manual_seed(seed)
    make, channels = MODELS[name]
    model = whole_numbers(make(), generator)
    return model, fastrf.analyze(model, (channels, N)).output, channels, generator


def pieces(array, rng, longest=70):
    """An array in pieces of random lengths, none included."""
    n = array.shape[-1]
    cuts = np.sort(rng.integers(0, n + 1, 2 * n // longest))
    return [array[..., a:b] for a, b in zip([0, *cuts], [*cuts, n], strict=True)]


def streamed(plan, model, parts):
    with torch.no_grad():
        return torch.cat(list(plan.run(model, parts)), -1)


@pytest.mark.parametrize("name", MODELS)
def test_streams_equal_the_whole(name, rng):
    model, field, channels, generator = build(name, int(rng.integers(1 << 30)))
    period = field.halo().period[0]
    odd = name != "hourglass"  # which takes whole periods alone
    one = period * -(-8 // period)
    for chunk, n in [(one, N), (3 * one, N - odd), (2 * one, 5 * one + odd), (40 * period, N + period)]:
        samples = signal(channels, n, generator)
        with torch.no_grad():
            whole = model(samples)
        assert torch.equal(streamed(stream(field, chunk), model, pieces(samples, rng)), whole)


@pytest.mark.parametrize("name", MODELS)
def test_less_of_the_past_or_of_what_is_to_come_differs(name, rng):
    model, field, channels, generator = build(name, 1)
    plan = stream(field, 4 * field.halo().period[0])
    assert (plan.delay > 0) is (name in AHEAD)
    samples = signal(channels, N, generator)
    with torch.no_grad():
        whole = model(samples)
    less = replace(plan, lookback=plan.cache - plan.period)
    assert not torch.equal(streamed(less, model, pieces(samples, rng)), whole)
    if plan.delay:
        less = replace(plan, lookahead=plan.delay - plan.period)
        assert not torch.equal(streamed(less, model, pieces(samples, rng)), whole)


@pytest.mark.parametrize("name", MODELS)
def test_look_back_and_look_ahead_are_sharp_to_the_sample(name):
    model, field, channels, generator = build(name, 2)
    plan = stream(field, 2 * field.halo().period[0])
    call = list(plan.calls(N))[len(list(plan.calls(N))) // 2 + 2]
    begin = call.start + plan.cache
    for first, changed in [(begin - plan.lookback, True), (begin - plan.lookback - 1, False)]:
        assert touched(model, call, first, -1, channels, generator) is changed
    end = begin + plan.chunk + plan.lookahead
    for last, changed in [(end - 1, True), (end, False)]:
        assert touched(model, call, last, 1, channels, generator) is changed


def touched(model, call, sample, way, channels, generator):
    """Whether what a call keeps changes with a sample and those beyond it."""
    found = False
    for _ in range(20):
        one = signal(channels, N, generator)
        two = one.clone()
        beyond = slice(None, sample + 1) if way < 0 else slice(sample, None)
        two[..., beyond] = signal(channels, N, generator)[..., beyond]
        two[..., sample] = one[..., sample] + 1
        with torch.no_grad():
            made = [model(x[..., call.start :])[..., call.drop : call.drop + call.keep] for x in (one, two)]
        found |= not torch.equal(*made)
    return found


class Blocks(torch.nn.Module):
    """Every block of six steps is mixed with itself alone, then read with the step before."""

    def forward(self, x):
        blocks = x.reshape(*x.shape[:-1], -1, 6)
        mixed = (blocks.sum(-1, keepdim=True) - blocks).reshape(x.shape)
        return mixed + torch.nn.functional.pad(mixed, (1, 0))[..., :-1]


def test_windows_have_the_period_of_their_pattern(rng):
    generator = torch.Generator().manual_seed(3)
    model = Blocks()
    plan = stream(fastrf.analyze(model, (1, 48)), 12)
    assert (plan.period, plan.positions, plan.lookback, plan.cache, plan.delay) == (6, 6, 6, 6, 0)
    samples = signal(1, 120, generator)
    with torch.no_grad():
        assert torch.equal(streamed(plan, model, pieces(samples, rng)), model(samples))


@pytest.mark.parametrize("seed", range(30))
def test_random_networks(seed):
    """Crops, pads, ceilings, interleaving, branches of other scales."""
    rng = np.random.default_rng(seed)
    layers = [layer(rng) for _ in range(rng.integers(1, 6))]
    model = exact(torch.nn.Sequential(torch.nn.Conv1d(1, 4, 1), *layers, torch.nn.Conv1d(4, 2, 1)), seed)
    field = fastrf.analyze(model, (1, int(rng.integers(150, 260)))).output
    if not field.halo().is_bounded:
        pytest.skip("padding repeats what lies outside of the field")
    plan = stream(field, -(-int(rng.integers(12, 60)) // field.halo().period[0]) * field.halo().period[0])
    samples = signal(1, int(rng.integers(60, 300)), torch.Generator().manual_seed(seed))
    with torch.no_grad():
        whole = model(samples)
    assert torch.equal(streamed(plan, model, pieces(samples, rng, 40)), whole)


def padded_by(x, before, after):
    return np.pad(x, [(0, 0)] * (x.ndim - 1) + [(before, after)])


def smooth(x):
    """Sums of the last five samples, then of every second one of those with its two neighbours."""
    padded = padded_by(x, 4, 0)
    sums = sum(padded[..., k : k + x.shape[-1]] for k in range(5))
    padded = padded_by(sums, 1, 1)
    return sum(padded[..., k : k + x.shape[-1]] for k in range(3))[..., ::2]


SMOOTH = [fastrf.conv(1, 5, padding=[[4, 0]]), fastrf.conv(1, 3, padding=1, stride=2)]


def test_worked_numbers():
    plan = stream(fastrf.analyze(SMOOTH, (1, 64)), 16)
    assert (plan.lookback, plan.lookahead, plan.period, plan.positions) == (5, 0, 2, 1)
    assert (plan.cache, plan.delay, plan.buffer, plan.drop, plan.keep) == (6, 0, 22, 3, 8)
    assert plan.waste == 6 / 22
    assert list(plan.calls(45)) == [Call(0, 16, 0, 8), Call(10, 32, 3, 8), Call(22, 45, 5, None)]
    assert list(plan.calls(32)) == [Call(0, 16, 0, 8), Call(10, 32, 3, 8)]  # nothing is left for a last call
    assert list(plan.calls(3)) == [Call(0, 3, 0, None)]
    assert list(plan.calls(0)) == []
    ahead = stream(fastrf.analyze([fastrf.conv(1, 7, padding=3), fastrf.max_pool(2)], (1, 64)), 8)
    assert (ahead.lookback, ahead.lookahead, ahead.cache, ahead.delay, ahead.drop, ahead.keep) == (3, 3, 4, 4, 2, 4)


def test_tables():
    plan = stream(fastrf.analyze("wavenet", (1, 8000)), 1600)
    (record,) = plan.table.to_records()
    assert (record["cache"], record["drop"], record["node"]) == (3069, 3069, "postprocess2")
    text = str(plan.table.to_text())
    assert all(part in text for part in ("1,600", "4,669", "1 to 1", "65.7%", "drop outputs"))


def test_the_command(capsys, tmp_path):
    from fastrf.cli.commands import main

    def run(words):
        with pytest.raises(SystemExit) as stop:
            main(["tiling", *words.split()])
        return stop.value.code or 0, *capsys.readouterr()

    code, out, _ = run(
        "tcn --input 1x600 --stream --chunk 16,32 --node residual_block_1 --node residual_block_0 --json"
    )
    found = json.loads(out)["streams"]
    assert (code, [(one["chunk"], one["cache"]) for one in found]) == (0, [(16, 12), (32, 12), (16, 4), (32, 4)])
    assert run(f"tcn --input 1x600 --stream -o {tmp_path / 's.csv'}")[0] == 0
    assert (tmp_path / "s.csv").read_text().splitlines()[1].split(",")[:4] == ["Add_Skip_Connections", "0", "1", "252"]
    for words, said in [
        ("--chunk 16", "leave the options of tiles out"),
        ("--costs --words", "leave one out"),
        ("--stream --tile 16", "leave the options of tiles out"),
        ("--stream --chunk 1.5", "--chunk '1.5'"),
        ("--stream --chunk 0", "no positive number of samples"),
        ("--stream --axis 1", "axis 1 is not one of the 1 axes"),
        ("--stream --node nothing", "is not in network"),
    ]:
        code, out, err = run(f"tcn --input 1x600 {words}")
        assert (code, out, err.count("\n"), said in err) == (2, "", 1, True), err


def test_numpy_networks_and_those_without_a_batch(rng):
    samples = rng.integers(-9, 9, (1, 1000)).astype(float)
    plan = stream(fastrf.analyze(SMOOTH, (1, 64)), 16)
    found = list(plan.run(smooth, pieces(samples, rng)))
    assert np.array_equal(np.concatenate(found, -1), smooth(samples))
    lengths = []
    list(plan.run(lambda x: lengths.append(x.shape[-1]) or smooth(x), pieces(samples, rng)))
    assert lengths == [call.stop - call.start for call in plan.calls(1000)]
    batch = rng.integers(-9, 9, (3, 1, 99)).astype(float)
    assert np.array_equal(np.concatenate(list(plan.run(smooth, pieces(batch, rng, 9))), -1), smooth(batch))


def test_modules_take_arrays_and_what_has_no_batch(rng):
    model, field, channels, generator = build("tcn", 4)
    samples = signal(channels, N, generator)
    with torch.no_grad():
        whole = model(samples)[0].numpy()
    found = list(stream(field, 24).run(model, pieces(samples[0].numpy(), rng)))
    assert np.array_equal(np.concatenate(found, -1), whole)
    with pytest.raises(fastrf.UsageError, match="is training"):
        list(stream(field, 24).run(torch.nn.Sequential(model, torch.nn.Dropout()), [samples]))


def test_outputs_come_as_soon_as_their_samples_are_there(rng):
    plan = stream(fastrf.analyze(SMOOTH, (1, 64)), 16)
    given = []

    def source():
        for piece in np.split(rng.integers(-9, 9, (1, 160)), 16, -1):
            given.append(piece.shape[-1])
            yield piece

    outputs = plan.run(smooth, source())
    assert [(next(outputs).shape[-1], sum(given)) for _ in range(4)] == [(8, 20), (8, 40), (8, 50), (8, 70)]
    assert list(plan.run(smooth, [])) == []


def test_one_axis_of_several(rng):
    """A spectrogram: whole along the frequencies, a stream along time."""
    layers = [fastrf.conv(1, [5, 3], padding=[[2, 2], [2, 0]]), fastrf.layer("softmax", axis=1)]
    plan = stream(fastrf.analyze(layers, (1, 12, 40)), 5, axis=1)
    assert (plan.axis, plan.cache, plan.delay) == (1, 2, 0)

    def network(x):
        padded = padded_by(x, 2, 0)
        sums = sum(padded[..., k : k + x.shape[-1]] for k in range(3))
        return sums - sums.sum(1, keepdims=True)

    samples = rng.integers(-9, 9, (1, 12, 57))
    assert np.array_equal(np.concatenate(list(plan.run(network, pieces(samples, rng, 9))), -1), network(samples))


def test_onnx_runtime(rng):
    onnx, ort = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    weights = {
        "w1": rng.integers(-2, 3, (3, 1, 4)),
        "w2": rng.integers(-2, 3, (3, 2, 4)),
        "w3": rng.integers(-2, 3, (1, 2, 3)),
    }
    tensors = [onnx.numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    nodes = [
        onnx.helper.make_node("Conv", ["x", "w1"], ["a"], pads=[2, 0], strides=[2]),
        onnx.helper.make_node("ConvTranspose", ["a", "w2"], ["b"], pads=[0, 2], strides=[2]),
        onnx.helper.make_node("Relu", ["b"], ["c"]),
        onnx.helper.make_node("Conv", ["c", "w3"], ["y"], pads=[4, 0], dilations=[2]),
    ]
    ends = [
        onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, ["n", 1, t]) for n, t in (("x", "t"), ("y", "s"))
    ]
    graph = onnx.helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    plan = stream(fastrf.analyze(model, (1, 64)), 10)
    samples = rng.integers(-3, 4, (1, 1, 233)).astype(np.float32)
    (whole,) = session.run(None, {"x": samples})
    assert np.array_equal(np.concatenate(list(plan.run(session, pieces(samples, rng))), -1), whole)
    less = replace(plan, lookback=plan.cache - plan.period)
    assert not np.array_equal(np.concatenate(list(less.run(session, pieces(samples, rng))), -1), whole)


def test_unbounded_look_back_is_refused_by_the_name_of_the_node():
    layers = [
        fastrf.conv(4, 3, padding=1),
        {"op": "permute", "order": [1, 0]},
        {"name": "memory", "op": "recurrent", "hidden_size": 4},
    ]
    analysis = fastrf.analyze(layers, (2, 12))
    for given in (analysis, analysis.output):
        with pytest.raises(fastrf.ShapeError, match=r"^node 'memory'.* reads all of the past.* its own state"):
            stream(given, 4)
    assert stream(analysis[list(analysis)[1]], 4).cache == 1
    summed = fastrf.analyze(torch.nn.Sequential(torch.nn.Conv1d(1, 1, 3), Summed()), (1, 32))
    with pytest.raises(fastrf.ShapeError, match=r"^node '1' \(cumsum\) reads all of the past"):
        stream(summed)
    backwards = fastrf.analyze([fastrf.layer("flip", axes=[1])], (1, 12))
    with pytest.raises(fastrf.ShapeError, match=r"^node 'flip1'.* at no fixed distance"):
        stream(backwards)
    ring = fastrf.layer("pad", padding=[[0, 0], [3, 0]], mode="circular", name="ring")
    with pytest.raises(fastrf.ShapeError, match=r"^node 'ring' \(pad\) reads the other end .*; pad with zeros"):
        stream(fastrf.analyze([fastrf.conv(1, 3), ring, fastrf.conv(1, 4)], (1, 48)))


class Summed(torch.nn.Module):
    def forward(self, x):
        return x.cumsum(-1)


def test_a_node_that_is_unbounded_along_another_axis_is_not_named():
    spec = {
        "input_shape": [1, 6, 12],
        "layers": [
            {"name": "soft", "op": "softmax", "axis": 1},
            {"name": "norm", "op": "softmax", "axis": 2},
        ],
    }
    analysis = fastrf.analyze(spec)
    assert stream(analysis["soft"], axis=1).cache == 0
    with pytest.raises(fastrf.ShapeError, match=r"^node 'norm'"):
        stream(analysis, axis=1)


def test_bad_input_is_told_in_one_line(rng):
    analysis = fastrf.analyze(SMOOTH, (1, 64))
    for chunk, said in [
        (7, "use 6 or 8"),
        (1, "use 2$"),
        (-4, "use 2$"),
        (4.0, "period"),
        (True, "period"),
    ]:
        with pytest.raises(fastrf.ShapeError, match=said):
            stream(analysis, chunk)
    for axis in (1, -2, 0.0, "time"):
        with pytest.raises(fastrf.PositionError, match="not one of the 1 axes"):
            stream(analysis, 4, axis)
    plan, fine = stream(analysis, 4), np.zeros((1, 9))
    for chunks, error, said in [
        ([fine, np.zeros((2, 9))], fastrf.ShapeError, "a chunk is 2 x 9, but the input 1 x any"),
        ([np.zeros(9)], fastrf.ShapeError, "a chunk is 9, but the input 1 x any"),
        ([fine, np.zeros((1, 9), int)], fastrf.UsageError, "of one kind"),
        ([fine, torch.zeros(1, 9)], fastrf.UsageError, "of one kind"),
        ([fine, np.zeros((4, 1, 9))], fastrf.UsageError, "of one kind"),
        ([[1.0, 2.0]], fastrf.UsageError, "not a list"),
    ]:
        with pytest.raises(error, match=said):
            list(plan.run(smooth, chunks))
    for network, error, said in [
        (lambda x: x, fastrf.ShapeError, "made 1 x 4 of 4 samples, not 1 x 2 as"),
        (lambda x: smooth(x)[..., :-1], fastrf.ShapeError, "made 1 x 1 of 4 samples"),
        (lambda x: np.vstack([smooth(x)] * 2), fastrf.ShapeError, "made 2 x 2 of 4 samples"),
        (lambda x: smooth(x)[0], fastrf.ShapeError, "made 2 of 4"),
        (lambda x: (smooth(x), x), fastrf.ShapeError, "gives 2 outputs"),
        (lambda _: None, fastrf.ShapeError, "made a scalar of 4"),
        (3, fastrf.UsageError, "cannot run"),
    ]:
        with pytest.raises(error, match=said):
            list(plan.run(network, [fine]))
    with pytest.raises(ZeroDivisionError) as failed:
        list(plan.run(lambda _: 1 // 0, [fine]))
    assert failed.value.__notes__ == ["samples [0, 4) of the stream; a larger chunk makes larger buffers"]
    with pytest.raises(fastrf.PositionError, match="no positions to tile"):
        stream(fastrf.analyze("resnet50"))


@pytest.mark.parametrize(
    ("mode", "said"), [("reflect", "mirrored at its ends .*those that come later"), ("circular", "the other end of")]
)
def test_pads_that_read_elsewhere_are_told(mode, said):
    layers = [{"name": "pad", "op": "pad", "padding": [[0, 0], [6, 0]], "mode": mode}, fastrf.conv(2, 7, name="conv")]
    with pytest.raises(fastrf.ShapeError, match=rf"node 'pad' \(pad\) reads .*{said}.*'constant' or 'replicate'"):
        stream(fastrf.analyze(layers, (1, 64)))
