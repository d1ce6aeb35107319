"""Models of diffusers from small configurations: UNets, autoencoders, transformers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.models.case import Case, Library

__all__ = ["DIFFUSERS"]

Row = dict[str, Any]
UP, DOWN = ("UpBlock2D", "AttnUpBlock2D"), ("DownBlock2D", "AttnDownBlock2D")
NET: Row = {"block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4}
CROSS: Row = {**NET, "cross_attention_dim": 8, "attention_head_dim": 4}
VAE: Row = {
    **NET,
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "latent_channels": 4,
}
HEADS: Row = {"num_attention_heads": 2, "attention_head_dim": 8}
#: Tensors by name: a shape is made, a number is a step of time, a list of whole numbers is one.
TIME, TEXT = {"timestep": 3}, {"encoder_hidden_states": (5, 8)}

#: Class, settings, inputs; the first of these is asked for.
MODELS: dict[str, tuple[Row, dict[str, Any]]] = {
    "UNet2DModel": ({**NET, "sample_size": 16, "down_block_types": DOWN, "up_block_types": UP[::-1],
                     "attention_head_dim": 4}, {"sample": (3, 16, 16), **TIME}),
    "UNet2DConditionModel": ({**CROSS, "sample_size": 16, "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
                              "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D")},
                             {"sample": (4, 16, 16), **TIME, **TEXT}),
    "UNet1DModel": ({"block_out_channels": (32, 32, 64), "sample_size": 64, "extra_in_channels": 64, "in_channels": 2},
                    {"sample": (2, 64), **TIME}),
    "UNet3DConditionModel": ({**CROSS, "norm_num_groups": 4, "sample_size": 8,
                              "down_block_types": ("CrossAttnDownBlock3D", "DownBlock3D"),
                              "up_block_types": ("UpBlock3D", "CrossAttnUpBlock3D")},
                             {"sample": (4, 3, 8, 8), **TIME, **TEXT}),
    "ControlNetModel": ({**CROSS, "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
                         "conditioning_embedding_out_channels": (8, 16)},
                        {"sample": (4, 8, 8), **TIME, **TEXT, "controlnet_cond": (3, 16, 16)}),
    "AutoencoderKL": (VAE, {"sample": (3, 16, 16)}),
    "AutoencoderTiny": ({"encoder_block_out_channels": (8, 8, 8), "decoder_block_out_channels": (8, 8, 8),
                         "num_encoder_blocks": (1, 1, 1), "num_decoder_blocks": (1, 1, 1)}, {"sample": (3, 16, 16)}),
    "AsymmetricAutoencoderKL": ({"down_block_types": ("DownEncoderBlock2D",) * 2,
                                 "up_block_types": ("UpDecoderBlock2D",) * 2, "down_block_out_channels": (8, 16),
                                 "up_block_out_channels": (8, 16), "norm_num_groups": 4, "layers_per_down_block": 1,
                                 "layers_per_up_block": 1}, {"sample": (3, 16, 16)}),
    "AutoencoderKLTemporalDecoder": ({"block_out_channels": (32, 32), "layers_per_block": 1,
                                      "down_block_types": ("DownEncoderBlock2D",) * 2, "latent_channels": 4},
                                     {"sample": (3, 16, 16)}),
    "VQModel": ({**VAE, "num_vq_embeddings": 8, "latent_channels": 3}, {"sample": (3, 16, 16)}),
    "AutoencoderOobleck": ({"encoder_hidden_size": 8, "downsampling_ratios": [2, 4], "decoder_channels": 8,
                            "decoder_input_channels": 4, "audio_channels": 1, "channel_multiples": [1, 2]},
                           {"sample": (1, 64)}),
    "AutoencoderKLWan": ({"base_dim": 8, "z_dim": 4, "dim_mult": [1, 1], "num_res_blocks": 1,
                          "temperal_downsample": [True]}, {"sample": (3, 5, 16, 16)}),
    "AutoencoderDC": ({"encoder_block_out_channels": (8, 16), "decoder_block_out_channels": (8, 16),
                       "encoder_layers_per_block": (1, 1), "decoder_layers_per_block": (1, 1), "latent_channels": 4,
                       "encoder_block_types": "ResBlock", "decoder_block_types": "ResBlock",
                       "encoder_qkv_multiscales": ((), ()), "decoder_qkv_multiscales": ((), ()),
                       "attention_head_dim": 8}, {"sample": (3, 16, 16)}),
    "Transformer2DModel": ({**HEADS, "in_channels": 16, "norm_num_groups": 4, "cross_attention_dim": 8},
                           {"hidden_states": (16, 6, 6), **TEXT}),
    "DiTTransformer2DModel": ({**HEADS, "sample_size": 8, "in_channels": 4, "num_layers": 1, "norm_num_groups": 4,
                               "num_embeds_ada_norm": 10}, {"hidden_states": (4, 8, 8), "timestep": 3,
                                                            "class_labels": 1}),
    "PixArtTransformer2DModel": ({**HEADS, "sample_size": 8, "num_layers": 1, "cross_attention_dim": 16,
                                  "caption_channels": 8}, {"hidden_states": (4, 8, 8), **TIME, **TEXT}),
    "SD3Transformer2DModel": ({**HEADS, "sample_size": 8, "in_channels": 4, "out_channels": 4, "num_layers": 2,
                               "joint_attention_dim": 8, "caption_projection_dim": 16, "pooled_projection_dim": 8,
                               "pos_embed_max_size": 8},
                              {"hidden_states": (4, 8, 8), **TEXT, "pooled_projections": (8,), **TIME}),
    "FluxTransformer2DModel": ({**HEADS, "in_channels": 4, "num_layers": 1, "num_single_layers": 1,
                                "joint_attention_dim": 8, "pooled_projection_dim": 8, "axes_dims_rope": (2, 2, 4)},
                               {"hidden_states": (9, 4), **TEXT, "pooled_projections": (8,), "timestep": 0.5,
                                "img_ids": "9x3", "txt_ids": "5x3"}),
    "PriorTransformer": ({**HEADS, "num_layers": 1, "embedding_dim": 8, "num_embeddings": 4,
                          "additional_embeddings": 4},
                         {"hidden_states": (8,), **TIME, "proj_embedding": (8,), "encoder_hidden_states": (4, 8)}),
    "LTXVideoTransformer3DModel": ({**HEADS, "in_channels": 4, "out_channels": 4, "num_layers": 1,
                                    "cross_attention_dim": 16, "caption_channels": 8},
                                   {"hidden_states": (8, 4), **TEXT, "timestep": 3, "encoder_attention_mask": "1x5",
                                    "num_frames": None, "height": None, "width": None}),
    "WanTransformer3DModel": ({**HEADS, "in_channels": 4, "out_channels": 4, "num_layers": 1, "text_dim": 8,
                               "freq_dim": 8, "ffn_dim": 16, "rope_max_seq_len": 16},
                              {"hidden_states": (4, 2, 4, 4), "timestep": 3, **TEXT}),
    "CogVideoXTransformer3DModel": ({**HEADS, "in_channels": 4, "out_channels": 4, "num_layers": 1,
                                     "text_embed_dim": 8, "sample_width": 8, "sample_height": 8, "sample_frames": 5,
                                     "time_embed_dim": 4, "max_text_seq_length": 5},
                                    {"hidden_states": (2, 4, 8, 8), **TEXT, "timestep": 3}),
}  # fmt: skip
#: Arguments of Python's own.
PLAIN = {"num_frames": 2, "height": 2, "width": 2}


def _cases(name: str) -> Iterator[Case]:
    import diffusers
    import torch

    torch.manual_seed(0)
    settings, inputs = MODELS[name]
    model = getattr(diffusers, name)(**settings)
    given = {key: shape for key, shape in inputs.items() if isinstance(shape, tuple)}
    values: Row = {}
    for key, item in inputs.items():
        if item is None:
            values[key] = PLAIN[key]
        elif isinstance(item, str):
            values[key] = torch.ones([int(n) for n in item.split("x")])
        elif isinstance(item, int | float):
            values[key] = torch.tensor([item])
    yield Case(model, given, values, next(iter(given)))


DIFFUSERS = Library("diffusers", lambda: list(MODELS), _cases, note="Small configurations; one input is asked for.")
