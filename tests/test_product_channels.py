"""Where products of matrices hold channels: tokens stay tokens, also where they are blocks and partly zero."""

from __future__ import annotations

import pytest

import fastrf


@pytest.mark.parametrize(("rows", "columns", "found"), [(0, None, 0), (None, 1, 1), (1, None, 1), (0, 1, 1)])
def test_rows_that_are_channels_stay_what_they_are(rows, columns, found):
    inputs = {"a": [4, 6], "b": [6, 5]}
    spec = {"input_shape": inputs, "channel_axis": {"a": rows, "b": columns}}
    network = fastrf.load(spec | {"layers": [{"op": "matmul", "inputs": ["a", "b"]}]})
    assert network.channel_axis_of(network.outputs[0]) == found


@pytest.mark.parametrize(("n", "d", "w"), [(24, 6, 4), (21, 5, 3)])
def test_attention_within_blocks_and_those_before(n, d, w):
    torch = pytest.importorskip("torch")

    class Blocks(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv = torch.nn.Linear(d, 3 * d)

        def forward(self, x):
            q, k, v = self.qkv(x).chunk(3, -1)
            k, v = (torch.nn.functional.pad(t, (0, 0, w, 0)).unfold(1, 2 * w, w).transpose(2, 3) for t in (k, v))
            scores = q.reshape(1, -1, w, d) @ k.transpose(2, 3)
            ahead = torch.ones(w, 2 * w, dtype=torch.bool).triu(w + 1)
            return (scores.masked_fill(ahead, -torch.inf).softmax(-1) @ v).reshape(x.shape)

    field = fastrf.analyze(Blocks(), (n, d)).output
    assert field.position_shape == (n,)
    assert field.areas().tolist() == [i + 1 - max(i // w - 1, 0) * w for i in range(n)]
    assert (field.lookback(), field.lookahead(), field.is_causal()) == (2 * w - 1, 0, True)
