"""Pictures are saved as they are seen, and a link shows the view again."""

from __future__ import annotations

import io
from xml.etree import ElementTree

import numpy as np
import pytest

from tests.browser import acts, models

TABS = ["stage", "areas", "density", "clipped", "blind", "matrix"]
VIEWS = {
    "resnet50": "layer=layer2.1.add&at=3,4&pixel=20,31&channel=7&input=1&pin=1,2@layer1.0.add&list=graph&theme=dark",
    "tcn": "at=300&zoomMap=0:1,200:400&tab=matrix&query=conv&list=growth",
    "unet3d": "layer=enc3.conv1&at=1,2,3&slice=7&theme=light&zoomInput=0:20,3:30",
    "two": "model=old&layer=layer1.0.conv1&pin=new:3,3@layer2.0.conv1&list=table",
}
STATE = "JSON.stringify({...fastrf.store.get(), hover: null})"


def saved(page, button, way):
    """What a button downloads: its name and its bytes."""
    with page.expect_download() as found:
        page.click(button) if way == "mouse" else acts.press("Enter")(page, page.locator(button))
    return found.value.suggested_filename, found.value.path().read_bytes()


@pytest.mark.parametrize("tab", TABS)
@pytest.mark.parametrize(("name", "layer"), [("resnet50", "layer1.1.add"), ("tcn", ""), ("unet3d", "enc3.conv1")])
def test_pictures_are_files_of_their_kind(name, layer, tab, explorer, pages):
    image = pytest.importorskip("PIL.Image")
    view = f"tab={tab}" + (f"&layer={layer}" if layer else "")
    page = explorer(models.page_of(name, pages), view)
    page.wait_for_timeout(300)
    called, told = saved(page, "#png", "mouse")
    picture = image.open(io.BytesIO(told))
    picture.load()
    assert called.endswith(".png")
    assert picture.format == "PNG"
    assert len(np.unique(np.asarray(picture.convert("L")))) > 4
    called, told = saved(page, "#svg", "keys")
    root = ElementTree.fromstring(told.decode())
    assert called.endswith(".svg")
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.find("{*}title").text
    assert not root.findall(".//{*}script")
    assert not [key for part in root.iter() for key in part.attrib if key.lower().startswith("on")]
    assert root.findall(".//{*}path")
    assert (int(float(root.get("width"))) - picture.width // 2) in (-1, 0, 1)


@pytest.mark.parametrize("name", VIEWS)
def test_a_copied_link_shows_the_same_view(name, explorer, pages):
    allowed = {"permissions": ["clipboard-read", "clipboard-write"]}
    page = explorer(models.page_of(name, pages), f"{VIEWS[name]}", **allowed)
    for key in ("tab", "list"):  # what a hand changes is in it, too
        page.locator(f"#{'view' if key == 'tab' else 'list'}-tabs [role=tab]").nth(2).click()
    page.click("#copy")
    acts.until(page, "navigator.clipboard.readText().then((text) => text.startsWith('file:'))")
    link = page.evaluate("navigator.clipboard.readText()")
    other = explorer(models.page_of(name, pages), f"{link.partition('#')[2]}")
    assert other.evaluate(STATE) == page.evaluate(STATE)
    assert not other.locator("#problem").is_visible()
    asked, told = (
        {part.partition("=")[0] for part in text.split("&")} for text in (VIEWS[name], link.partition("#")[2])
    )
    assert asked - {"tab", "list"} <= told


def test_where_a_link_cannot_be_copied_it_is_shown(explorer, pages):
    page = explorer(models.page_of("tcn", pages), "tab=matrix&at=7")
    page.evaluate("() => { Object.defineProperty(navigator, 'clipboard', {value: undefined}); }")
    page.click("#copy")
    link = page.locator("#keys input").input_value()
    page.keyboard.press("Escape")
    assert not page.evaluate("document.getElementById('keys').open")
    assert explorer(models.page_of("tcn", pages), link.partition("#")[2]).evaluate(STATE) == page.evaluate(STATE)


def test_a_link_to_what_is_not_there_says_so(explorer, pages):
    page = explorer(models.page_of("tcn", pages), "layer=nowhere&tab=nothing&at=1,2,3&pin=9@nowhere")
    told = page.locator("#problem").text_content()
    assert all(word in told for word in ("nowhere", "nothing", "1,2,3"))
