"""What the page computes and draws is, bit for bit, what Python answers."""

from __future__ import annotations

import base64
import itertools
import re
from pathlib import Path

import numpy as np
import pytest

import fastrf
from tests.browser import acts, models

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
def test_every_mask_is_the_one_of_python(name, explorer, pages, rng):
    analysis = models.analysis(name)
    asked = list(drawn(analysis, rng))
    page = explorer(models.page_of(name, pages))
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


#: Numbers as the page writes them.
def number(value):
    return "unknown" if np.isnan(value) else f"{value:,.2f}".rstrip("0").rstrip(".") if value % 1 else f"{int(value):,}"


@pytest.mark.parametrize("name", models.MODELS)
def test_what_is_told_is_what_python_answers(name, explorer, pages, rng):
    analysis = models.analysis(name)
    page = explorer(models.page_of(name, pages))
    names = [one for one in analysis if analysis[one].position_shape and 0 not in analysis[one].shape]
    for layer in {names[-1], *(names[rng.integers(len(names))] for _ in range(7))}:
        field = analysis[layer]
        at = tuple(int(rng.integers(size)) for size in field.position_shape)
        node = page.evaluate("(name) => fastrf.doc.models[0].nodes.findIndex((node) => node.name === name)", layer)
        page.evaluate("([node, at]) => { fastrf.store.set({node}); fastrf.store.set({at}); }", [node, list(at)])
        acts.settle(page)
        told = dict(page.evaluate(TOLD))
        mask, box = field.mask(at), field.box(at)
        assert told["Sees"].startswith(f"{number(mask.sum())} of {number(mask.size)} "), (layer, at)
        assert [*map(int, re.findall(r"\d+", told["Box"]))] == box.reshape(-1).tolist() * int(mask.any()), (layer, at)
        center = field.centers()[at]
        wanted = "unknown" if np.isnan(center).any() else ", ".join(f"{place:.10g}" for place in center)
        assert told["Centre"] == wanted, (layer, at)
        assert told["Border"] == ("cuts it" if field.clipped()[at] else "does not cut it"), (layer, at)


TOLD = """() => [...document.querySelectorAll(".readout-table tbody tr")].map((row) => [...row.cells].slice(0, 2))
    .map((cells) => cells.map((cell) => cell.textContent.replaceAll(/[\\u00a0\\u202f]/g, " ")))"""


#: Of the canvas that masks are drawn on, which elements are painted in their middle; and where cells of the map are.
PAINTED = """([side, {left, top, right, bottom}]) => {
    const canvas = document.querySelector("section[aria-label=Input] .plot canvas:last-of-type");
    const [wide, high] = [(canvas.width - left - right) / side, (canvas.height - top - bottom) / side];
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", {willReadFrequently: true});
    copy.drawImage(canvas, 0, 0);
    const {data} = copy.getImageData(0, 0, canvas.width, canvas.height);
    const at = (row, column) => 4 * (Math.round(top + (row + 0.5) * high) * canvas.width
        + Math.round(left + (column + 0.5) * wide)) + 3;
    return Array.from({length: side * side}, (_, k) => data[at(Math.floor(k / side), k % side)] > 40);
}"""


def test_what_is_drawn_under_the_pointer_is_the_mask(explorer, pages, rng):
    field = fastrf.analyze(models.HOLES, (1, 24, 24)).output
    page = explorer(models.page_of("holes", pages), viewport={"width": 1400, "height": 900})
    margin = page.evaluate("(text) => Function(`return ${text}`)()", MARGIN)
    plot = page.locator("section[aria-label='Feature map'] .plot")
    plot.scroll_into_view_if_needed()
    frame, (rows, columns) = plot.bounding_box(), field.position_shape
    wide, high = frame["width"] - margin["left"] - margin["right"], frame["height"] - margin["top"] - margin["bottom"]
    for _ in range(12):
        row, column = int(rng.integers(rows)), int(rng.integers(columns))
        x = frame["x"] + margin["left"] + (column + 0.5) * wide / columns
        page.mouse.move(x, frame["y"] + margin["top"] + (row + 0.5) * high / rows)
        acts.settle(page)
        assert page.evaluate("fastrf.store.get().hover") == [row, column]
        drawn = np.reshape(page.evaluate(PAINTED, [24, margin]), (24, 24))
        expected = field.mask((row, column))
        middle = np.round(field.centers()[row, column]).astype(int)  # a cross stands there
        near = np.abs(np.indices((24, 24)) - middle[:, None, None]).max(axis=0) <= 1
        assert np.array_equal(drawn | near, expected | near), (row, column)


MARGIN = re.search(r"MARGIN = (\{.*?\})", (Path(fastrf.__file__).parent / "explorer/page/scene.js").read_text())[1]


def test_what_maps_tell_is_what_python_counts(explorer, pages):
    for name, layer in (("resnet50", "layer2.1.add"), ("unet3d", "enc3.conv1"), ("tcn", None), ("holes", None)):
        analysis = fastrf.analyze(models.HOLES, (1, 24, 24)) if name == "holes" else models.analysis(name)
        field = analysis[layer] if layer else analysis.output
        page = explorer(models.page_of(name, pages), f"layer={field.name}")
        areas, densities, clipped = field.areas(), field.densities(), field.clipped()
        said = {tab: looked(page, tab) for tab in ("areas", "density", "clipped", "blind")}
        assert said["areas"]["From, to"].startswith(f"{number(areas.min())} to {number(areas.max())} "), name
        assert said["areas"]["Middle, mean"].split(", ", 1)[1].split(" ")[0] == number(round(areas.mean(), 2)), name
        assert said["density"]["From, to"].startswith(f"{number(round(densities.min(), 2))} to "), name
        assert said["clipped"]["Cut"].startswith(f"{number(clipped.sum())} of {number(clipped.size)} positions"), name
        coverage = field.coverage()
        blind = int((coverage == 0).sum())
        assert said["blind"]["Blind"].split(" ")[0] == (number(blind) if blind else "none"), name
        assert said["blind"]["From, to"].startswith(f"{number(coverage.min())} to {number(coverage.max())} "), name


def test_another_layer_leaves_nothing_of_the_map_before(explorer, pages):
    page = explorer(models.page_of("unet", pages), "tab=areas")
    looked(page, "areas")
    assert page.evaluate(NEXT_FRAME) == ["Positionworking…", "true", ""]
    looked(page, "areas")
    assert page.locator("#view-tabs-areas [aria-busy]").count() == 0


#: What is told in the frame after another layer was chosen, before anything was worked out.
NEXT_FRAME = """() => new Promise((done) => {
    fastrf.store.set({node: 3});
    requestAnimationFrame(() => {
        const find = (css) => document.querySelector(`#view-tabs-areas ${css}`);
        done([find(".heat-told").textContent, find(".beside").getAttribute("aria-busy"), find(".legend").textContent]);
    });
})"""


def looked(page, tab):
    """The figures beside a map."""
    page.click(f"#view-tabs-{tab}-tab")
    facts = page.locator(f"#view-tabs-{tab} .heat-told")
    facts.locator("dt", has_text="Cut" if tab == "clipped" else "From, to").wait_for()
    return dict(zip(*(facts.locator(kind).all_text_contents() for kind in ("dt", "dd")), strict=True))
