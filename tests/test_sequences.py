"""Steps along an axis: how far back and ahead they read, worked by hand, and against every row of the exact masks."""

from __future__ import annotations

import json
import math
import pickle

import numpy as np
import pytest

import fastrf
from fastrf.cli.commands import main

INF = math.inf
FRAMES = list(zip([10, 3, 3, 3, 3, 2, 2], [5, 2, 2, 2, 2, 2, 2], strict=True))
RECURRENT = [{"op": "permute", "order": [1, 0]}, {"op": "recurrent", "hidden_size": 4}]
CAUSAL = [[i >= j for j in range(12)] for i in range(12)]


def ends(field, axis=0, **more):
    return field.lookback(axis, **more), field.lookahead(axis, **more), field.is_causal(axis, **more)


@pytest.mark.parametrize(
    ("layers", "shape", "expected"),
    [
        ([fastrf.conv(1, 3, padding=[[2, 0]])], (1, 12), (2, 0, True)),
        ([fastrf.conv(1, 3, padding=1)], (1, 12), (1, 1, False)),
        ([fastrf.conv(1, 3)], (1, 12), (0, 2, False)),
        ([fastrf.conv(1, 3, dilation=4, padding=[[8, 0]])], (1, 40), (8, 0, True)),
        ([fastrf.conv(1, 9, padding=4)], (1, 3), (4, 4, False)),  # wider than the input
        ([fastrf.conv(1, 4, stride=2, padding=[[2, 0]])], (1, 12), (2, 0, True)),
        ([fastrf.conv(1, k, stride=s) for k, s in FRAMES], (1, 4000), (0, 80, False)),
        ([fastrf.conv(1, 3, stride=3), fastrf.resize(scale=3)], (1, 12), (2, 2, False)),
        ([fastrf.resize(scale=4), fastrf.conv(1, 3, padding=[[2, 0]])], (1, 12), (1, 0, True)),
        ([fastrf.layer("pad", padding=[[0, 0], [2, 2]], mode="reflect"), fastrf.conv(1, 5)], (1, 12), (2, 2, False)),
        ([fastrf.layer("flip", axes=[1])], (1, 12), (11, 11, False)),
        (RECURRENT, (2, 12), (INF, 0, True)),
    ],
)
def test_worked_numbers(layers, shape, expected):
    assert ends(fastrf.analyze(layers, shape).output) == expected


@pytest.mark.parametrize(("mask", "expected"), [(CAUSAL, (INF, 0, True)), (None, (INF, INF, False))])
def test_attention_reaches_without_bound(mask, expected):
    layers = [fastrf.layer("attention", mask=mask, inputs=["input"] * 3)]
    assert ends(fastrf.analyze(layers, (12, 4), channel_axis=1).output) == expected


def by_rows(field, axis, stride):
    """Look-back, look-ahead and leaking pairs by the exact mask of every position."""
    back, ahead, pairs = 0, 0, set()
    for position in np.ndindex(field.position_shape):
        others = tuple(k for k in range(len(field.pixel_shape)) if k != axis)
        read = np.flatnonzero(field.mask(position).any(axis=others))
        begin, end = math.floor(position[axis] * stride), math.ceil((position[axis] + 1) * stride)
        pairs |= {(position[axis], i) for i in read.tolist() if i >= end}
        if read.size:
            back, ahead = max(back, begin - read[0]), max(ahead, read[-1] - end + 1)
    return back, ahead, sorted(pairs)


@pytest.mark.parametrize("rng", range(12), indirect=True)
def test_steps_of_drawn_layers_read_what_their_masks_show(rng):
    layers, strides = [], [1.0, 1.0]
    for _ in range(rng.integers(1, 4)):
        kernel, stride, dilation = ([int(n) for n in rng.integers(1, 4, 2)] for _ in range(3))
        padding = rng.integers(0, 5, (2, 2)).tolist()
        layers.append(fastrf.conv(1, kernel, stride=stride, dilation=dilation, padding=padding))
        if rng.random() < 0.3:
            layers.append(fastrf.resize(scale=2))
            stride = [s / 2 for s in stride]
        strides = [a * b for a, b in zip(strides, stride, strict=True)]
    field = fastrf.analyze(layers, (1, 60, 57)).output
    for axis, stride in enumerate(strides):
        back, ahead, pairs = by_rows(field, axis, stride)
        assert field.is_causal(axis) == (not pairs)
        assert ends(field, axis)[:2] == (back, ahead)
        assert list(map(tuple, field.leaks(axis).tolist())) == pairs


def test_the_axis_that_goes_along_is_found():
    layers = [fastrf.layer("permute", order=[0, 2, 1]), fastrf.conv(1, [1, 3], padding=[[0, 0], [2, 0]])]
    field = fastrf.analyze(layers, (1, 8, 12)).output
    assert field.position_shape == (12, 8)
    assert [ends(field, axis) for axis in (0, 1)] == [(2, 0, True), (0, 0, True)]


def test_what_is_not_known_is_asked_for():
    pooled = fastrf.analyze([fastrf.global_avg_pool()], (1, 12)).output
    with pytest.raises(fastrf.PositionError, match="1 steps on 12 samples in no regular stride; say how many samples"):
        pooled.lookahead()
    assert ends(pooled, stride=12) == (0, 0, True)
    with pytest.raises(fastrf.UsageError, match=r"stride must be a number of samples above 0 .*, not -1"):
        pooled.is_causal(stride=-1)
    for stride in (True, math.nan, 10**30):
        with pytest.raises(fastrf.UsageError, match="stride must be a number of samples above 0"):
            pooled.lookahead(stride=stride)
    shifted = fastrf.analyze([fastrf.conv(1, 3, padding=1)], (1, 12)).output
    assert not shifted.is_causal(stride=1)
    with pytest.raises(fastrf.UsageError, match="covers 1 samples, as the network tells; leave out stride 3"):
        shifted.is_causal(stride=3)
    with pytest.raises(fastrf.PositionError, match="axis 1 is not one of the 1 pixel axes"):
        pooled.lookback(1)
    patches = [fastrf.conv(2, 4, stride=4), fastrf.flatten(start_axis=1)]  # as many as there are rows, by chance
    with pytest.raises(fastrf.PositionError, match="16 steps on 16 samples in no regular stride"):
        fastrf.analyze(patches, (1, 16, 16)).output.is_causal()
    with pytest.raises(fastrf.PositionError, match="has no steps: none of its axes goes along axis 0"):
        fastrf.analyze([fastrf.global_avg_pool(keepdims=False)], (1, 12)).output.lookback()


def test_pairs_beyond_memory_are_asked_for_as_runs():
    field = fastrf.analyze([fastrf.layer("flip", axes=[1])], (1, 60_000)).output
    with fastrf.limits(memory="1MB"), pytest.raises(fastrf.LimitError, match=r"ask for leaks\(axis, runs=True\)"):
        field.leaks()
    assert field.leaks().shape == (30_000, 2)
    assert field.leaks(runs=True)[0].tolist() == [0, 59_999, 60_000]


def test_leaks_are_told_where_they_first_appear():
    layers = [
        fastrf.conv(1, 2, padding=[[1, 0]], name="causal"),
        fastrf.conv(1, 2, padding=[[0, 1]], name="late"),
        fastrf.conv(1, 4, stride=2, padding=[[1, 1]], name="down"),
        fastrf.resize(scale=2, name="up"),
    ]
    analysis = fastrf.analyze(layers, (1, 8))
    told = [(leak.node, leak.op, leak.count, leak.example) for leak in analysis.leaks()]
    assert [row[:2] for row in told] == [("late", "conv"), ("down", "conv"), ("up", "resize")]
    assert sum(row[2] for row in told) == len(analysis.output.leaks())
    assert [analysis.leaks(node=name) for name in ("causal",)] == [()]
    assert analysis.leaks(node="late")[0].pairs(runs=True).tolist() == [[k, k + 1, k + 2] for k in range(7)]


def padded(mode, first=()):
    """Two blocks that pad their start and convolve, behind other layers."""
    blocks = [
        layer
        for k in range(2)
        for layer in (
            {"name": f"pad{k}", "op": "pad", "padding": [[0, 0], [3, 0]], "mode": mode},
            {"name": f"conv{k}", "op": "conv", "out_channels": 1, "kernel_size": 4},
            {"name": f"act{k}", "op": "relu"},
        )
    ]
    return fastrf.analyze([*first, *blocks], (1, 16))


@pytest.mark.parametrize(("mode", "nodes"), [("circular", ["pad0", "pad1"]), ("reflect", ["pad0"]), ("constant", [])])
def test_pads_and_not_what_reads_them_are_to_blame(mode, nodes):
    analysis = padded(mode)
    told = analysis.leaks()
    assert [leak.node for leak in told] == nodes
    assert sum(leak.count for leak in told) == len(analysis.output.leaks())
    if mode == "circular":  # what the network of one pad leaks is that pad's, the rest is the other's
        alone = padded("constant").leaks(), analysis.leaks(node="act0")
        assert [leak.node for leak in alone[1]] == ["pad0"]
        assert told[0].relation.contains(alone[1][0].relation)


@pytest.mark.parametrize("mode", ["circular", "reflect", "constant"])
def test_what_leaks_before_pads_is_told_there(mode):
    """A pad moves steps on, and what they carry is followed through it."""
    analysis = padded(mode, [fastrf.conv(1, 3, padding=1, name="late")])
    told = {leak.node: leak.relation for leak in analysis.leaks()}
    assert told["late"].contains(fastrf.analyze([fastrf.conv(1, 2, padding=[[0, 1]])], (1, 16)).leaks()[0].relation)
    assert set(told) == {"late", *([] if mode == "constant" else ["pad0", "pad1"] if mode == "circular" else ["pad0"])}
    assert sum(relation.n_points for relation in told.values()) == len(analysis.output.leaks())


def test_context_is_one_record():
    found = fastrf.analyze("tcn", (1, 512)).output.context(16_000)
    assert (found.lookback, found.lookahead, found.latency, found.step, found.period) == (252, 0, 1, 1, 1)
    assert found.is_causal
    assert found.exact
    assert found.unbounded_at == ()
    assert found.bounded_lookback == 252
    assert found.seconds["lookback"] == 252 / 16_000
    frames = fastrf.analyze([fastrf.conv(1, k, stride=s) for k, s in FRAMES], (1, 4000)).output.context()
    assert (frames.latency, frames.step, frames.period, frames.seconds) == (400, 320, 320, {})
    with pytest.raises(fastrf.UsageError, match="samples per second above 0, not nan"):
        fastrf.analyze("tcn", (1, 64)).output.context(math.nan)


def test_what_keeps_state_is_named_and_the_rest_is_a_number():
    layers = [
        fastrf.conv(4, 3, padding=[[2, 0]], name="front"),
        fastrf.layer("permute", order=[1, 0]),
        fastrf.layer("recurrent", hidden_size=4, name="first"),
        fastrf.layer("recurrent", hidden_size=4, name="second"),
        fastrf.layer("permute", order=[1, 0]),
        fastrf.conv(4, 2, dilation=3, padding=[[3, 0]], name="end"),
    ]
    field = fastrf.analyze(layers, (1, 24)).output
    found = field.context()
    assert (found.lookback, found.unbounded_at, found.bounded_lookback) == (INF, ("first", "second"), 5)
    assert fastrf.analyze(layers, (1, 24))["front"].context().unbounded_at == ()
    loose = pickle.loads(pickle.dumps(field)).context()  # without its network
    assert (loose.lookback, loose.unbounded_at) == (INF, ())
    assert math.isnan(loose.bounded_lookback)


def test_statistics_over_time_have_no_end_either_way():
    found = fastrf.analyze([fastrf.conv(4, 3, padding=1), {"op": "instance_norm", "name": "norm"}], (4, 24)).output
    told = found.context()
    assert (told.lookback, told.lookahead, told.unbounded_at, told.bounded_lookback) == (INF, INF, ("norm",), 1)


def test_the_command_tells_every_output(capsys):
    code, out = called(capsys, "context", "late.toml")
    assert code == 2
    code, out = called(capsys, "context", "wavenet", "--input", "1x4000", "--sample-rate", "16000", "--json")
    (row,) = json.loads(out)["outputs"]
    assert (code, row["lookback"], row["seconds"]["lookback"], row["causal"]) == (0, 3069, 3069 / 16_000, True)
    code, out = called(capsys, "context", "unet", "--input", "1x32x32", "--leaks", "--axis", "1")
    assert code == 0
    assert out.splitlines()[0].split()[:4] == ["first", "at", "in", "module"]
    code, out = called(capsys, "context", "tcn", "--input", "1x64", "--leaks")
    assert (code, out.splitlines()[-1]) == (0, "causal: Add_Skip_Connections")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tcn", "--input", "1x64", "--sample-rate", "0"], "sample_rate must be a number of samples per second"),
        (["tcn", "--input", "1x64", "--axis", "1"], "axis 1 is not one of the 1 pixel axes"),
        (["resnet18"], "'fc' of positions () has no steps"),
        (["tcn", "--input", "1x64", "--stride", "-1"], "stride must be a number of samples above 0"),
    ],
)
def test_bad_words_are_one_line(capsys, words, message):
    code, told = called(capsys, "context", *words)
    assert code == 2
    assert message in told
    assert len(told.splitlines()) == 1


def called(capsys, *words):
    """The exit code of a command, and what it printed or, where it failed, said."""
    with pytest.raises(SystemExit) as stop:
        main(list(words))
    out, err = capsys.readouterr()
    return stop.value.code, out if stop.value.code == 0 else err


@pytest.mark.parametrize("kernel", [1, 2, 5])
@pytest.mark.parametrize("dilation", [1, 3])
def test_causal_padding_keeps_the_length_and_the_future_out(kernel, dilation):
    field = fastrf.analyze([fastrf.conv(2, kernel, dilation=dilation, padding="causal")], (1, 40)).output
    back = dilation * (kernel - 1)
    assert (field.shape, ends(field)) == ((2, 40), (back, 0, True))
    pair = fastrf.analyze([fastrf.conv(2, kernel, dilation=dilation, padding=(back, 0))], (1, 40)).output
    assert pair == field
    assert fastrf.sizes([fastrf.conv(2, kernel, dilation=dilation, padding="causal")], (1, 40)).smallest == (1,)


def test_a_row_for_each_output(capsys, tmp_path):
    spec = {
        "input_shape": [1, 32],
        "outputs": ["frames", "late", "verdict"],
        "layers": [
            {"name": "frames", "op": "conv", "out_channels": 2, "kernel_size": 4, "stride": 4},
            {"name": "late", "op": "conv", "out_channels": 2, "kernel_size": 3, "padding": 1},
            {"name": "verdict", "op": "global_avg_pool", "keepdims": False},
        ],
    }
    (tmp_path / "net.json").write_text(json.dumps(spec))
    _, out = called(capsys, "context", str(tmp_path / "net.json"), "--json")
    rows = json.loads(out)["outputs"]
    assert [(row["output"], row["lookback"], row["lookahead"]) for row in rows] == [("frames", 0, 0), ("late", 4, 4)]
    _, out = called(capsys, "context", str(tmp_path / "net.json"))
    assert "'verdict' of positions () has no steps" in out
    _, out = called(capsys, "context", str(tmp_path / "net.json"), "--node", "late", "--leaks", "--json")
    assert [(row["node"], row["pairs"], row["first"]) for row in json.loads(out)["leaks"]] == [("late", 28, [0, 4])]
