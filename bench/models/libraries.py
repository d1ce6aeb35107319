"""All libraries of models, by the names that rows of the cache have."""

from __future__ import annotations

from bench.models.case import Library
from bench.models.diffusion import DIFFUSERS
from bench.models.images import KERAS, MONAI, PYTORCHCV, SMP, YOLO
from bench.models.sounds import SIGNALS
from bench.models.texts import TRANSFORMERS
from bench.models.vision import TIMM, TORCHVISION, VARIANTS

__all__ = ["FIRST", "LIBRARIES"]

#: The libraries whose figures are told as those of the 205 models.
FIRST = ("torchvision", "timm")
LIBRARIES: dict[str, Library] = {
    "torchvision": TORCHVISION,
    "timm": TIMM,
    "timm-more": VARIANTS,
    "transformers": TRANSFORMERS,
    "diffusers": DIFFUSERS,
    "signals": SIGNALS,
    "smp": SMP,
    "monai": MONAI,
    "pytorchcv": PYTORCHCV,
    "ultralytics": YOLO,
    "keras": KERAS,
}
