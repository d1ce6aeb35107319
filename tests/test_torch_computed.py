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


TABLE = torch.arange(40.0).reshape(2, 5, 4)

#: On ids of shape (1, 4): what element (0, 0, 2, ...) of the result reads of them.
LOOKED_UP = {
    "index": (lambda ids: TABLE[0][ids], [2]),
    "index behind": (lambda ids: TABLE[:, ids], [2]),
    "pairs": (lambda ids: TABLE[:, ids, ids.flip(1) % 4], [1, 2]),
    "index_select": (lambda ids: TABLE.index_select(1, ids[0])[:, None], [2]),
}


@pytest.mark.parametrize("name", LOOKED_UP)
def test_what_computed_places_take_of_a_constant_reads_these(name: str) -> None:
    function, wanted = LOOKED_UP[name]

    class Looked(nn.Module):
        def forward(self, ids):
            return function(ids)

    ids = torch.tensor([[3, 1, 2, 0]])
    field = fastrf.analyze(Looked(), ids).output
    assert field.exact
    neuron = (2, 0) if name == "index" else (0, 0, 2, 0)[: function(ids).ndim]
    assert field.neuron_mask(neuron).nonzero()[0].tolist() == wanted


@pytest.mark.parametrize("capture", ["record", "export"])
@pytest.mark.parametrize("name", ["drawn", "weights"])
def test_places_that_weights_or_drawn_numbers_give_are_assumed(name: str, capture: str) -> None:
    class Shuffled(nn.Module):
        def __init__(self):
            super().__init__()
            self.order = nn.Parameter(torch.rand(1, 5))

        def forward(self, x):
            order = torch.rand(1, 5) if name == "drawn" else self.order
            return x.gather(1, order.argsort(1))[:, torch.arange(4)]

    field = fastrf.analyze(Shuffled(), (5,), capture=capture).output
    assert field.areas().tolist() == [1, 1, 1, 1]
    assert field.assumes == ("node 'gather': its places are those of weights, or of numbers drawn once",)


@pytest.mark.skipif(not hasattr(torch, "_grouped_mm"), reason="since 2.8")
def test_rows_by_groups_read_themselves_and_where_the_groups_end() -> None:
    class Grouped(nn.Module):
        def forward(self, x, kinds):
            ends = torch.histc(kinds, bins=3, min=0, max=2).cumsum(0).int()
            return torch._grouped_mm(x[0], torch.ones(3, 8, 16), offs=ends)

    given = {"x": (4, 8), "kinds": (4,)}
    rows = fastrf.analyze(Grouped(), given, wrt="x", capture="record").output
    assert np.array_equal(rows.neuron_mask((1, 5)), np.eye(4, dtype=bool)[1][:, None].repeat(8, 1))
    assert fastrf.analyze(Grouped(), given, wrt="kinds").output.neuron_mask((1, 5)).all()
