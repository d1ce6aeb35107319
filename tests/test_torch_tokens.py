"""Token models in small: rows looked up by ids, and masks that are added to or chosen against trained biases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastrf

torch = pytest.importorskip("torch")
nn, functional = torch.nn, torch.nn.functional

TOKENS = 5
LOWEST = float(np.finfo(np.float32).min)
CAUSAL = np.tril(np.ones((TOKENS, TOKENS), bool))


class Biased(nn.Module):
    """Attention with a trained bias that a constant mask changes, as T5's."""

    def __init__(self, change: str, *, eager: bool) -> None:
        super().__init__()
        self.bias, self.project, self.eager = nn.Embedding(TOKENS, 2), nn.Linear(2, 12), eager
        self.change = change
        self.register_buffer("open", torch.from_numpy(CAUSAL))

    def mask(self) -> torch.Tensor:
        place = torch.arange(TOKENS)
        bias = self.bias((place[:, None] - place).abs()).permute(2, 0, 1)[None]
        low = torch.zeros(TOKENS, TOKENS).masked_fill(~self.open, LOWEST)
        return {
            "chosen": lambda: torch.where(self.open, bias, -torch.inf),
            "filled": lambda: bias.masked_fill(~self.open, LOWEST),
            "added": lambda: bias.contiguous() + low[None, None],
            "before": lambda: low.unsqueeze(0) + bias[:, :, -TOKENS:],
            "moved": lambda: torch.cat([bias[:, :1] + low, bias[:, 1:] + low], 1),
        }[self.change]()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.project(x).reshape(1, TOKENS, 3, 2, 2).permute(2, 0, 3, 1, 4)
        if self.eager:
            mixed = (q @ k.transpose(-1, -2) + self.mask()).softmax(-1) @ v
        else:
            mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=self.mask())
        return mixed.transpose(1, 2).reshape(1, TOKENS, 4)


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("change", ["chosen", "filled", "added", "before", "moved"])
def test_what_a_mask_makes_of_a_trained_bias_excludes(change: str, eager: bool) -> None:
    field = fastrf.analyze(Biased(change, eager=eager), (TOKENS, 2)).output
    assert np.array_equal(field.masks(), CAUSAL)
    assert field.exact
    assert any("smallest float32" in said for said in field.assumes) is (change != "chosen")


@pytest.mark.parametrize("padding", [None, 0])
def test_a_row_is_looked_up_by_its_id(padding: int | None) -> None:
    field = fastrf.analyze(nn.Embedding(9, 3, padding_idx=padding), torch.zeros(1, TOKENS, dtype=torch.long)).output
    assert field.exact
    assert all(np.array_equal(field.neuron_mask((t, 2)), np.arange(TOKENS) == t) for t in range(TOKENS))


BAGS: dict[str, tuple[tuple[int, ...], dict[str, Any], list[list[int]]]] = {
    "of rows": ((3, 2), {}, [[0, 1], [2, 3], [4, 5]]),
    "ragged, one empty": ((6,), {"offsets": torch.tensor([0, 4, 4])}, [[0, 1, 2, 3], [], [4, 5]]),
    "with the last end": ((6,), {"offsets": torch.tensor([0, 1, 6])}, [[0], [1, 2, 3, 4, 5]]),
    "with an earlier end": ((6,), {"offsets": torch.tensor([0, 1, 5])}, [[0], [1, 2, 3, 4]]),
}


@pytest.mark.parametrize("case", BAGS)
@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_a_bag_reads_its_ids(case: str, mode: str) -> None:
    shape, named, wanted = BAGS[case]
    bags = nn.EmbeddingBag(9, 3, mode=mode, include_last_offset=case.startswith("with"))

    class Bagged(nn.Module):
        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return bags(ids[0], **named)

    field = fastrf.analyze(Bagged(), torch.zeros(1, *shape, dtype=torch.long)).output
    assert field.exact
    if case == "with an earlier end" and mode == "max":  # torch reads on
        wanted = [wanted[0], [*wanted[1], 5]]
    for bag, ids in enumerate(wanted):
        assert np.flatnonzero(field.neuron_mask((bag, 1))).tolist() == ids


def test_ids_of_a_bag_and_what_weighs_them_are_read() -> None:
    class Weighted(nn.Module):
        def forward(self, ids: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
            table = torch.arange(18.0).reshape(9, 2)
            return functional.embedding_bag(ids[0], table, mode="sum", per_sample_weights=weights[0])

    given = {"ids": torch.zeros(1, 3, 2, dtype=torch.long), "weights": torch.ones(1, 3, 2)}
    for wrt in given:
        field = fastrf.analyze(Weighted(), given, wrt=wrt).output
        assert field.neuron_mask((1, 0)).tolist() == [[False] * 2, [True] * 2, [False] * 2]


def test_ids_of_no_weight_are_not_read() -> None:
    class Weighted(nn.Module):
        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            weights = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
            return functional.embedding_bag(ids[0], torch.rand(9, 2), mode="sum", per_sample_weights=weights)

    field = fastrf.analyze(Weighted(), torch.zeros(1, 2, 2, dtype=torch.long)).output
    nothing = [[False, False], [False, False]]
    assert [field.neuron_mask((bag, 0)).tolist() for bag in (0, 1)] == [[[True, False], [False, False]], nothing]


def test_bags_of_sliding_windows_move_as_these_do() -> None:
    class Windows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bag = nn.EmbeddingBag(9, 3)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.bag(ids.unfold(1, 3, 2)[0])

    field = fastrf.analyze(Windows(), torch.zeros(1, 41, dtype=torch.long)).output
    assert (field.size, field.stride) == ((3,), (2,))


@pytest.mark.parametrize("rows", ["constant", "read", "one"])
def test_where_a_number_belongs_depends_on_it_and_on_the_whole_row(rows: str) -> None:
    class Searched(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            among = {"constant": torch.arange(5.0).expand(1, 3, 5), "read": x, "one": x[0, 1]}[rows]
            return torch.searchsorted(among.contiguous(), x[..., :2].contiguous())

    x = torch.arange(12.0).reshape(1, 3, 4)
    field = fastrf.analyze(Searched(), x).output
    for place in np.ndindex(3, 2):
        wanted = np.zeros((3, 4), bool)
        wanted[place] = True
        if rows != "constant":
            wanted[place[0] if rows == "read" else 1] = True
        assert np.array_equal(field.neuron_mask(place), wanted)


def test_a_table_that_the_input_makes_is_read_where_rows_are_looked_up() -> None:
    class Looked(nn.Module):
        def forward(self, ids: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
            return functional.embedding(ids, table[0])

    shapes = {"ids": torch.zeros(1, TOKENS, dtype=torch.long), "table": torch.zeros(1, 4, 3)}
    field = fastrf.analyze(Looked(), shapes, wrt="table").output
    assert field.masks().all()
    assert not field.exact


def test_a_mask_that_was_looked_at_is_still_the_models_own() -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer(
                "mask", torch.zeros(TOKENS, TOKENS).masked_fill(torch.ones(TOKENS, TOKENS).triu(1) > 0, LOWEST)
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return functional.scaled_dot_product_attention(x, x, x, attn_mask=self.mask)

    model = Masked()
    assert fastrf.analyze(model, (TOKENS, 2)).output.exact
    assert model.mask.untyped_storage().resizable()


class Mixer(nn.Module):
    """Ids and vectors side by side; every token reads its own."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.mix = nn.Embedding(9, 3, padding_idx=0), nn.Linear(3, 3)

    def forward(self, input_ids: torch.Tensor, *, vectors: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        found = self.mix(self.table(input_ids))
        return {"state": found if vectors is None else found + self.mix(vectors)}


@pytest.mark.parametrize("capture", ["record", "export"])
@pytest.mark.parametrize(
    "shape", [(TOKENS,), (1, TOKENS), {"input_ids": (TOKENS,)}, {"input_ids": (TOKENS,), "vectors": (TOKENS, 3)}]
)
def test_a_shape_stands_for_ids_where_a_model_looks_them_up(shape: object, capture: str) -> None:
    field = fastrf.analyze(Mixer(), shape, capture=capture)["state"]
    assert field.exact
    assert field.input_shape == (TOKENS,)
    assert np.array_equal(field.masks(), np.eye(TOKENS, dtype=bool))
