"""Models of transformers from small configurations: text, images, sounds, series, and two of these at once.

Text models get ids, and the positions of these are asked for. A model is a row of settings beside those that all share.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.models.case import Case, Library, merged

__all__ = ["TRANSFORMERS"]

Row = dict[str, Any]

#: Nothing of what most share.
BARE: Row = {"bare": True}
SIZES: Row = {
    **{"vocab_size": 64, "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4},
    **{"max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2},
}
GROUPED: Row = {"num_key_value_heads": 2, "head_dim": 8}
GPT: Row = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "n_ctx": 64, "n_inner": 40}
SIDES = ("encoder", "decoder")
PROPHET: Row = {
    **{f"num_{side}_{part}": n for side in SIDES for part, n in (("layers", 1), ("attention_heads", 4))},
    **{"vocab_size": 64, "hidden_size": 32, "encoder_ffn_dim": 40, "decoder_ffn_dim": 40},
}
TWO: Row = {
    **{f"{side}_{part}": n for side in SIDES for part, n in (("layers", 1), ("attention_heads", 4))},
    **{"encoder_ffn_dim": 40, "decoder_ffn_dim": 40, "d_model": 32, "decoder_start_token_id": 1},
}
T5: Row = {"d_model": 32, "d_kv": 8, "d_ff": 40, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 1}

#: Decoders and encoders of text; they read ten ids.
TEXT: dict[str, Row] = {
    **dict.fromkeys(
        ["Llama", "Gemma", "Gemma2", "Qwen2", "Qwen3", "StableLm", "Olmo2", "Cohere", "Starcoder2"], GROUPED
    ),
    "Mistral": {**GROUPED, "sliding_window": 4},
    "Gemma3Text": {**GROUPED, "sliding_window": 4, "num_hidden_layers": 6},
    "Mixtral": {**GROUPED, "num_local_experts": 4},
    "Phi": {},
    "Phi3": {**GROUPED, "original_max_position_embeddings": 64},
    "GPT2": GPT,
    "GPTNeo": {"num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]], "window_size": 4},
    "GPTNeoX": {},
    "GPTJ": {**GPT, "rotary_dim": 4},
    "CodeGen": {**GPT, "rotary_dim": 4},
    "OPT": {"ffn_dim": 40, "word_embed_proj_dim": 32},
    "Bloom": {"n_layer": 2, "n_head": 4},
    "Falcon": {},
    "Mpt": {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 64, "expansion_ratio": 2},
    "XGLM": {"d_model": 32, "ffn_dim": 40, "num_layers": 2, "attention_heads": 4},
    "BioGpt": {},
    "Mamba": {"state_size": 4},
    "RecurrentGemma": {"lru_width": 32, "attention_window_size": 4, "num_hidden_layers": 3},
    **{
        name: {}
        for name in [
            "Bert",
            "Roberta",
            "Electra",
            "Ernie",
            "XLMRoberta",
            "Camembert",
            "Nystromformer",
            "RoFormer",
            "MPNet",
        ]
    },
    "Albert": {"embedding_size": 16},
    "DistilBert": {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 40},
    "Deberta": {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]},
    "DebertaV2": {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]},
    "MobileBert": {"intra_bottleneck_size": 16, "embedding_size": 16, "true_hidden_size": 16},
    "ModernBert": {"local_attention": 4, "global_attn_every_n_layers": 2},
    "Funnel": {**BARE, "vocab_size": 64, "d_model": 32, "block_sizes": [1, 1], "n_head": 4, "d_head": 8, "d_inner": 40},
    "FNet": {},
    "BigBird": {"attention_type": "original_full"},
    "Longformer": {"attention_window": 4},
    "SqueezeBert": {"embedding_size": 32},
    "ConvBert": {"embedding_size": 16, "conv_kernel_size": 3},
    "XLNet": {**BARE, "vocab_size": 64, "d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 40},
    "LayoutLM": {"max_2d_position_embeddings": 64},
}
#: Encoders with decoders; either input is asked for in turn: these, the encoder's.
PAIRS: dict[str, Row] = {
    **dict.fromkeys(("T5", "MT5"), T5),
    "SwitchTransformers": {**T5, "num_sparse_encoder_layers": 1, "num_experts": 2},
    **dict.fromkeys(["Bart", "Pegasus", "Marian", "MBart", "Blenderbot", "M2M100"], TWO),
    "ProphetNet": {**BARE, **PROPHET},
    "LED": {**TWO, "attention_window": 4, "max_encoder_position_embeddings": 64,
            "max_decoder_position_embeddings": 64},
}  # fmt: skip
STAGES: Row = {**BARE, "depths": [1, 1, 1, 1], "hidden_sizes": [8, 16, 24, 32], "num_stages": 4}
SWIN: Row = {
    **BARE,
    "embed_dim": 8,
    "depths": [2, 2],
    "num_heads": [2, 2],
    "window_size": 4,
    "image_size": 32,
    "patch_size": 4,
}
PATCHES: Row = {"image_size": 32, "patch_size": 8}
#: Models of images, with their inputs.
IMAGES: dict[str, tuple[Row, tuple[int, ...]]] = {
    **dict.fromkeys(["ViT", "DeiT", "Beit", "Dinov2", "CLIPVision", "SiglipVision", "ViTMSN"], (PATCHES, (3, 32, 32))),
    **dict.fromkeys(("Swin", "Swinv2"), (SWIN, (3, 32, 32))),
    "Swin2SR": ({**SWIN, "image_size": 16, "patch_size": 1}, (3, 16, 16)),
    **dict.fromkeys(("ConvNext", "ConvNextV2", "ResNet", "RegNet"), (STAGES, (3, 64, 64))),
    "MobileNetV1": ({"depth_multiplier": 0.25, "min_depth": 8}, (3, 64, 64)),
    "MobileNetV2": ({"depth_multiplier": 0.25}, (3, 64, 64)),
    "MobileViT": ({"hidden_sizes": [16, 16, 16], "neck_hidden_sizes": [8, 8, 8, 8, 16, 16, 32]}, (3, 64, 64)),
    "MobileViTV2": ({"width_multiplier": 0.25}, (3, 64, 64)),
    "Segformer": ({**STAGES, "num_attention_heads": [1, 2, 2, 4], "num_encoder_blocks": 4}, (3, 64, 64)),
    "PoolFormer": (STAGES, (3, 64, 64)),
    "FocalNet": ({**BARE, "embed_dim": 8, "depths": [1, 1], "focal_levels": [2, 2], "focal_windows": [3, 3],
                  "image_size": 32}, (3, 32, 32)),
    "GLPN": ({**STAGES, "num_attention_heads": [1, 2, 2, 4]}, (3, 64, 64)),
    "Levit": ({"hidden_sizes": [16, 24, 32], "num_attention_heads": [2, 2, 2], "depths": [1, 1, 1], "key_dim": [8] * 3,
               "image_size": 64}, (3, 64, 64)),
    "Pvt": ({**STAGES, "num_attention_heads": [1, 2, 2, 4], "image_size": 64, "num_encoder_blocks": 4}, (3, 64, 64)),
    "PvtV2": ({**STAGES, "num_attention_heads": [1, 2, 2, 4]}, (3, 64, 64)),
    "EfficientNet": ({"width_coefficient": 0.25, "depth_coefficient": 0.3, "hidden_dim": 320}, (3, 64, 64)),
    "Bit": ({**STAGES, "embedding_size": 8, "num_groups": 4}, (3, 64, 64)),
    "Yolos": ({"image_size": [32, 32], "patch_size": 8, "num_detection_tokens": 3}, (3, 32, 32)),
    "Hiera": ({"image_size": [32, 32], "embed_dim": 8, "depths": [1, 1, 1], "num_heads": [1, 2, 4],
               "query_stride": [2, 2], "patch_kernel": [7, 7], "num_query_pool": 2,
               "masked_unit_size": [4, 4]}, (3, 32, 32)),
    "ViTMAE": ({**PATCHES, "mask_ratio": 0.0}, (3, 32, 32)),
    "DPT": ({**PATCHES, "backbone_out_indices": [0, 1], "neck_hidden_sizes": [8, 16]}, (3, 32, 32)),
    "VideoMAE": ({**PATCHES, "num_frames": 4, "tubelet_size": 2}, (4, 3, 32, 32)),
    "Vivit": ({**PATCHES, "num_frames": 4, "tubelet_size": [2, 8, 8]}, (4, 3, 32, 32)),
    "Timesformer": ({**PATCHES, "num_frames": 2}, (2, 3, 32, 32)),
    "Detr": ({**TWO, "use_timm_backbone": False, "num_queries": 4, "backbone_config": "ResNet"}, (3, 64, 64)),
    "SuperPoint": ({"encoder_hidden_sizes": [8, 8, 16, 16], "decoder_hidden_size": 16,
                    "descriptor_decoder_dim": 16}, (3, 64, 64)),
}  # fmt: skip
SPEAKING = ("Wav2Vec2", "Hubert", "WavLM", "UniSpeech", "Data2VecAudio")
SPEECH: Row = {
    **{"conv_dim": [16, 16, 16], "conv_kernel": [10, 3, 3], "conv_stride": [5, 2, 2], "num_feat_extract_layers": 3},
    **{"num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 4, "conv_pos_kernel_size": 5},
}
#: Models of sounds and series: settings, inputs.
SOUNDS: dict[str, tuple[Row, dict[str, Any]]] = {
    **{name: (SPEECH, {"input_values": (600,)}) for name in SPEAKING},
    "SEW": ({**SPEECH, "squeeze_factor": 2}, {"input_values": (600,)}),
    "Wav2Vec2Conformer": ({**SPEECH, "conv_depthwise_kernel_size": 5}, {"input_values": (600,)}),
    "AST": ({"max_length": 24, "num_mel_bins": 16, "patch_size": 8}, {"input_values": (24, 16)}),
    "Whisper": ({**TWO, "num_mel_bins": 8, "max_source_positions": 12},
                {"input_features": (8, 24), "decoder_input_ids": 6}),
    "Speech2Text": ({**TWO, "input_feat_per_channel": 8, "conv_channels": 16, "max_source_positions": 64},
                    {"input_features": (24, 8), "decoder_input_ids": 6}),
    "Encodec": ({**BARE, "sampling_rate": 800, "num_filters": 4, "hidden_size": 16, "codebook_dim": 16,
                 "upsampling_ratios": [4, 2]},
                {"input_values": (1, 64)}),
    "Dac": ({"encoder_hidden_size": 8, "downsampling_ratios": [2, 4], "decoder_hidden_size": 16, "n_codebooks": 2,
             "codebook_size": 8, "codebook_dim": 4, "upsampling_ratios": [4, 2]}, {"input_values": (1, 64)}),
    "SpeechT5HifiGan": ({"model_in_dim": 8, "upsample_initial_channel": 16, "upsample_rates": [4, 2],
                         "upsample_kernel_sizes": [8, 4]}, {"spectrogram": (12, 8)}),
    "PatchTST": ({"context_length": 32, "patch_length": 8, "patch_stride": 8, "num_input_channels": 2, "d_model": 16,
                  "ffn_dim": 24}, {"past_values": (32, 2)}),
    "PatchTSMixer": ({"context_length": 32, "patch_length": 8, "patch_stride": 8, "num_input_channels": 2,
                      "d_model": 16}, {"past_values": (32, 2)}),
}  # fmt: skip
PARTS: Row = {
    **{"text_config": {**SIZES, "projection_dim": 16}, "vision_config": {**SIZES, **PATCHES, "projection_dim": 16}},
    **BARE,
}
SEEN: Row = {"pixel_values": (3, 32, 32), "input_ids": 6}
#: Models of images and text, of which the image is asked for.
BOTH: dict[str, tuple[Row, dict[str, Any]]] = {
    "CLIP": ({**PARTS, "projection_dim": 16}, SEEN),
    "Siglip": (PARTS, SEEN),
    "Blip": (
        {**PARTS, "text_config": {**SIZES, "encoder_hidden_size": 32}, "projection_dim": 16},
        SEEN,
    ),
}
#: The part of a larger model that is asked for, where it has no class `...Model` of its own.
CLASSES = {
    "SuperPoint": "SuperPointForKeypointDetection", "SpeechT5HifiGan": "SpeechT5HifiGan",
}  # fmt: skip


def _names() -> list[str]:
    return [*TEXT, *PAIRS, *IMAGES, *SOUNDS, *BOTH]


def _cases(name: str) -> Iterator[Case]:
    import torch

    torch.manual_seed(0)
    if name in TEXT:
        yield Case(_model(name, TEXT[name]), {"input_ids": _ids(10)}, wrt="input_ids")
    elif name in PAIRS:
        given = {"input_ids": _ids(8), "decoder_input_ids": _ids(6)}
        yield Case(_model(name, PAIRS[name]), given, wrt="input_ids")
    elif name in IMAGES:
        settings, shape = IMAGES[name]
        noise = {"noise": torch.arange(16.0)[None]} if name == "ViTMAE" else {}  # which says what is masked
        yield Case(_model(name, settings), {"pixel_values": shape}, noise, "pixel_values")
    else:
        settings, inputs = {**SOUNDS, **BOTH}[name]
        given = {key: _ids(shape) if isinstance(shape, int) else shape for key, shape in inputs.items()}
        yield Case(_model(name, settings), given, wrt=next(iter(given)))


def _ids(count: int) -> Any:
    import torch

    return torch.arange(3, 3 + count)[None]


def _model(name: str, settings: Row) -> Any:
    """A model with weights at random, which keeps no keys and values for later."""
    import transformers

    backbone = {}
    if settings.get("backbone_config"):
        backbone = {
            "backbone_config": transformers.ResNetConfig(
                depths=[1, 1, 1, 1], hidden_sizes=[8, 16, 24, 32], embedding_size=8, out_features=["stage4"]
            )
        }
    own = {key: value for key, value in settings.items() if key != "bare"}
    shared = {} if "bare" in settings else SIZES
    config = getattr(transformers, f"{name}Config")(**merged(shared, own, backbone))
    config.use_cache = False
    return getattr(transformers, CLASSES.get(name, f"{name}Model"))(config)


TRANSFORMERS = Library(
    "transformers",
    _names,
    _cases,
    note="Small configurations. Of text models, positions of ids are asked for, of pairs those of the encoder's.",
)
