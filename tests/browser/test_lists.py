"""Layers are found: by a search, by sorting, in a graph whose modules fold, among what changed."""

from __future__ import annotations

import pytest

from tests.browser import acts, models

WIDE = {"viewport": {"width": 2560, "height": 1400}}
LAYER = "layer=layer3.5.relu3"


@pytest.mark.parametrize("key", range(10))
def test_every_header_sorts_both_ways_and_back(key, explorer, pages):
    page = explorer(models.page_of("resnet50", pages), LAYER, **WIDE)
    acts.settle(page)
    head, button = (page.locator(f".layer-head {css}").nth(key) for css in ("[role=columnheader]", "button"))
    orders = []
    for direction in ("ascending", "descending", "none"):
        button.click() if key % 2 else acts.press("Enter")(page, button)
        assert head.get_attribute("aria-sort") == direction
        page.locator(".layer-grid").evaluate("(grid) => { grid.scrollTop = 0; }")
        acts.settle(page)
        orders.append(page.locator(f".layer-body [role=row] > :nth-child({key + 1})").all_text_contents())
    alike = head.text_content() == "Exact"  # all layers of this one are
    assert alike or len({*map(tuple, orders)}) >= 2


def test_a_search_shows_what_it_finds(explorer, pages):
    page = explorer(models.page_of("resnet50", pages), LAYER, **WIDE)
    page.fill("#layer-query", "LAYER3 conv2")
    names = [name for name in models.analysis("resnet50") if "layer3" in name and "conv2" in name]
    assert page.locator(".layer-count").first.text_content() == f"{len(names)} of 176 layers"
    assert page.locator(".layer-body .column-name").all_text_contents() == names
    page.fill("#layer-query", "<nothing>")
    assert page.locator(".layer-body .column-name").count() == 0


def test_the_chosen_layer_is_the_one_of_the_row_the_box_and_the_point(explorer, pages):
    page = explorer(models.page_of("resnet50", pages), "", **WIDE)
    row = page.locator(".layer-body [role=row]").nth(4)
    name = row.locator(".column-name").text_content()
    row.click()
    assert page.locator("#layer").text_content() == name
    for part, css in (("graph", ".layer-pane"), ("growth", ".growth-pane")):
        page.click(f"#list-tabs-{part}-tab")
        acts.settle(page)
        page.focus(css)
        page.keyboard.press("ArrowUp" if part == "graph" else "ArrowLeft")
        page.keyboard.press("Enter")
        chosen = page.evaluate("fastrf.doc.models[0].nodes[fastrf.store.get().node].name")
        assert chosen != name
        name = chosen
        assert page.locator("#layer").text_content() == name
        assert page.locator("#facts h2").text_content() == name


def test_modules_fold_and_unfold(explorer, pages):
    page = explorer(models.page_of("resnet50", pages), f"{LAYER}&list=graph", **WIDE)
    acts.settle(page)
    texts = []
    for button in ("Unfold all modules", "Fold all modules"):
        page.get_by_role("button", name=button, exact=True).click()
        page.get_by_role("button", name="Fit the graph").click()
        acts.settle(page)
        states = page.locator(".layer-crumbs button").evaluate_all("(all) => all.map((one) => one.ariaExpanded)")
        assert set(states) == {"true" if button.startswith("Unfold") else "false"}
        texts.append(page.locator(".layer-pane svg").inner_html())
    assert len(texts[1]) < len(texts[0]) / 2


def test_the_graph_is_panned_zoomed_and_chosen_from_by_mouse(explorer, pages):
    page = explorer(models.page_of("resnet50", pages), f"{LAYER}&list=graph", **WIDE)
    pane, drawing = page.locator(".layer-pane"), page.locator(".layer-pane > svg > g").first
    box = page.locator(".layer-pane svg text", has_text="avgpool").first.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert page.locator("#layer").text_content() == "avgpool"
    page.get_by_role("button", name="Unfold all modules").click()
    for act in (acts.wheel(-300, "Control"), acts.wheel(80, "Control"), acts.drag(0.1, 0.3), acts.wheel(-200)):
        before = drawing.get_attribute("transform")
        act(page, pane)
        acts.until(
            page, "(one) => document.querySelector('.layer-pane > svg > g').getAttribute('transform') !== one", before
        )


def test_what_changed_is_chosen_in_whichever_model_has_it(explorer, pages):
    page = explorer(models.page_of("two", pages), "", **WIDE)
    model, nodes = "fastrf.store.get().model", "fastrf.doc.models.map((model) => model.nodes.map((node) => node.name))"
    names = page.evaluate(nodes)
    assert (page.evaluate(model), len(page.evaluate("fastrf.doc.changes")) > 200) == (1, True)
    for kind in ("added", "removed", "changed"):
        for change in page.evaluate("(kind) => fastrf.doc.changes.filter((one) => one.kind === kind)", kind)[:3]:
            side = 1 if change["new"] is not None else 0
            name = names[side][change["new"] if side else change["old"]]
            page.locator(".changes-item", has_text=name).first.click()
            assert page.locator("#layer").text_content() in (name, names[0][change["old"] or 0])
