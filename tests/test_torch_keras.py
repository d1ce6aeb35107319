"""Models of Keras on its PyTorch backend: channels last, named by their layers."""

from __future__ import annotations

import os
from typing import Any

import pytest

import fastrf

torch = pytest.importorskip("torch")
os.environ.setdefault("KERAS_BACKEND", "torch")
keras: Any = pytest.importorskip("keras")
if keras.backend.backend() != "torch":
    pytest.skip("Keras runs on another backend", allow_module_level=True)


def test_layers_are_named_and_channels_are_last() -> None:
    layers = keras.layers
    inner = keras.Sequential([layers.Conv2D(8, 3, padding="same", name="wide"), layers.ReLU(name="act")], name="inner")
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same", name="first")(image)
    model = keras.Model(image, layers.BatchNormalization(name="norm")(inner(x)))
    analysis = fastrf.analyze(model, (16, 16, 3))
    assert analysis.output.shape == (8, 8, 8)
    assert analysis.output.pixel_shape == (16, 16)
    assert analysis["first"].size == (3, 3)
    assert analysis["inner.wide"].size == analysis["inner"].size == analysis["norm"].size == (7, 7)
    assert analysis["norm"].stride == (2, 2)


def test_vgg16_has_its_published_size() -> None:
    field = fastrf.analyze(keras.applications.VGG16(weights=None), (224, 224, 3))["block5_pool"]
    assert (field.exact, field.size, field.stride) == (True, (212, 212), (32, 32))


def test_parameters_are_those_that_keras_counts() -> None:
    layers = keras.layers
    series = keras.Input((10, 8))
    x = layers.LSTM(5, return_sequences=True, name="lstm")(layers.Dense(6, name="dense")(series))
    x = layers.BatchNormalization(name="norm")(layers.Dropout(0.5)(x))
    x = layers.SeparableConv1D(4, 3, name="conv")(layers.MultiHeadAttention(2, 4, name="attention")(x, x))
    model = keras.Model(series, x)
    summary = fastrf.analyze(model, (10, 8)).summary(depth=1)
    counts = {row.name: row.parameters for row in summary.rows if row.parameters}
    assert counts == {name: model.get_layer(name).count_params() for name in counts}
    assert (sum(counts.values()), summary.unused) == (model.count_params(), {})
