"""What tiles cost: equal to what is counted tile by tile, and the best of all that are tried."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import fastrf
from fastrf.tiling import Cost, best, costs, plan
from fastrf.tiling.memory import activations, parameters


def random_network(rng, ndim=2):
    """A spec of layers in steps, with a skip connection or two, on an image that fits."""
    layers, channels = [], 1
    names = ["input"]

    def pick(low, high):
        return [int(rng.integers(low, high)) for _ in range(ndim)]

    for k in range(int(rng.integers(1, 5))):
        kind, kernel = int(rng.integers(5)), pick(1, 5)
        layer = {"name": f"n{k}", "inputs": [names[-1]], "kernel_size": kernel}
        if kind == 0:
            channels = int(rng.integers(1, 5))
            padding = [[int(rng.integers(0, n)), int(rng.integers(0, n))] for n in kernel]
            layer |= {"op": "conv", "out_channels": channels, "padding": padding, "stride": pick(1, 3)}
        elif kind == 1:
            layer |= {"op": "max_pool", "stride": pick(1, 4)}
        elif kind == 2:
            steps = pick(1, 3)
            layer |= {"op": "conv_transpose", "out_channels": channels, "stride": steps}
            layer["kernel_size"] = [n + more for n, more in zip(kernel, steps, strict=True)]
        elif kind == 3:
            layer = {"name": f"n{k}", "op": "add", "inputs": [names[-1], names[-1]]}
        else:
            layers.append({"name": f"r{k}", "op": "relu", "inputs": [names[-1]]})
            layer = {"name": f"n{k}", "op": "concat", "inputs": [names[-1], f"r{k}"], "axis": 0}
            channels *= 2
        layers.append(layer)
        names.append(layer["name"])
    return {"input_shape": [1, *(int(rng.integers(40, 70)) for _ in range(ndim))], "layers": layers}


def counted(made):
    """A plan's cost, pixel by pixel."""
    seen = np.zeros(made.pixel_shape, int)
    n = 0
    for tile in made.tiles:
        n += 1
        np.add.at(
            seen, np.ix_(*(np.arange(a, b) % size for (a, b), size in zip(tile.read, seen.shape, strict=True))), 1
        )
    assert seen.min() > 0
    return n, int(seen.sum()), int((seen - 1).sum()), float((seen - 1).sum() / seen.sum())


@pytest.mark.parametrize("seed", range(8))
def test_costs_equal_those_of_every_tile(seed):
    rng = np.random.default_rng(seed)
    analysis = fastrf.analyze(random_network(rng))
    steps = zip(analysis.output.pixel_shape, analysis.output.halo().period, strict=True)
    wrap = [axis for axis, (n, period) in enumerate(steps) if rng.random() < 0.5 and not n % period]
    for cost in costs(analysis, wrap=wrap):
        made = plan(analysis, cost.tile, wrap=wrap)
        assert made.tile_shape == cost.tile
        assert counted(made) == (cost.n_tiles, cost.pixels_read, cost.pixels_again, cost.waste)
        assert cost.pixels == np.prod(analysis.output.pixel_shape)


def every_plan(analysis, wrap):
    """The plans of all sizes of tiles that there are, but for those that are the same."""
    found = {}
    sizes = enumerate(analysis.output.pixel_shape)
    for tile in itertools.product(*(range(1, (1 + (axis in wrap)) * n + 1) for axis, n in sizes)):
        try:
            made = plan(analysis, tile, wrap=wrap)
        except fastrf.ShapeError:
            continue
        found[made.tile_shape] = made
    return list(found.values())


@pytest.mark.parametrize("seed", range(8))
def test_the_best_is_the_least_of_all(seed):
    rng = np.random.default_rng(seed)
    spec = random_network(rng, 1 if seed < 5 else 2)
    spec["input_shape"][1:] = [n if len(spec["input_shape"]) == 2 else n // 3 for n in spec["input_shape"][1:]]
    analysis = fastrf.analyze(spec)
    wrap = (0,) if seed % 2 == 0 and not spec["input_shape"][1] % analysis.output.halo().period[0] else ()
    plans = every_plan(analysis, wrap)
    takes = [held(analysis, made.tile_shape) for made in plans]
    for memory in [*rng.choice(takes, 3), min(takes), max(takes)]:
        fit = [made for made, bytes_of in zip(plans, takes, strict=True) if bytes_of <= memory]
        least = min((made.pixels_read, made.n_tiles) for made in fit)
        found = best(analysis, memory=int(memory), wrap=wrap)
        assert (found.pixels_read, found.n_tiles) == least
        assert found.memory == held(analysis, found.tile) <= memory
        assert (found.n_tiles, found.pixels_read) == counted(plan(analysis, found.tile, wrap=wrap))[:2]
    with pytest.raises(fastrf.LimitError, match="the smallest tiles"):
        best(analysis, memory=int(min(takes)) - 1, wrap=wrap)


def held(analysis, tile):
    """Bytes at the peak, of the network built anew for the tile: at each node, what is made and yet asked for."""
    spec = analysis.network.to_dict()
    network = fastrf.Network.from_dict(spec, input_shape=(1, *tile))
    nodes, made = list(network.nodes), {"input": int(np.prod(network.shape_of("input")))}
    peak = 0
    for k, node in enumerate(nodes):
        made[node.name] = int(np.prod(node.shape))
        asked = {"input", *network.outputs, node.name, *(name for later in nodes[k:] for name in later.inputs)}
        peak = max(peak, sum(n for name, n in made.items() if name in asked))
    return 4 * (peak + sum(node.parameters for node in nodes))


def test_worked_memory():
    """Two channels of 8 x 8, a skip over a strided path: 128, 256, 64, 64, 256 and 512 numbers; views cost nothing."""
    spec = {
        "input_shape": [2, 8, 8],
        "layers": [
            {"name": "wide", "op": "conv", "out_channels": 4, "kernel_size": 3, "padding": 1},
            {"name": "down", "op": "max_pool", "kernel_size": 2, "stride": 2},
            {"name": "view", "op": "reshape", "shape": [4, 4, 4]},
            {"name": "relu", "op": "relu"},
            {"name": "up", "op": "resize", "scale": 2, "mode": "nearest"},
            {"name": "both", "op": "concat", "inputs": ["wide", "up"], "axis": 0},
        ],
    }
    analysis = fastrf.analyze(spec)
    assert parameters(analysis) == 4 * (4 * 2 * 9 + 4)
    small, large = 4 * (128 + 256 + 256 + 512), 4 * 4 * (128 + 256 + 256 + 512)
    assert list(activations(analysis, ["both"], [(8, 8), (16, 16)])) == [small, large]
    assert list(activations(analysis, ["relu"], [(8, 8)])) == [4 * (128 + 256 + 64)]
    assert list(activations(analysis, ["down", "relu"], [(8, 8)])) == [4 * (128 + 256 + 64)]


def test_what_no_tile_cuts_stays_as_it_is():
    """A gate has one number for each channel, whatever the tile; tokens grow with the pixels."""
    spec = {
        "input_shape": [3, 8, 8],
        "layers": [
            {"name": "mean", "op": "global_avg_pool"},
            {"name": "gate", "op": "mul", "inputs": ["input", "mean"]},
            {"name": "tokens", "op": "flatten", "start_axis": 1},
            {"name": "soft", "op": "relu"},
        ],
    }
    analysis = fastrf.analyze(spec)
    assert list(activations(analysis, ["gate"], [(16, 8)])) == [4 * (2 * 192 + 2 * 192 + 3)]
    assert list(activations(analysis, ["soft"], [(16, 8)])) == [4 * 3 * 384]


def test_tables(capsys):
    analysis = fastrf.analyze("unet", (1, 256, 256))
    found = costs(analysis, (4096, 4096), [512, (1024, None)])
    assert [cost.tile for cost in found] == [(512, 512), (1024, 4096)]
    assert found[0] == Cost((512, 512), 169, 169 << 18, 1 << 24, *(found[0].activations, found[0].parameters))
    text = str(found)
    assert all(part in text for part in ("512x512", "44,302,336", "62.1%", "float32"))
    assert found.table.to_records()[0]["memory"] == found[0].memory
    alone = costs(analysis.output, (4096, 4096), [512])
    assert (alone[0].memory, "float32" in str(alone)) == (None, False)
    chosen = best(analysis, (4096, 4096), "2GB")
    assert plan(analysis, chosen.tile, image_shape=(4096, 4096)).pixels_read == chosen.pixels_read


def test_axes_that_cannot_be_cut_are_read_whole():
    spec = [fastrf.conv(2, 3, padding=1), fastrf.layer("softmax", axis=2)]
    analysis = fastrf.analyze(spec, (1, 64, 48))
    assert {cost.tile[1] for cost in costs(analysis)} == {48}
    assert best(analysis, memory="20kB").tile[1] == 48
    with pytest.raises(fastrf.LimitError, match="the smallest tiles, 3x48, take"):
        best(analysis, memory=1000)
    with pytest.raises(fastrf.ShapeError, match="axis 1"):
        best(analysis, (64, 96))


def test_bad_input():
    analysis = fastrf.analyze("unet", (1, 64, 64))
    with pytest.raises(fastrf.UsageError, match="memory needs the network"):
        best(analysis.output)
    for memory in ("much", "8 apples", 0, -1, 1.5):
        with pytest.raises(fastrf.UsageError, match="memory must be"):
            best(analysis, memory=memory)
    with pytest.raises(fastrf.UsageError, match="tiles names no size"):
        costs(analysis, (256, 256), [])
    assert best(analysis, memory=None) == best(analysis)
    with pytest.raises(fastrf.ShapeError, match="tile of 16"):
        costs(analysis, (256, 256), [16])
    with pytest.raises(fastrf.UnknownNodeError):
        best(analysis, outputs="nothing")
    with pytest.raises(fastrf.ShapeError, match="steps of 16"):
        costs(analysis, (100, 64))


def test_no_tile_is_proposed_that_a_plan_refuses():
    """An adaptive pool makes as many positions of a tile as of the image, however regular they are."""
    spec = [fastrf.conv(4, 3, padding=1), fastrf.layer("adaptive_avg_pool", output_size=[32, 64])]
    analysis = fastrf.analyze(spec, (3, 64, 64))
    assert plan(analysis, best(analysis).tile).n_tiles == 1
    assert {cost.tile for cost in costs(analysis)} == {(64, 64)}
    with pytest.raises(fastrf.LimitError, match="the smallest tiles, 64x64, take"):
        best(analysis, memory="100kB")
    analysis = fastrf.analyze([spec[0], fastrf.avg_pool(2)], (3, 64, 64))
    assert plan(analysis, best(analysis, memory="100kB").tile).n_tiles > 1
