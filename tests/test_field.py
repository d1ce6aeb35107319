"""What users ask of one node: answers, files and mistakes."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastrf
from fastrf import budget as limits


@pytest.fixture(scope="module")
def crossed():
    """A small network with holes, crosses and a strided branch: several terms."""
    spec = {
        "input_shape": [2, 21, 17],
        "layers": [
            {"name": "holes", "op": "conv", "out_channels": 4, "kernel_size": 3, "dilation": 2, "padding": 2},
            {"name": "again", "op": "conv", "out_channels": 4, "kernel_size": 3, "dilation": 2, "padding": 2},
            {"name": "rows", "op": "avg_pool", "kernel_size": [5, 1], "stride": 2, "padding": [2, 0]},
            {
                "name": "columns",
                "op": "avg_pool",
                "kernel_size": [1, 3],
                "stride": 2,
                "padding": [0, 1],
                "inputs": ["again"],
            },
            {"name": "skip", "op": "max_pool", "kernel_size": 1, "stride": 2, "inputs": ["input"]},
            {"name": "all", "op": "concat", "axis": 0, "inputs": ["rows", "columns", "skip"]},
            {"name": "tokens", "op": "flatten", "start_axis": 1},
            {"name": "some", "op": "gather", "axis": 1, "indices": [40, 3, 77, 3]},
        ],
    }
    return fastrf.analyze(spec)


@pytest.mark.parametrize("node", ["holes", "all", "tokens", "some"])
def test_every_query_agrees_with_the_masks(crossed, node):
    field = crossed[node]
    planes = field.masks()
    n = len(planes)
    axes = tuple(range(1, planes.ndim))
    assert planes.dtype == bool
    assert (np.unpackbits(field.masks(packed=True), axis=-1, count=planes.shape[-1]).view(bool) == planes).all()
    assert (field.areas().ravel() == planes.sum(axis=axes)).all()
    assert (field.coverage() == planes.sum(axis=0)).all()
    assert (field.to_csr().toarray() == planes.reshape(n, -1)).all()
    channels = field.to_csr(channels=True).toarray().reshape(*field.shape, *field.input_shape)
    assert (channels.any(axis=(0, len(field.shape))).reshape(planes.shape) == planes).all()
    for flat, position in enumerate(np.ndindex(field.position_shape)):
        assert (field.mask(position) == planes[flat]).all()
        assert (field.neuron_mask((1, *position)) == channels[(1, *position)]).all()
        assert (field.neuron_pixels((1, *position)) == channels[(1, *position)].any(axis=0)).all()
        box = [
            (int(used[0]), int(used[-1]) + 1)
            for used in map(np.flatnonzero, (planes[flat].any(1), planes[flat].any(0)))
        ]
        assert field.box(position).tolist() == [list(pair) for pair in box]
    density = field.areas() / np.ptp(field.boxes(), axis=-1).prod(axis=-1)
    assert (field.densities() == density).all()
    seen_by = field.projective()
    assert (seen_by.masks().reshape(-1, n) == planes.reshape(n, -1).T).all()
    assert seen_by.size == (np.inf,) * len(field.position_shape)
    assert repr(seen_by).startswith(f"ReceptiveField('{node} (projective)'")


def test_chosen_positions_and_given_arrays(crossed, tmp_path):
    field = crossed["all"]
    whole = field.masks()
    assert (field.masks([(0, 0), (3, 4), (0, 0)]) == whole[[0, 3 * 9 + 4, 0]]).all()
    assert field.masks([]).shape == (0, 21, 17)
    out = np.ones((99, 21, 17), bool)
    assert field.masks(out=out) is out
    assert (out == whole).all()
    on_disk = np.memmap(tmp_path / "m", np.uint8, "w+", shape=(99, 21, 3))
    field.masks(packed=True, out=on_disk)
    assert (on_disk == field.masks(packed=True)).all()


@pytest.mark.parametrize(
    ("out", "message"),
    [
        (np.empty((99, 21, 16), bool), r"out is bool\[99, 21, 16\] but must be bool\[99, 21, 17\]"),
        (np.empty((99, 21, 17), np.uint8), "must be bool"),
        (np.empty((99, 17, 21), bool).swapaxes(1, 2), "C-contiguous"),
        (np.broadcast_to(np.empty((1, 21, 17), bool), (99, 21, 17)), "writeable"),
        ([1], "out is list"),
    ],
)
def test_arrays_that_do_not_fit(crossed, out, message):
    with pytest.raises(fastrf.ShapeError, match=message):
        crossed["all"].masks(out=out)


def test_masks_that_do_not_fit_into_memory(monkeypatch):
    field = fastrf.analyze("unet", (1, 4096, 4096)).output
    small = fastrf.analyze([fastrf.conv(1, 1)], (1, 4)).output
    with pytest.raises(fastrf.LimitError, match="GiB, more than is free; ask for fewer positions"):
        field.masks()
    monkeypatch.setattr(limits, "SMALL", 0)
    monkeypatch.setattr(limits, "free_memory", lambda: 1)
    with pytest.raises(fastrf.LimitError, match=r"use intervals\(axis\)"):
        field.boxes()
    with pytest.raises(fastrf.LimitError, match="use intervals"):
        field.areas()
    with pytest.raises(fastrf.LimitError, match="use clipped_share"):
        field.clipped()
    with pytest.raises(fastrf.LimitError, match=r"ask for box\(position\)"):
        field.mask((0, 0))
    with pytest.raises(fastrf.LimitError, match="packed=True"):
        small.masks()


def test_areas_beyond_64_bits():
    field = fastrf.analyze([fastrf.global_avg_pool()], (1, 2**24, 2**24, 2**24)).output
    with pytest.raises(fastrf.LimitError, match="do not fit 64 bits"):
        field.areas()


@pytest.mark.parametrize(
    "position", [(0,), (0, 0, 0), (-1, 0), (11, 0), (0, 9), (0.5, 0), "ab", None, 3, (True, False)]
)
def test_positions_outside_are_errors(crossed, position):
    with pytest.raises(fastrf.PositionError):
        crossed["all"].mask(position)
    with pytest.raises(IndexError):
        crossed["all"].box(position)


@pytest.mark.parametrize(
    ("positions", "error"),
    [
        ([(0, 99)], "PositionError"),
        ([(0.0, 1.0)], "PositionError"),
        ([0, 1], "ShapeError"),
        ([(1, 2, 3)], "ShapeError"),
    ],
)
def test_lists_of_positions_outside_are_errors(crossed, positions, error):
    with pytest.raises(getattr(fastrf, error)):
        crossed["all"].masks(positions)


def test_axes_of_intervals(crossed):
    field = crossed["all"]
    assert (field.intervals(-1) == field.intervals(1)).all()
    planes = field.masks().reshape(11, 9, 21, 17)
    for o, (low, high) in enumerate(field.intervals(0)):
        used = np.flatnonzero(planes[o].any(axis=(0, 2)))
        assert (low, high) == (used[0], used[-1] + 1)
    with pytest.raises(fastrf.PositionError, match="axis 2 is not one of the 2 axes"):
        field.intervals(2)
    with pytest.raises(fastrf.PositionError, match="1 axes"):
        crossed["tokens"].intervals(1)


def test_a_map_without_spatial_axes():
    field = fastrf.analyze([fastrf.global_avg_pool(), fastrf.flatten(), fastrf.linear(5)], (3, 4, 4)).output
    assert field.mask(()).all()
    assert field.masks().shape == (1, 4, 4)
    assert field.masks([(), ()]).shape == (2, 4, 4)
    assert field.areas().shape == ()
    vector = fastrf.analyze([fastrf.linear(5)], (7,)).output
    assert vector.masks().shape == (1, 7)
    assert vector.coverage().tolist() == [1] * 7


def test_inputs_without_pixels():
    spec = {"input_shape": [3], "channel_axis": 0, "layers": [{"op": "linear", "out_features": 4}]}
    field = fastrf.analyze(spec).output
    assert field.mask(()).shape == ()
    assert field.masks().tolist() == [True]
    assert field.masks(packed=True).tolist() == [[128]]
    assert field.boxes().shape == (0, 2)
    assert field.to_csr().shape == (1, 1)


def test_nothing_is_seen():
    field = fastrf.analyze([fastrf.layer("softmax", 0)], (1, 4, 5)).output
    assert not field.masks().any()
    assert field.boxes().sum() == 0
    assert field.densities().sum() == 0
    assert field.to_csr().nnz == 0
    assert field.areas().shape == (4, 5)


def test_save_and_load(crossed, tmp_path):
    for node in ("all", "some", "input"):
        path = tmp_path / f"{node}.npz"
        crossed[node].save(path)
        again = fastrf.load_field(path)
        assert again.dependency == crossed[node].dependency
        assert (again.size_range, again.stride, again.start) == (
            crossed[node].size_range,
            crossed[node].stride,
            crossed[node].start,
        )
        assert (again.masks() == crossed[node].masks()).all()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["all.npz", "input.npz", "some.npz"]


def test_files_that_are_no_fields(crossed, tmp_path):
    good = tmp_path / "good.npz"
    crossed["all"].save(good)
    arrays = dict(np.load(good))
    header = json.loads(arrays["header"].tobytes())

    def stored(**changes):
        np.savez(tmp_path / "bad.npz", **{**arrays, **changes})
        return tmp_path / "bad.npz"

    def damaged():
        content = bytearray(good.read_bytes())
        content[len(content) // 3 : len(content) // 2] = b"x" * (len(content) // 2 - len(content) // 3)
        (tmp_path / "bad.npz").write_bytes(content)
        return tmp_path / "bad.npz"

    def with_header(**changes):
        return stored(header=np.frombuffer(json.dumps({**header, **changes}).encode(), np.uint8))

    (tmp_path / "text.npz").write_text("no")
    cases = [
        lambda: tmp_path / "missing.npz",
        lambda: tmp_path / "text.npz",
        lambda: stored(header=np.array([1], np.uint8)),
        lambda: with_header(format="other"),
        lambda: with_header(terms=[[[[9], [0], 0]]]),
        lambda: with_header(axes=[[4], [3], [5]]),
        lambda: stored(start0=arrays["start0"].astype(float)),
        lambda: stored(start0=arrays["start0"] - 100),
        lambda: stored(indptr0=arrays["indptr0"][:-1]),
        lambda: stored(start0=np.array([{}], object)),
        lambda: with_header(channel_axis=9),
        lambda: with_header(channel_axis=-1),
        lambda: with_header(nominal=[1]),
        lambda: with_header(nominal=[{**header["nominal"][0], "phases": [[[0, 0, 1]], [[1, 1, 1]]]}]),
        lambda: with_header(nominal=[{**header["nominal"][0], "axes": [[99], [9]]}]),
        lambda: with_header(nominal=[{**header["nominal"][0], "offsets": [5, 5]}]),
        lambda: with_header(nominal=[{**header["nominal"][0], "kinds": [2, 7]}]),
        lambda: with_header(input_shape=[1, 8.0, 8]),
        damaged,
    ]
    for case in cases:
        with pytest.raises(fastrf.FormatError, match="npz"):
            fastrf.load_field(case())


def test_files_appear_whole_or_not_at_all(crossed, tmp_path, monkeypatch):
    path = tmp_path / "field.npz"
    path.write_text("old")

    def fail(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(fastrf.FormatError, match="No space left on device; nothing was written"):
        crossed["all"].save(path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["field.npz"]


def test_only_regular_files_are_replaced(crossed, tmp_path):
    target = tmp_path / "target.npz"
    target.write_text("old")
    (tmp_path / "link.npz").symlink_to(target)
    crossed["all"].save(tmp_path / "link.npz")
    assert (tmp_path / "link.npz").is_symlink()
    assert fastrf.load_field(target).dependency == crossed["all"].dependency
    for place in (tmp_path, None, "a\0b"):
        with pytest.raises(fastrf.FormatError):
            crossed["all"].save(place)


def test_phases_of_a_decoder():
    layers = [fastrf.max_pool(2), fastrf.conv_transpose(1, 3, stride=2, padding=1)]
    assert fastrf.analyze(layers, (1, 16)).output.phases(0).tolist() == [[0, 2], [0, 4]]


def test_any_number_of_threads_gives_the_same(crossed):
    def work(_):
        analysis = fastrf.analyze("inception_v3", (3, 99, 99))
        return [analysis[name].dependency for name in ("Mixed_6b", "Mixed_7c")], crossed["all"].masks()

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(work, range(8)))
    assert all(dependencies == found[0][0] for dependencies, _ in found)
    assert all((planes == found[0][1]).all() for _, planes in found)


def test_summary_in_pandas(crossed, monkeypatch):
    frame = crossed.summary().to_pandas()
    assert frame["name"].tolist() == [node.name for node in crossed.network.nodes]
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(fastrf.MissingExtraError, match=r"pip install 'fastrf\[sweep\]'"):
        crossed.summary().to_pandas()


def test_pictures_need_the_plot_extra(tmp_path, monkeypatch):
    from fastrf.cli import drawing

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    field = fastrf.analyze([fastrf.conv(3, 1)], (1, 4, 4)).output
    with pytest.raises(fastrf.MissingExtraError, match=r"pip install 'fastrf\[plot\]'"):
        drawing.write_mask(field, (0, 0), field.mask((0, 0)), tmp_path / "m.png")
    assert list(tmp_path.iterdir()) == []


def test_centres_of_positions_are_those_of_their_boxes_where_no_border_cuts():
    field = fastrf.analyze("unet", (1, 64, 64))["dec4.relu2"]
    centers, boxes, free = field.centers(), field.boxes(), ~field.clipped()
    assert centers.shape == (*field.position_shape, 2)
    assert np.array_equal(centers[free], (boxes[free].sum(-1) - 1) / 2)
    assert centers[0, 0].tolist() == list(field.center)


def test_centres_of_what_has_none_are_unknown():
    layers = [fastrf.conv(2, 3), fastrf.layer("cumsum", axis=1), fastrf.layer("flip", axes=[2])]
    analysis = fastrf.analyze(layers, (1, 6, 8))
    first, cumulated, flipped = (analysis[name].centers() for name in list(analysis)[1:])
    assert first[1, 2].tolist() == [2, 3]
    assert np.isnan(cumulated[..., 0]).all()
    assert flipped[0, :, 1].tolist() == [6, 5, 4, 3, 2, 1]
    assert fastrf.analyze("resnet18").output.centers().shape == (2,)
