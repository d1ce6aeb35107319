"""Models of the transformers library from small configurations, against autograd in float64, captured either way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastrf

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.slow

N, M, WIDTH = 7, 5, 16
IDS = torch.arange(1, N + 1)[None]
SIZES: dict[str, Any] = {"vocab_size": 32, "hidden_size": WIDTH, "intermediate_size": 24, "num_hidden_layers": 3}
HEADS: dict[str, Any] = {"num_attention_heads": 4, "max_position_embeddings": 64}
PARTS = ("layers", "attention_heads", "ffn_dim")
TWO = {f"{side}_{part}": n for side in ("encoder", "decoder") for part, n in zip(PARTS, (1, 2, 24), strict=True)}

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "Llama": ("Llama", {**SIZES, **HEADS, "num_key_value_heads": 2}),
    "Mistral": ("Mistral", {**SIZES, **HEADS, "num_key_value_heads": 2, "sliding_window": 3}),
    "GPT2": (
        "GPT2",
        {"vocab_size": 32, "n_embd": WIDTH, "n_layer": 3, "n_head": 2, "bos_token_id": 0, "eos_token_id": 0},
    ),
    "Bert": ("Bert", {**SIZES, **HEADS}),
    "T5": ("T5", {"vocab_size": 32, "d_model": WIDTH, "d_kv": 4, "d_ff": 24, "num_layers": 2, "num_heads": 4}),
    "Bart": ("Bart", {**TWO, "vocab_size": 32, "d_model": WIDTH, "max_position_embeddings": 64}),
}
TOKENS = {"inputs_embeds": (N, WIDTH)}
BOTH = {**TOKENS, "decoder_inputs_embeds": (M, WIDTH)}
INPUTS = {"T5": BOTH, "Bart": BOTH}


def built(name: str, attention: str) -> Any:
    kind, sizes = MODELS[name]
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**sizes, attn_implementation=attention)
    return getattr(transformers, f"{kind}Model")(config).eval().double()


def by_autograd(run: Callable[..., Any], shapes: dict[str, tuple[int, ...]], neuron: tuple[int, ...]) -> Any:
    """Where an output depends on each input, by three draws of numbers."""
    masks: dict[str, Any] = {name: np.zeros(shape, bool) for name, shape in shapes.items()}
    for _ in range(3):
        given = {name: torch.randn(1, *shape, dtype=torch.float64).requires_grad_() for name, shape in shapes.items()}
        run(**given)[0][neuron].backward()
        for name, tensor in given.items():
            masks[name] |= tensor.grad[0].numpy() != 0
    return masks


def compared(model: Any, shapes: dict[str, tuple[int, ...]], output: str, neurons: list[tuple[int, ...]]) -> None:
    for name in shapes:
        field = fastrf.analyze(model, shapes, wrt=name, values={"use_cache": False}, capture="record")[output]
        assert field.exact
        for neuron in neurons:
            found = by_autograd(lambda **given: model(**given, use_cache=False)[output], shapes, neuron)
            assert np.array_equal(field.neuron_mask(neuron), found[name]), (name, neuron)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("name", MODELS)
def test_tokens_read_what_autograd_says(name: str, attention: str) -> None:
    compared(built(name, attention), INPUTS.get(name, TOKENS), "last_hidden_state", [(0, 1), (2, 3), (4, 15)])


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("name", MODELS)
def test_ids_are_read_as_their_embeddings_and_both_captures_agree(name: str, attention: str) -> None:
    model, by_vectors = built(name, attention), INPUTS.get(name, TOKENS)
    by_ids = {given.replace("inputs_embeds", "input_ids"): IDS[:, : shape[0]] for given, shape in by_vectors.items()}
    for vectors, ids in zip(by_vectors, by_ids, strict=True):
        kwargs: dict[str, Any] = {"values": {"use_cache": False}}
        wide = fastrf.analyze(model, by_vectors, wrt=vectors, **kwargs)["last_hidden_state"]
        narrow = fastrf.analyze(model, by_ids, wrt=ids, capture="record", **kwargs)["last_hidden_state"]
        exported = fastrf.analyze(model, by_ids, wrt=ids, capture="export", **kwargs)["last_hidden_state"]
        assert narrow.exact
        assert np.array_equal(wide.masks(), narrow.masks())
        assert narrow.relations == exported.relations


def test_states_of_layers_are_found_by_name() -> None:
    model = built("Mistral", "sdpa")
    values = {"use_cache": False, "output_hidden_states": True}
    analysis = fastrf.analyze(model, TOKENS, values=values)
    assert [name for name in analysis.network.outputs if "." in name] == [f"hidden_states.{k}" for k in range(4)]
    seen = [analysis[f"hidden_states.{k}"].areas().tolist() for k in range(4)]
    assert seen == [[min(t + 1, 1 + 2 * k) for t in range(N)] for k in range(4)]


def test_padding_that_a_mask_hides_is_not_read() -> None:
    values = {"use_cache": False, "attention_mask": torch.tensor([[0, 0, 1, 1, 1, 1, 1]])}
    field = fastrf.analyze(built("Llama", "sdpa"), TOKENS, values=values)["last_hidden_state"]
    assert [field.box((t,)).tolist() for t in (2, 6)] == [[[2, 3]], [[2, 7]]]


def test_a_speech_model_reads_frames_and_tokens() -> None:
    sizes = {"vocab_size": 64, "num_mel_bins": 8, "d_model": WIDTH, "max_source_positions": 12, "pad_token_id": 0}
    ends = {"bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1, "max_target_positions": 16}
    for attention in ("eager", "sdpa"):
        torch.manual_seed(0)
        config = transformers.WhisperConfig(**sizes, **ends, **TWO, attn_implementation=attention)
        model = transformers.WhisperModel(config).eval().double()
        shapes = {"input_features": (8, 24), "decoder_inputs_embeds": (M, WIDTH)}
        compared(model, shapes, "last_hidden_state", [(1, 2), (4, 3)])


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_an_image_model_reads_every_patch_after_its_first_layer(attention: str) -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    config = transformers.ViTConfig(**sizes, image_size=16, patch_size=4, attn_implementation=attention)
    model = transformers.ViTModel(config).eval().double()
    field = fastrf.analyze(model, (3, 16, 16), capture="record")["last_hidden_state"]
    exported = fastrf.analyze(model, (3, 16, 16), capture="export")["last_hidden_state"]
    assert field.exact
    assert field.relations == exported.relations
    for neuron in [(0, 0), (9, 3)]:
        found = by_autograd(lambda **given: model(**given).last_hidden_state, {"pixel_values": (3, 16, 16)}, neuron)
        assert np.array_equal(field.neuron_mask(neuron), found["pixel_values"])
