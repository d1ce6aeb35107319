"""Names of strangers are text, wherever they come from: nothing of them runs, and they are shown as they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import fastrf
from tests.browser import acts

#: Names that would run, end the script, open a comment, leave an attribute, turn the text around, or be taken for code.
HOSTILE = [
    "</script><img src=x onerror=canary()>",
    "<!--<script>",
    "--></SCRIPT><svg onload=canary()>",
    '" onmouseover="canary()" x=\'',
    "' autofocus onfocus='canary()",
    "<b>bold</b> &lt;i&gt;",
    "line\u2028canary()\u2029para",
    "\u202eright to left\u202c \u2066x",
    "javascript:canary()",
    "{{script}} ${canary()} {{policy}}",
    "__proto__",
    "constructor",
    "]]></title><script>canary()</script>",
    "#&%23=;?layer=x",
    "a" * 3000,
    "\U0001f9e0 e\u0301 \u0000 \x1b[31m",
]
CANARY = "globalThis.canary = () => { globalThis.caught = true; };"
#: What would have come of a name: elements that the page does not make, and handlers.
STRAYS = """() => [...document.querySelectorAll("*")].filter((element) =>
    element.matches("img, iframe, object, embed, link, base, form, foreignObject, b b, i, [href^='javascript:' i]")
    || [...element.attributes].some(({name}) => /^(on|srcdoc)/i.test(name)))
    .map((element) => element.outerHTML.slice(0, 200))"""


def layers(names):
    """A network whose layers are called so; those that fastrf does not take are left out."""
    found = []
    for name in names:
        try:
            fastrf.load([*found, fastrf.conv(2, 3, padding=1, name=name)], (1, 8, 8))
        except fastrf.FastRFError:
            continue
        found.append(fastrf.conv(2, 3, padding=1, name=name))
    return found


def walked(page):
    """Every part of the page is looked at; nothing of a name has run."""
    assert page.evaluate("typeof canary") == "function"
    for part in ("graph", "growth", "table"):
        page.click(f"#list-tabs-{part}-tab")
        acts.settle(page)
    for tab in ("areas", "blind", "matrix", "stage"):
        page.click(f"#view-tabs-{tab}-tab")
        acts.settle(page)
    count = page.evaluate("fastrf.doc.models.at(-1).nodes.length")
    for node in range(count):
        page.evaluate("(node) => fastrf.store.set({node})", node)
        acts.settle(page)
        page.click(".pins > button")
        name = page.evaluate("(node) => fastrf.doc.models.at(-1).nodes[node].name", node)
        shown = [page.locator(css).first.text_content() for css in ("#layer", "#facts h2")]
        assert shown == [name, name]
    assert not page.evaluate("globalThis.caught")
    assert not page.evaluate(STRAYS)
    assert page.evaluate("document.scripts.length") == 2
    return page


def policy(path):
    """The page's policy, which stands before anything else that could load."""
    text = path.read_text()
    head = text.index('http-equiv="Content-Security-Policy"')
    assert head < min(text.index("<style"), text.index("<script"), text.index("<title"))
    return text


def test_names_of_layers(explorer, tmp_path):
    found = layers(HOSTILE)
    assert len(found) > len(HOSTILE) / 2
    path = tmp_path / "page.html"
    fastrf.report(fastrf.analyze(found, (1, 8, 8)), path, title="".join(HOSTILE[:4]))
    policy(path)
    page = walked(explorer(path, before=CANARY, permissions=["clipboard-read", "clipboard-write"]))
    names = page.locator(".layer-body .column-name").all_text_contents()
    assert set(names) == {"input", *(layer.name for layer in found)}
    assert page.title().startswith("".join(HOSTILE[:4])[:150])


def test_the_policy_lets_nothing_in(explorer, tmp_path):
    path = tmp_path / "page.html"
    fastrf.report(fastrf.analyze([fastrf.conv(1, 3)], (1, 8, 8)), path)
    rules = dict(
        rule.strip().split(" ", 1)
        for rule in explorer(path).get_attribute("meta[http-equiv='Content-Security-Policy']", "content").split(";")
    )
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in json.dumps(rules)
    assert {key: value for key, value in rules.items() if key not in ("script-src", "style-src")} == {
        "default-src": "'none'",
        "img-src": "data: blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_what_gets_into_the_page_all_the_same_is_stopped_by_the_policy(browser, tmp_path):
    from tests.browser import chromium

    path = tmp_path / "page.html"
    fastrf.report(fastrf.analyze([fastrf.conv(1, 3)], (1, 8, 8)), path)
    added = "<script>globalThis.caught = 1</script><img src=x onerror='globalThis.caught = 1'>"
    path.write_text(path.read_text().replace("<header", f"{added}<header", 1))
    with chromium.opened(browser, path) as found:
        found.page.wait_for_timeout(50)
        assert found.page.evaluate("[typeof fastrf, globalThis.caught ?? null]") == ["object", None]
        assert sum("Content Security Policy" in fault for fault in found.faults) >= 2


@pytest.mark.parametrize("name", ["</script><img src=x onerror=canary()>", "\" onload='canary()"])
def test_names_in_specs_and_of_their_files(name, explorer, tmp_path):
    spec = {
        "name": name,
        "input_shape": [1, 8, 8],
        "layers": [{"name": f"{name}{k}", "op": "conv", "out_channels": 1, "kernel_size": 3} for k in range(2)],
    }
    source = tmp_path / f"{name.replace('/', '')}.json"
    source.write_text(json.dumps(spec))
    path = tmp_path / "page.html"
    fastrf.report(fastrf.analyze(str(source)), path)
    page = walked(explorer(path, before=CANARY))
    assert page.locator("#title").text_content() == name


def test_names_in_onnx_files(explorer, tmp_path):
    onnx = pytest.importorskip("onnx")
    first, second, third, kernel = HOSTILE[0], HOSTILE[3], HOSTILE[1], HOSTILE[5]
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in ((first, [1, 1, 8, 8]), (third, None))
    ]
    weights = onnx.helper.make_tensor(kernel, onnx.TensorProto.FLOAT, [1, 1, 3, 3], [1.0] * 9)
    nodes = [
        onnx.helper.make_node("Conv", [first, kernel], [second], name=f"/a/{HOSTILE[2]}"),
        onnx.helper.make_node("Relu", [second], [third], name=HOSTILE[4], doc_string=HOSTILE[0]),
    ]
    graph = onnx.helper.make_graph(nodes, HOSTILE[0], ends[:1], ends[1:], [weights], doc_string=HOSTILE[0])
    model = onnx.helper.make_model(graph, producer_name=HOSTILE[0], doc_string=HOSTILE[2])
    onnx.helper.set_model_props(model, {HOSTILE[0]: HOSTILE[2]})
    source = tmp_path / "net<img src=x onerror=canary()>.onnx"
    onnx.save(model, source)
    path = tmp_path / "page.html"
    fastrf.report(fastrf.analyze(str(source)), path, against=fastrf.analyze(layers(HOSTILE[:3]), (1, 8, 8)))
    page = walked(explorer(path, before=CANARY))
    page.click("#list-tabs-changes-tab")
    acts.settle(page)
    assert not page.evaluate("globalThis.caught")
    assert not page.evaluate(STRAYS)


def test_names_and_metadata_of_images(explorer, tmp_path):
    image, png = pytest.importorskip("PIL.Image"), pytest.importorskip("PIL.PngImagePlugin")
    told = png.PngInfo()
    for key in ("Title", "Comment", "XML:com.adobe.xmp"):
        told.add_text(key, HOSTILE[0])
    photo = tmp_path / "<img src=x onerror=canary()>.png"
    image.new("RGB", (16, 12), (200, 30, 90)).save(photo, pnginfo=told)
    path = tmp_path / "page.html"
    fastrf.report(fastrf.analyze([fastrf.conv(1, 3, name="one")], (3, 8, 8)), path, image=photo)
    page = walked(explorer(path, before=CANARY))
    assert page.evaluate("[fastrf.doc.image.name, fastrf.doc.image.width]") == [photo.name, 16]
    assert "onerror" not in Path(path).read_text()


def test_links_of_strangers(explorer, tmp_path):
    path = tmp_path / "page.html"
    fastrf.report(fastrf.analyze([fastrf.conv(1, 3, name="one")], (3, 8, 8)), path)
    view = "".join(f"&{key}=<img src=x onerror=canary()>" for key in ("layer", "tab", "query", "at", "pin", "theme"))
    page = explorer(path, f"{view[1:]}&channel=__proto__&slice=constructor&axes=9,9&zoomMap=1:0,NaN:3", before=CANARY)
    assert "<img src=x" in page.locator("#problem").text_content()
    assert page.locator("#layer-query").input_value() == "<img src=x onerror=canary()>"
    assert not page.evaluate("globalThis.caught")
    assert not page.evaluate(STRAYS)


def test_what_is_saved_holds_names_as_text(explorer, tmp_path):
    from xml.etree import ElementTree

    path = tmp_path / "page.html"
    fastrf.report(fastrf.analyze(layers(HOSTILE[:6]), (1, 8, 8)), path)
    page = explorer(path)
    for node in range(1, 7):
        page.evaluate("(node) => fastrf.store.set({node})", node)
        acts.settle(page)
        with page.expect_download() as found:
            page.click("#svg")
        root = ElementTree.parse(found.value.path()).getroot()
        assert page.locator("#layer").text_content() in root.find("{*}title").text
        assert not [part for part in root.iter() if part.tag.endswith(("script", "img"))]
