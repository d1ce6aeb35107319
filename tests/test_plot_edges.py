"""Pictures of what is small, large, empty or missing, and what they leave as it was."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

import fastrf
from fastrf import plot
from tests.test_plot import drawn, image_of

matplotlib = pytest.importorskip("matplotlib")
from matplotlib.figure import Figure  # noqa: E402 (the extra may be missing)


def test_large_maps_are_drawn_at_the_resolution_of_the_picture():
    """10,000 x 10,000: never a map of it, in memory of a few pictures."""
    layers = [fastrf.conv(2, 3, dilation=2), fastrf.conv(2, 3, stride=4)]
    field = fastrf.analyze(layers, (1, 10_000, 10_000)).output
    tracemalloc.start()
    try:
        for draw in (plot.mask, plot.areas, plot.densities, plot.coverage, plot.clipped):
            found = drawn(draw(field, ax=Figure()))
            assert max(image_of(found).shape) <= plot.canvas.MOST
        assert tracemalloc.get_traced_memory()[1] < 150e6
    finally:
        tracemalloc.stop()
    where = (1000, 2000)
    low, high = field.box(where)[0]
    ax = plot.mask(field, where, ax=Figure())
    assert image_of(ax)[low // 20 : (high - 1) // 20 + 1].any(axis=1).all()
    assert image_of(ax).any(axis=1).sum() == (high - 1) // 20 + 1 - low // 20
    assert ax.get_title().endswith("sees 49 of 100,000,000 pixels, box 7 x 7")
    (inset,) = ax.child_axes
    assert image_of(inset).sum() == 49
    assert plot.areas(field, ax=Figure()).get_title().endswith("one of 5 x 5 positions is drawn")
    assert plot.clipped(field, ax=Figure()).get_title().endswith("5 x 5 positions in a cell")
    blind = plot.coverage(field, ax=Figure()).images[1].get_array()
    assert blind.count() > 0


def test_long_sequences_are_drawn_at_the_resolution_of_the_picture():
    field = fastrf.analyze([fastrf.conv(1, 3, dilation=4, padding="causal")], (1, 3_000_000)).output
    tracemalloc.start()
    try:
        ax = drawn(plot.matrix(field, ax=Figure()))
        drawn(plot.mask(field, ax=Figure()))
        drawn(plot.areas(field, ax=Figure()))
        assert tracemalloc.get_traced_memory()[1] < 200e6
    finally:
        tracemalloc.stop()
    assert np.array_equal(image_of(ax), np.eye(512) + np.eye(512, k=-1))
    assert ax.get_title() == "conv1, which is causal"


def test_axes_that_nothing_flat_can_be_drawn_on():
    field = fastrf.analyze([fastrf.conv(1, 3)], (1, 9, 9)).output
    removed = Figure().subplots()
    removed.remove()
    for draw in (plot.mask, plot.areas, plot.coverage, plot.matrix):
        with pytest.raises(fastrf.UsageError, match="ax was removed from its figure; give Axes of a figure"):
            draw(field, ax=removed)
        for projection in ("3d", "polar"):
            ax = Figure().add_subplot(projection=projection)
            with pytest.raises(fastrf.UsageError, match=f"ax has the projection '{projection}'.*give plain Axes"):
                draw(field, ax=ax)


def test_one_pixel_and_one_position():
    field = fastrf.analyze([fastrf.conv(1, 1)], (1, 1, 1)).output
    for draw in (plot.mask, plot.masks, plot.areas, plot.densities, plot.clipped, plot.coverage, plot.matrix):
        found = draw(field, ax=Figure(layout="constrained"))
        drawn(found[0] if isinstance(found, list) else found)


def test_a_field_without_positions_is_shown_as_such():
    field = fastrf.analyze("resnet18", (3, 64, 64)).output
    ax = drawn(plot.mask(field, (), ax=Figure()))
    assert ax.get_title().startswith(f"{field.name}, which has no positions")
    assert image_of(ax).all()
    told = drawn(plot.areas(field, ax=Figure())).texts[0].get_text()
    assert told == f"{field.name} has no positions:\n4,096 pixels that it sees"
    assert "no positions" in drawn(plot.clipped(field, ax=Figure())).texts[0].get_text()
    assert "no positions" in plot.matrix(field, ax=Figure()).get_title()
    assert image_of(drawn(plot.coverage(field, ax=Figure()))).all()
    with pytest.raises(fastrf.PositionError, match="last map is"):
        plot.mask(field, (3, 4), ax=Figure())


def test_a_field_that_sees_nothing():
    field = fastrf.analyze({"input_shape": [1, 6, 6], "layers": [{"op": "conv", "out_channels": 1, "kernel_size": 1,
                            "padding": 2, "stride": 9}]}).output  # fmt: skip
    ax = drawn(plot.mask(field, (0, 0), ax=Figure()))
    assert ax.get_title().endswith("sees none of 36 pixels")
    assert not image_of(ax).any()


def test_what_is_over_approximated_says_so():
    spec = {"input_shape": [1, 6, 6], "layers": [{"op": "my_own", "shape": [1, 6, 6]}]}
    field = fastrf.analyze(spec, on_unsupported="full").output
    assert "(over-approximated)" in plot.mask(field, ax=Figure()).get_title()


def test_bad_input_is_told_in_one_line():
    one = fastrf.analyze([fastrf.conv(1, 3)], (1, 9)).output
    two = fastrf.analyze([fastrf.conv(1, 3)], (1, 9, 9)).output
    three = fastrf.analyze([fastrf.conv(1, 3)], (1, 5, 5, 5)).output
    for error, match, call in (
        (fastrf.UsageError, "3 pixel axes; draw fastrf.plot.slices", lambda: plot.mask(three)),
        (fastrf.UsageError, "draw slices", lambda: plot.masks(three)),
        (fastrf.UsageError, "1 pixel axes, and slices are of three", lambda: plot.slices(one)),
        (fastrf.UsageError, "two pixel axes", lambda: plot.mask(one, image=np.zeros((9, 9)))),
        (fastrf.UsageError, "not of an Analysis", lambda: plot.mask(fastrf.analyze("alexnet"))),
        (fastrf.UsageError, "not a ReceptiveField", lambda: plot.growth(two)),
        (fastrf.UsageError, "nothing to draw", lambda: plot.masks(two, [])),
        (fastrf.PositionError, "outside the map", lambda: plot.mask(two, (7, 0))),
        (fastrf.PositionError, "outside the map", lambda: plot.masks(two, [(0, 0), (0, 9)])),
        (fastrf.PositionError, "not one of the 2 pixel axes", lambda: plot.matrix(two, axis=2)),
        (fastrf.NetworkError, "no two-dimensional", lambda: plot.lattice(fastrf.analyze([fastrf.conv(1, 3)], (1, 9)))),
        (fastrf.UsageError, "ax must be Axes or a Figure, not 1 of a str", lambda: plot.mask(two, ax="here")),
        (fastrf.UsageError, "ax must be 3 Axes", lambda: plot.slices(three, ax=Figure().subplots(1, 2))),
    ):
        with pytest.raises(error, match=match) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    field = fastrf.analyze([fastrf.conv(1, 3)], (1, 9, 9)).output
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    for draw in (plot.mask, plot.areas, plot.matrix):
        with pytest.raises(fastrf.MissingExtraError, match=r"pip install 'fastrf\[plot\]'"):
            draw(field)


def test_settings_and_backend_stay_as_they_were_and_nothing_is_shown():
    """In a process of its own, where nobody has chosen a backend."""
    code = (
        "import fastrf, sys; from fastrf import plot; assert 'matplotlib' not in sys.modules\n"
        "field = fastrf.analyze([fastrf.conv(1, 3)], (1, 9, 9)).output; assert 'matplotlib' not in sys.modules\n"
        "import matplotlib; before = dict(matplotlib.rcParams); import matplotlib.pyplot as plt\n"
        "plt.show = lambda *a, **k: 1 / 0\n"
        "from matplotlib.figure import Figure; ax = Figure().subplots(); backend = matplotlib.get_backend()\n"
        "assert plot.mask(field, (1, 1), ax=ax) is ax; assert not plt.get_fignums()\n"
        "assert plot.areas(field).figure is plt.figure(plt.get_fignums()[0])\n"
        "assert matplotlib.get_backend() == backend\n"
        "after = dict(matplotlib.rcParams); before.pop('backend'); after.pop('backend'); assert before == after"
    )
    strict = ["-W", "error::UserWarning", "-W", "ignore::DeprecationWarning"]  # older ones meet what came after
    subprocess.run([sys.executable, *strict, "-c", code], check=True, env={**os.environ, "MPLBACKEND": "agg"})


@pytest.mark.parametrize("source", ["spec", "onnx", "saved"])
def test_every_kind_of_analysis(source, tmp_path):
    if source == "spec":
        field = fastrf.analyze({"conv1": [3, 2, 1]}, (3, 9, 9)).output
    elif source == "onnx":
        onnx = pytest.importorskip("onnx")
        ends = [onnx.helper.make_tensor_value_info(n, 1, s) for n, s in (("x", [1, 3, 9, 9]), ("y", None))]
        kernel = onnx.numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "w")
        node = onnx.helper.make_node("Conv", ["x", "w"], ["y"], strides=[2, 2], pads=[1, 1, 1, 1])
        model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", ends[:1], ends[1:], [kernel]))
        field = fastrf.analyze(model).output
    else:
        fastrf.analyze({"conv1": [3, 2, 1]}, (3, 9, 9)).output.save(tmp_path / "field.npz")
        field = fastrf.load_field(tmp_path / "field.npz")
    assert np.array_equal(image_of(drawn(plot.mask(field, (0, 1), ax=Figure()))), field.mask((0, 1)))
    assert np.array_equal(image_of(drawn(plot.areas(field, ax=Figure()))), field.areas())
    back = field.projective()
    assert np.array_equal(image_of(drawn(plot.mask(back, (4, 4), ax=Figure()))), back.mask((4, 4)))
