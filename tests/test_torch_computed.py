"""Places that the input computes: read along their axes only, and listed as approximate."""

from __future__ import annotations

import numpy as np
import pytest

import fastrf

torch = pytest.importorskip("torch")
nn = torch.nn

#: On x of shape (1, 3, 4): what element (1, 2) of the result, or the only one along an axis, may read of x.
CASES = {
    "gather along rows": (lambda x: x.gather(1, x.long()), [[2], [2], [2]]),
    "gather along columns": (lambda x: x.gather(2, x.long()), [[], [0, 1, 2, 3], []]),
    "gather by a part": (lambda x: x.gather(2, x[:, :2, :3].long()), [[], [0, 1, 2, 3], []]),
    "gather from a constant": (lambda x: torch.ones(1, 3, 4).gather(2, x.long()), [[], [2], []]),
    "index by a vector": (lambda x: x[:, :, x[0, 0].long()], [[2], [0, 1, 2, 3], []]),
    "index by a table": (lambda x: x[:, :, x[0, :2, :3].long()][:, 1], [[], [0, 1, 2, 3], []]),
    "index by pairs": (lambda x: x[:, x[0, :, 0].long(), x[0, :, 1].long()].view(1, 1, 3).expand(1, 3, 3), None),
    "scatter": (lambda x: torch.zeros(1, 3, 4).scatter(1, x.long(), x), [[2], [2], [2]]),
    "scatter_add": (lambda x: x.scatter_add(2, x[:, :, :2].long(), x[:, :, 2:]), [[], [0, 1, 2, 3], []]),
    "scatter by a part": (lambda x: x.scatter(2, x[:, :1].long(), x[:, :1]), [[], [2], []]),
    "index_add": (lambda x: torch.zeros(1, 3, 4).index_add(2, x[0, 0].long(), x), [[0, 1, 2, 3], [0, 1, 2, 3], []]),
}


@pytest.mark.parametrize("name", CASES)
def test_computed_places_are_read_along_their_axes(name: str) -> None:
    function, wanted = CASES[name]

    class Computed(nn.Module):
        def forward(self, x):
            return function(x)

    field = fastrf.analyze(Computed(), (3, 4)).output
    assert not field.exact
    mask = np.zeros((3, 4), bool)
    for row, columns in enumerate(wanted or [range(4)] * 3):
        mask[row, columns] = True
    np.testing.assert_array_equal(field.neuron_mask((1, 2)), mask)
