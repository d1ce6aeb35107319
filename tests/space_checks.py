"""What tests of search spaces share: a column program against the single networks of the same candidates."""

from __future__ import annotations

import numpy as np

import fastrf
from fastrf.spaces.columns.programs import Columns

__all__ = ["assert_columns_equal_networks", "costs", "evaluated"]


def evaluated(candidates, spatial, channels=None):
    """What the column program gives: per candidate nominal size, parameters, MACs; and the columns."""
    columns = Columns(len(candidates), spatial)
    found = candidates.space.evaluate(candidates, columns, channels)
    sizes = [float(columns.table.nominal[k].extents[0].sizes.max()) for k in found.output.nominal]
    return np.array(sizes), found, columns


def costs(network):
    return sum(node.parameters for node in network.nodes), sum(node.macs for node in network.nodes)


def layers_beyond(analysis):
    """Convolutions on the way to the output whose input's nominal size covers the image."""
    network = analysis.network
    needed, beyond = {network.outputs[0]}, 0
    for node in reversed(network.nodes):
        if node.name in needed:
            needed.update(node.inputs)
            if node.op in ("conv", "depthwise_conv"):
                field = analysis[node.inputs[0]]
                beyond += all(size >= n for size, n in zip(field.size, field.pixel_shape, strict=True))
    return beyond


def assert_columns_equal_networks(candidates, shape):
    _, found, columns = evaluated(candidates, shape[1:], shape[0])
    for i, text in enumerate(candidates):
        network = candidates.network(i, shape)
        analysis = fastrf.analyze(network)
        field = analysis["features"]
        assert analysis.output.name == "features"
        assert costs(network) == (found.parameters[i], found.macs[i]), text
        state = columns.table.exact[found.output.exact[i]]
        assert state.shape == field.position_shape
        mask = np.zeros((*state.shape, *shape[1:]), bool)
        for rows, cols in state.terms:
            mask |= rows.to_mask()[:, None, :, None] & cols.to_mask()[None, :, None, :]
        np.testing.assert_array_equal(mask.reshape(-1, *shape[1:]), field.masks(), text)
        extents = columns.table.nominal[found.output.nominal[i]].extents
        assert field.size == tuple(extent.sizes.max() for extent in extents) or field.dependency.terms == (), text
        assert layers_beyond(analysis) == columns.layers_beyond[i], text
