"""Columns: steps against operators, tallies, and what is refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastrf
from fastrf.spaces.columns.programs import Columns, Memo, branches, conv, crop, identity, pool, sequence, whole
from fastrf.sweeps.metrics import axis_names, field_of
from fastrf.system.terminal import progress_bar

#: Half of a kernel, a stride and a dilation.
WINDOWS = st.tuples(st.integers(0, 2), st.integers(1, 2), st.integers(1, 2))


def field(columns, column, index=0):
    table = columns.table
    return field_of(table.exact[column.exact[index]], table.nominal[column.nominal[index]], columns.spatial)


@given(st.lists(WINDOWS, min_size=1, max_size=3), st.integers(12, 17), st.booleans())
@settings(max_examples=25, deadline=None)
def test_chains_of_branches_are_those_of_the_network(blocks, side, joined):
    """Random blocks: a window beside a shortcut of the same stride, each as a step, and as layers of a network."""
    layers, columns = [], Columns(1, (side, side + 1), Memo())
    column, last = columns.image, "input"
    for k, (half, stride, dilation) in enumerate(blocks):
        kernel, padding = 2 * half + 1, half * dilation
        wide, short = conv(kernel, stride, padding, dilation), conv(1, stride)
        step = branches(wide, short) if joined else None
        column = (
            columns.apply(step, column)
            if step
            else columns.union(columns.apply(wide, column), columns.apply(short, column))
        )
        common = {"op": "conv", "out_channels": 1, "stride": stride, "inputs": [last]}
        layers.append({**common, "name": f"w{k}", "kernel_size": kernel, "padding": padding, "dilation": dilation})
        layers.append({**common, "name": f"s{k}", "kernel_size": 1})
        layers.append({"name": f"sum{k}", "op": "add", "inputs": [f"w{k}", f"s{k}"]})
        last = f"sum{k}"
    expected = fastrf.analyze({"input_shape": [1, side, side + 1], "layers": layers}).output
    found = field(columns, column)
    assert found.shape == expected.shape
    assert (found.masks() == expected.masks()).all()
    assert (found.size, found.stride, found.start) == (expected.size, expected.stride, expected.start)
    assert found.clipped_share == expected.clipped_share
    assert found.halo() == expected.halo()


def test_steps_on_one_and_three_axes():
    line = Columns(2, (9,))
    column = line.apply(sequence(crop(1), pool(2), identity), line.image)
    assert field(line, column).boxes()[:, 0].tolist() == [[1, 3], [3, 5], [5, 7], [7, 9]]
    cube = Columns(1, (4, 4, 3))
    step = sequence(conv((1, 3, 1), padding=(0, (1, 0), 0)), crop((0, 1, 0), (1, 0, 0)))
    assert field(cube, cube.apply(step, cube.image)).position_shape == (3, 2, 3)
    everything = field(cube, cube.apply(whole(), cube.image))
    assert everything.areas().tolist() == np.full((4, 4, 3), 48).tolist()
    assert axis_names(1) == ("x",)
    assert axis_names(4) == ("0", "1", "2", "3")
    assert conv([3, 3]) == conv((3, 3))
    assert branches(identity) == identity


def test_maps_of_one_row_or_column():
    thin = Columns(1, (1, 5))
    found = field(thin, thin.apply(conv((1, 3), padding=(0, 1)), thin.image))
    assert found.areas().tolist() == [[2, 3, 3, 3, 2]]
    pooled = field(thin, thin.apply(pool((1, 5)), thin.image))
    assert (pooled.position_shape, pooled.areas().tolist()) == ((1, 1), [[5]])


def test_choices_and_nothing():
    columns = Columns(3, (8, 8), Memo())
    halves = columns.choose(np.array([0, 1, 2]), [conv(3, 2, 1), None, conv(1, 2)], columns.image)
    assert [field(columns, halves, i).areas().max() for i in range(3)] == [9, 0, 1]
    assert field(columns, halves, 1).position_shape == (4, 4)
    assert columns.union() is columns.nothing
    both = columns.union(halves, columns.apply(pool(2), columns.nothing))
    assert (both.exact == halves.exact).all()
    picked = columns.select(np.array([0, 0, 1]), [halves, columns.nothing])
    assert picked.exact.tolist() == [halves.exact[0], halves.exact[1], columns.nothing.exact[2]]
    assert len(picked) == 3


def test_the_tally_counts_layers_whose_input_covers_the_image():
    columns = Columns(2, (5, 5))
    deep = sequence(conv(3, padding=1, layers=1), conv(3, padding=1, layers=1), conv(3, padding=1, layers=1))
    column = columns.apply(deep, columns.image, True)  # inputs of sizes 1, 3 and 5
    assert columns.layers_beyond.tolist() == [1, 1]
    columns.layer(column, np.array([True, False]))
    columns.layer(columns.image)
    columns.choose(np.array([0, 1]), [conv(1, layers=1), None], column, np.array([True, True]))
    assert columns.layers_beyond.tolist() == [3, 1]
    columns.close()


def test_a_memo_that_has_grown_is_begun_anew(monkeypatch):
    memo = Memo()
    first = Columns(1, (6, 6), memo)
    first.close()
    second = Columns(1, (6, 6), memo)
    assert second.table is first.table
    monkeypatch.setattr(fastrf.limits, "states", 1)
    second.close()
    assert Columns(1, (6, 6), memo).table is not first.table


def test_what_is_refused(monkeypatch):
    columns = Columns(2, (6, 6))
    for which in ([0, 2], [0], [-1, 0]):
        with pytest.raises(fastrf.NetworkError, match="choices must be 2 integers from 0 to 1"):
            columns.choose(np.array(which), [identity, None], columns.image)
        with pytest.raises(fastrf.NetworkError, match="choices must be"):
            columns.select(np.array(which), [columns.image, columns.nothing])
    with pytest.raises(fastrf.NetworkError, match="at least one step"):
        branches()
    with pytest.raises(fastrf.NetworkError, match="does not fit 2 spatial axes"):
        columns.apply(conv((3, 3, 3)), columns.image)
    with pytest.raises(fastrf.ShapeError, match="kernel 9 does not fit"):
        columns.apply(conv(9), columns.image)
    with pytest.raises(fastrf.ShapeError, match="must agree"):
        columns.apply(branches(conv(1, 2), conv(1)), columns.image)
    with pytest.raises(fastrf.ShapeError, match="cannot be united"):
        columns.union(columns.image, columns.apply(conv(1, 2), columns.image))
    with pytest.raises(fastrf.NetworkError, match="is no step"):
        columns.apply("conv", columns.image)
    monkeypatch.setattr(fastrf.limits, "terms", 1)
    with pytest.raises(fastrf.LimitError, match=r"terms=1"):
        columns.union(
            columns.apply(conv((3, 1), padding=(1, 0)), columns.image),
            columns.apply(conv((1, 3), padding=(0, 1)), columns.image),
        )


def test_a_bar_on_a_terminal(monkeypatch):
    from rich import console

    text = io.StringIO()
    plain = console.Console
    monkeypatch.setattr(console, "Console", lambda **_: plain(file=text, force_terminal=True, width=100))
    with progress_bar("sweep") as report:
        for done in (0, 40, 100):
            report(done, 100)
    assert "100/100" in text.getvalue()
    with progress_bar("sweep", False) as nothing:
        assert nothing is None
