"""What the page computes and draws is, bit for bit, what Python answers."""

from __future__ import annotations

import base64
import itertools

import numpy as np
import pytest

from tests.browser import models

#: Of a field: a word for the question, and how the page and Python answer it.
QUESTIONS = {
    "position": ("seenFrom", lambda field, at: field.mask(at)),
    "neuron": ("neuronSeenFrom", lambda field, at: field.neuron_mask(at)),
    "pixel": ("seers", lambda field, at: field.projective().mask(at)),
    "element": ("neuronSeers", lambda field, at: field.projective().neuron_mask(at)),
}
#: Masks, eight elements a byte, with what the page says of their number and their box.
ASK = """(questions) => questions.map(([name, member, at]) => {
    const node = fastrf.doc.models[0].nodes.find((node) => node.name === name);
    const seen = node.field[member](at);
    const mask = seen.mask();
    const bytes = new Uint8Array(Math.ceil(mask.length / 8));
    for (let k = 0; k < mask.length; k += 1) bytes[k >> 3] |= mask[k] << (7 - (k & 7));
    let text = "";
    for (let k = 0; k < bytes.length; k += 8192) text += String.fromCharCode(...bytes.subarray(k, k + 8192));
    return {bits: btoa(text), shape: seen.shape, count: seen.count(), box: seen.box(), isEmpty: seen.isEmpty,
            has: seen.has(seen.shape.map((size) => size >> 1))};
})"""


def shapes(field):
    """What can be asked about, by the word for it."""
    return dict(zip(QUESTIONS, (field.position_shape, field.shape, field.pixel_shape, field.input_shape), strict=True))


def drawn(analysis, rng):
    """Random layers and places in them, four questions each; the corners of some maps and of their input."""
    names = [name for name in analysis if 0 not in analysis[name].shape]
    for _ in range(50):
        name = names[rng.integers(len(names))]
        for word, shape in shapes(analysis[name]).items():
            yield name, word, [int(rng.integers(size)) for size in shape]
    for name in {analysis.output.name, *(names[rng.integers(len(names))] for _ in range(4))}:
        for word in ("position", "pixel"):
            for corner in itertools.product(*({0, size - 1} for size in shapes(analysis[name])[word])):
                yield name, word, list(corner)


@pytest.mark.parametrize("name", models.MODELS)
def test_every_mask_is_the_one_of_python(name, opened, pages, rng):
    analysis = models.analysis(name)
    asked = list(drawn(analysis, rng))
    page = opened(models.page_of(name, pages))
    found = page.evaluate(ASK, [(node, QUESTIONS[word][0], at) for node, word, at in asked])
    for (node, word, at), answer in zip(asked, found, strict=True):
        expected = QUESTIONS[word][1](analysis[node], tuple(at))
        bits = np.unpackbits(np.frombuffer(base64.b64decode(answer["bits"]), np.uint8))[: expected.size]
        assert tuple(answer["shape"]) == expected.shape, (node, word, at)
        assert np.array_equal(bits.astype(bool), expected.reshape(-1)), (node, word, at)
        assert (answer["count"], answer["isEmpty"]) == (int(expected.sum()), not expected.any()), (node, word, at)
        assert answer["box"] == box(expected), (node, word, at)
        assert answer["has"] == expected[tuple(size // 2 for size in expected.shape)], (node, word, at)


def box(mask):
    """Half-open, per axis; none where nothing is seen."""
    if not mask.any():
        return None
    return [[int(along.min()), int(along.max()) + 1] for along in np.nonzero(mask)] if mask.ndim else []
