"""Everyone can use the page: axe-core finds nothing, text has contrast, nothing runs over the edge of a telephone."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.browser import models

WIDTHS = {360: 720, 1024: 768, 2560: 1440}
#: Everything that axe-core knows but for AAA contrast (4.5 is wanted here) and what only asks a person to look.
OPTIONS = {
    "resultTypes": ["violations"],
    "rules": {
        **{rule: {"enabled": True} for rule in ("target-size", "label-content-name-mismatch", "p-as-heading")},
        **{rule: {"enabled": True} for rule in ("focus-order-semantics", "table-fake-caption", "td-has-header")},
        **{rule: {"enabled": True} for rule in ("css-orientation-lock", "identical-links-same-purpose")},
    },
}
#: Each tab of the picture, beside each list.
VIEWS = ["stage", "areas", "density", "clipped", "blind", "matrix"]
LISTS = ["table", "graph", "growth"]

#: Text with less contrast than 4.5 to what is painted behind it: [text, contrast].
FAINT = """() => {
    const numbers = (colour) => {
        const found = (colour.replace("srgb", "").match(/[\\d.]+/g) ?? []).map(Number);
        return colour.startsWith("color(") ? found.map((c, k) => (k < 3 ? 255 * c : c)) : found;
    };
    const luminance = (colour) => colour.slice(0, 3).map((c) => c / 255)
        .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
        .reduce((sum, c, k) => sum + c * [0.2126, 0.7152, 0.0722][k], 0);
    const over = (top, below) => {
        const alpha = top[3] ?? 1;
        return below.map((c, k) => top[k] * alpha + c * (1 - alpha));
    };
    const behind = (element) => {
        const layers = [];
        for (let at = element; at; at = at.parentElement) {
            const colour = numbers(getComputedStyle(at).backgroundColor);
            layers.unshift(colour);
        }
        return layers.reduce((below, colour) => over(colour, below), [255, 255, 255]);
    };
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    while (walker.nextNode()) {
        const {data, parentElement: element} = walker.currentNode;
        if (!data.trim() || !element.checkVisibility({checkOpacity: true, checkVisibilityCSS: true})) continue;
        if (element.closest("script, style, noscript, [disabled], .unseen, rect")) continue;
        const style = getComputedStyle(element);
        const ground = behind(element);
        const ink = over(numbers(element instanceof SVGElement ? style.fill : style.color), ground);
        const [low, high] = [luminance(ink), luminance(ground)].sort((a, b) => a - b);
        const contrast = (high + 0.05) / (low + 0.05);
        if (contrast < 4.5) found.push([data.trim().slice(0, 40), element.getAttribute("class"), contrast]);
    }
    return found;
}"""

#: What reaches over the right edge of the page without scrolling in a box of its own.
OVER = """() => {
    const found = [];
    const {clientWidth: edge, scrollWidth: wide} = document.documentElement;
    if (wide > edge) found.push(`the page is ${wide} wide`);
    for (const element of document.body.querySelectorAll("*")) {
        const box = element.getBoundingClientRect();
        if (!box.width || box.right <= edge + 0.5 || element.closest("svg svg, svg *, .unseen")) continue;
        let inside = element.parentElement;
        while (inside && getComputedStyle(inside).overflowX === "visible") inside = inside.parentElement;
        if (!inside || inside === document.body || inside === document.documentElement)
            found.push(`${element.tagName}.${element.className} ends at ${box.right}`);
    }
    return found;
}"""


#: What can differ where the page has the same parts in other colours.
COLOURS = {"resultTypes": ["violations"], "runOnly": ["color-contrast", "link-in-text-block"]}


def violations(page: Any, options: Any = OPTIONS) -> list[str]:
    """What axe-core finds, a line each."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{one['id']} ({one['impact']}): {one['help']}: {node['target']} {node['html'][:120]}"
        for one in found
        for node in one["nodes"][:3]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", models.THREE)
def test_nothing_stands_in_anyones_way(name, width, scheme, explorer, pages):
    size = {"width": width, "height": WIDTHS[width]}
    page = explorer(models.page_of(name, pages), viewport=size, color_scheme=scheme)
    for tab, part in zip(VIEWS, itertools.cycle(LISTS), strict=False):
        page.evaluate("patch => fastrf.store.set(patch)", {"tab": tab, "list": part})
        settled(page)
        assert not violations(page, COLOURS if scheme == "dark" and width != 1024 else OPTIONS), (tab, part)
        assert not page.evaluate(FAINT), (tab, part)
        assert not page.evaluate(OVER), (tab, part)


def settled(page: Any) -> None:
    """Two frames later everything that a change asks for is drawn."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
