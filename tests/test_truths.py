"""Large masks: one object for equal ones, whatever layers, nested lists or files they come from."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

import fastrf
from fastrf.engine.relation import Relation
from fastrf.ops.truths import Truths, nested

TOKENS = 70


def window(reach: int = 3) -> np.ndarray:
    behind = np.arange(TOKENS)[:, None] - np.arange(TOKENS)
    return (behind >= 0) & (behind < reach)


def decoder(*masks: object) -> fastrf.Network:
    layers = [{"op": "attention", "inputs": ["x"] * 3, "mask": mask} for mask in masks[:1]]
    layers += [{"op": "attention", "inputs": [f"attention{k}"] * 3, "mask": m} for k, m in enumerate(masks[1:], 1)]
    return fastrf.Network.from_dict({"input_shape": {"x": [TOKENS, 2]}, "channel_axis": 1, "layers": layers})


def test_equal_masks_are_one_object_and_share_a_recipe() -> None:
    first, second, third = decoder(window().tolist(), nested(window()), window(2).tolist()).nodes
    assert isinstance(first.attributes["mask"], Truths)
    assert first.attributes["mask"] is second.attributes["mask"]
    assert first.recipe is second.recipe
    assert third.attributes["mask"] != second.attributes["mask"]
    assert np.array_equal(third.attributes["mask"], window(2))
    assert list(map(list, third.attributes["mask"])) == window(2).tolist() == [*third.attributes["mask"]]
    assert third.attributes["mask"][-1] == window(2)[-1].tolist()


def test_a_network_with_large_masks_goes_through_json_and_pickle() -> None:
    network = decoder(window().tolist(), window(2).tolist())
    assert fastrf.Network.from_dict(json.loads(json.dumps(network.to_dict()))) == network
    assert pickle.loads(pickle.dumps(network)) == network
    mask = network.nodes[0].attributes["mask"]
    assert pickle.loads(pickle.dumps(mask)) is mask
    field = fastrf.analyze(network).output
    assert field.box((TOKENS - 1,)).tolist() == [[TOKENS - 4, TOKENS]]


@pytest.mark.parametrize("spoil", [0, 1.0, "yes"])
def test_one_element_that_is_no_truth_is_refused(spoil: object) -> None:
    rows = window().tolist()
    rows[-1][0] = spoil
    with pytest.raises(fastrf.FastRFError, match="70 rows of 70 booleans"):
        decoder(rows)


def test_a_large_mask_of_another_size_is_refused() -> None:
    with pytest.raises(fastrf.FastRFError, match="70 rows of 70 booleans"):
        decoder(nested(np.ones((TOKENS, TOKENS + 1), bool)))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (1, 1), (4, 7)])
def test_a_mask_is_a_relation_without_its_points(shape: tuple[int, int], rng: np.random.Generator) -> None:
    mask = rng.random(shape) < 0.6
    assert Relation.from_mask(mask) is Relation.from_points(*shape, *np.nonzero(mask))


def test_layers_of_a_decoder_share_what_its_mask_says() -> None:
    torch = pytest.importorskip("torch")

    class Decoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.project = torch.nn.ModuleList(torch.nn.Linear(2, 6) for _ in range(3))
            self.register_buffer("mask", torch.zeros(TOKENS, TOKENS).masked_fill(~torch.from_numpy(window()), -1e9))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for k, project in enumerate(self.project):
                mask = self.mask if k else self.mask.clone()[None]
                x = torch.nn.functional.scaled_dot_product_attention(*project(x).chunk(3, -1), attn_mask=mask)
            return x

    analysis = fastrf.analyze(Decoder(), (TOKENS, 2))
    attention = [node for node in analysis.network.nodes if node.op == "attention"]
    assert len({id(node.attributes["mask"]) for node in attention}) == 1
    assert len(analysis.output.assumes) == 3
    assert analysis.output.box((TOKENS - 1,)).tolist() == [[TOKENS - 1 - 3 * 2, TOKENS]]
