"""Every control of the page is operated by mouse and by keyboard; one that no test operates fails a test."""

from __future__ import annotations

import pytest

from tests.browser import acts, models
from tests.browser.controls import CONTROLS, FOUND, LAYER, PINS, VOLUME

WIDE = {"viewport": {"width": 1600, "height": 1000}, "permissions": ["clipboard-read", "clipboard-write"]}
TABS = ["stage", "areas", "density", "clipped", "blind", "matrix"]
#: Where all that can be operated is looked for; downloads have tests of their own.
EVERYWHERE = [
    *[("resnet50", f"{LAYER}&list={part}") for part in ("table", "graph", "growth")],
    *[("resnet50", f"{LAYER}&tab={tab}") for tab in TABS],
    *[("unet3d", f"{VOLUME}&tab={tab}") for tab in TABS],
    *[("tcn", f"tab={tab}") for tab in ("stage", "matrix")],
    *[("resnet50", view) for view in (f"{PINS}&channel=3&pixel=1,1", "tab=nowhere", "help", "layer=fc")],
    *[("two", view) for view in ("", "model=old&list=table", f"{PINS}&list=graph")],
    ("many", "layer=stem"),
]
ELSEWHERE = ["#png", "#svg"]
#: Elements that can be operated and are none of those known.
UNKNOWN = """([found, known]) => [...document.querySelectorAll(found)]
    .filter((element) => element.checkVisibility())
    .filter((element) => element.tabIndex >= 0 || element.matches("[role=tab], [role=radio]"))
    .filter((element) => element.id !== "view" && !known.some((css) => element.matches(css)))
    .map((element) => element.outerHTML.slice(0, 200))"""
#: What has the focus, in a word, and whether that is to be seen.
FOCUSED = """() => {
    const {activeElement: element} = document;
    const {outlineStyle, outlineWidth, boxShadow} = getComputedStyle(element);
    const seen = (outlineStyle !== "none" && outlineWidth !== "0px") || boxShadow !== "none";
    return [[...document.querySelectorAll("*")].indexOf(element), element.outerHTML.slice(0, 120), seen];
}"""


def stands(model, view, explorer, pages):
    """A page in a view."""
    page = explorer(models.page_of(model, pages), "" if view == "help" else view, **WIDE)
    if view == "help":
        page.click("#help")
    return page


def again(page, url, view):
    """The same page from anew."""
    page.goto("about:blank")
    page.goto(url)
    acts.stand(page)
    if view == "help":
        page.click("#help")


@pytest.mark.parametrize(("model", "view"), dict.fromkeys((control.model, control.view) for control in CONTROLS))
def test_all_are_operated_by_mouse_and_by_keys(model, view, explorer, pages):
    page = stands(model, view, explorer, pages)
    url = models.page_of(model, pages).as_uri() + ("" if view == "help" else f"#{view}")
    for control in CONTROLS:
        for way in ("mouse", "keys"):
            if (control.model, control.view) == (model, view):
                again(page, url, view)
                operated(page, control, way)


def operated(page, control, way):
    """Something is done with a control, and what is to change changes."""
    page.evaluate("navigator.clipboard.writeText('nothing')")
    at = page.locator(f"{control.css} >> visible=true").nth(control.nth)
    before = page.evaluate(control.effect)
    told = f"{control} by {way} changes {control.effect}"
    try:
        getattr(control, way)(page, at)
        changed = f"(before) => Promise.resolve({control.effect}).then((now) => now !== before)"
        acts.until(page, changed, before)
    except Exception as error:
        raise AssertionError(told) from error


@pytest.mark.parametrize(("model", "view"), EVERYWHERE)
def test_no_control_is_forgotten(model, view, explorer, pages):
    page = stands(model, view, explorer, pages)
    known = [*ELSEWHERE, *dict.fromkeys(control.css for control in CONTROLS)]
    assert not page.evaluate(UNKNOWN, [FOUND, known])


@pytest.mark.parametrize(("model", "view"), EVERYWHERE[::3])
def test_the_key_tab_reaches_all_of_them_and_shows_where_it_is(model, view, explorer, pages):
    page = stands(model, view, explorer, pages)
    wanted = page.evaluate(
        """(found) => {
            const all = [...document.querySelectorAll("*")];
            const open = document.querySelector("dialog[open]") ?? document;
            return [...open.querySelectorAll(found)]
                .filter((element) => element.tabIndex >= 0 && !element.disabled && element.checkVisibility())
                .filter((element) => !element.matches("[type=radio]:not(:checked)")) // arrows go there
                .map((element) => all.indexOf(element));
        }""",
        FOUND,
    )
    page.mouse.click(2, 2)
    reached = {}
    for _ in range(len(wanted) + 3):
        page.keyboard.press("Tab")
        number, told, seen = page.evaluate(FOCUSED)
        reached[number] = told
        assert seen or told.startswith(("<body", "<html")), told
    assert set(wanted) <= set(reached), [page.evaluate(WHAT, number) for number in set(wanted) - set(reached)]


WHAT = "(number) => document.querySelectorAll('*')[number].outerHTML.slice(0, 200)"
