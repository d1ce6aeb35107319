"""Plans in the words of others, as tables, and on the command line."""

from __future__ import annotations

import json

import pytest

import fastrf
from fastrf.cli import commands
from fastrf.tiling import plan


def told(made):
    return {(row["framework"], row["setting"]): (row["value"], row["equal"]) for row in made.words().to_records()}


def monai_starts(size, roi, overlap):
    """Where MONAI's windows begin: `dense_patch_slices` with the interval of `_get_scan_interval`."""
    interval = max(int(roi * (1 - overlap)), 1)
    starts = range(0, -(-(size - roi) // interval) * interval + 1, interval)
    return [min(start, size - roi) for start in starts]


@pytest.mark.parametrize(("size", "tile"), [(512, 256), (240, 224), (1008, 288), (512, 208)])
def test_monai_goes_in_the_same_steps(size, tile):
    made = plan(fastrf.analyze("unet", (1, size, size)), tile)
    overlap = told(made)["MONAI", "overlap"][0][0]
    found = monai_starts(size, told(made)["MONAI", "roi_size"][0][0], overlap)
    assert found == [span.start for span in made.axes[0].spans]


def test_the_words_of_a_valid_network():
    """A conv of 3 that pads nothing, a pool: 18 pixels make 8 positions, of which one at the end is spoilt."""
    made = plan(fastrf.analyze([fastrf.conv(1, 3), fastrf.max_pool(2)], (1, 18)), 12)
    words = told(made)
    assert words["bioimage.io", "scale"] == ([2.0], False)
    assert words["bioimage.io", "offset"] == ([-1], False)
    assert words["bioimage.io", "halo"] == ([0], False)  # what is spoilt is not there: the offset has it
    assert words["StarDist", "_axes_div_by"] == ([2], True)
    assert words["StarDist", "_axes_tile_overlap"] == ([2], True)
    assert words["torchgeo", "stride"] == ([10], False)
    assert words["Dask", "map_overlap depth"] == ([[0, 2]], False)  # chunks and positions are not the same


def test_halos_of_both_sides_are_one():
    made = plan(fastrf.analyze([fastrf.conv(1, 5, padding=[[4, 0]])], (1, 40)), 20)
    assert told(made)["bioimage.io", "halo"][0] == [4]
    assert told(made)["nnU-Net", "tile_step_size"][0] == 16 / 20
    assert told(made)["Dask", "map_overlap depth"] == ([[4, 0]], True)


def test_dask_goes_with_these_depths():
    da, np = pytest.importorskip("dask.array"), pytest.importorskip("numpy")
    made = plan(fastrf.analyze([fastrf.conv(1, 5, padding=[[4, 0]])], (1, 40)), 20)
    (depth,) = made.words().records[-1]["value"]
    image = np.arange(40) ** 2 % 17

    def network(x):
        return sum(np.pad(x, (4, 0))[k : k + len(x)] * (k + 1) for k in range(5))

    found = da.from_array(image, chunks=10).map_overlap(network, depth={0: depth}, boundary="none", dtype=int)
    assert (found.compute(scheduler="synchronous") == network(image)).all()


def test_tables_have_every_tile():
    made = plan(fastrf.analyze([fastrf.conv(1, 3, padding=1)], (1, 20)), 8)
    document = json.loads(made.table.to_json())
    assert document["schema"] == "fastrf.tiling/1"
    assert document["tiles"][1] == {"tile": [1], "read": [6, 14], "keep": {"conv1": [[1, 7]]}, "place": {}} | {
        "read": [[6, 14]],
        "place": {"conv1": [[7, 13]]},
    }
    assert made.table.to_csv().splitlines()[:2] == ["tile,read,keep,place", "0,0:8,0:7,0:7"]
    assert str(made).startswith("3 tiles of 8 for 20 pixels, each read 1.20 times in the mean")
    assert made.digest() == plan(fastrf.analyze([fastrf.conv(1, 3, padding=1)], (1, 20)), 8).digest()
    assert made.digest() != plan(fastrf.analyze([fastrf.conv(1, 3, padding=1)], (1, 20)), 9).digest()


def run(words, capsys):
    with pytest.raises(SystemExit) as stop:
        commands.main(["tiling", *words.split()])
    out = capsys.readouterr()
    return stop.value.code or 0, out.out, out.err


def test_the_command(capsys, tmp_path):
    code, out, _ = run("unet --input 1x64x64 --image 512x512 --tile 256xnone --json", capsys)
    document = json.loads(out)
    assert (code, document["tile"], len(document["tiles"]), document["cost"]) == (0, [256, 512], 5, 2.5)
    code, out, _ = run("unet --input 1x64x64 --image 4096x4096 --memory 2GB", capsys)
    assert (code, "for 4096x4096 pixels" in out) == (0, True)
    code, out, _ = run("unet --input 1x64x64 --image 512x512 --costs --tile 256 --csv", capsys)
    assert out.splitlines()[1].startswith("256x256,25,")
    code, _, _ = run(f"unet --input 1x64x64 --words -o {tmp_path / 'words.json'}", capsys)
    assert json.loads((tmp_path / "words.json").read_text())["words"][0]["framework"] == "MONAI"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--tile 8", "has no room"),
        ("--tile 8x", "--tile '8x' is not a size"),
        ("--image none", "--image 'none' is not a size"),
        ("--tile 8 --memory 1GB", "--memory chooses the tiles"),
        ("--wrap 3", "wrap names axis 3"),
        ("--node nothing", "is not in network"),
    ],
)
def test_bad_usage_is_one_line(words, said, capsys):
    code, out, err = run(f"unet --input 1x512x512 {words}", capsys)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err


CASES = {
    "time alone, space in the batch": (((0, 0, 0), (2, 0, 0)), (1, 1, 1)),
    "three layers of attention to four tokens": (((9,), (0,)), (1,)),
    "interleaved twice": (((2,), (2,)), (1,)),
}


@pytest.mark.parametrize("name", CASES)
def test_what_people_ask_of_tiles(name):
    """Folded axes need no context, windows and interleaving have the period of their pattern, not of the sequence."""
    torch = pytest.importorskip("torch")
    nn = torch.nn

    class Folded(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv1d(2, 2, 3)

        def forward(self, x):
            b, c, t, h, w = x.shape
            y = self.conv(x.permute(0, 3, 4, 1, 2).reshape(b * h * w, c, t))
            return y.reshape(b, h, w, c, -1).permute(0, 3, 4, 1, 2)

    class Window(nn.Module):
        def forward(self, x):
            n = x.shape[1]
            near = torch.ones(n, n, dtype=torch.bool).tril().triu(-3)
            scores = (x @ x.transpose(1, 2)).masked_fill(~near, float("-inf"))
            return scores.softmax(-1) @ x

    class Interleaved(nn.Module):
        def __init__(self):
            super().__init__()
            self.even, self.odd = (nn.Conv1d(1, 1, 3, padding=1) for _ in range(2))

        def forward(self, x):
            return torch.stack([self.even(x), self.odd(x)], -1).flatten(-2)

    models = {
        "time alone, space in the batch": (Folded(), (2, 9, 4, 4), (5, 2, 2)),
        "three layers of attention to four tokens": (nn.Sequential(*[Window() for _ in range(3)]), (24, 4), 14),
        "interleaved twice": (nn.Sequential(Interleaved(), Interleaved()), (1, 16), 8),
    }
    model, shape, tile = models[name]
    analysis = fastrf.analyze(model.double(), shape, channel_axis=1 if len(shape) == 2 and shape[0] > 1 else ...)
    (sides, period), halo = CASES[name], analysis.output.halo()
    assert ((halo.before, halo.after), halo.period) == (sides, period)
    image = torch.rand(shape, dtype=torch.float64)
    with torch.no_grad():
        whole = model(image[None])[0]
    made = plan(analysis, tile)
    assert made.n_tiles > 1
    assert torch.allclose(made.run(model, image), whole, rtol=1e-12, atol=1e-12)
