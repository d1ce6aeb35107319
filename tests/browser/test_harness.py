"""What the other tests rely on: whatever goes wrong in a page is seen."""

from __future__ import annotations

import pytest

from tests.browser import chromium

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'; img-src data:">
<title>A page</title><main><h1>A page</h1></main><script>SCRIPT</script></html>"""

#: What a script does, and how the fault begins that it leaves.
WRONG = {
    "console.error('wrong')": "console: wrong",
    "console.warn('odd')": "console: odd",
    "throw new Error('thrown')": "error: thrown",
    "Promise.reject(new Error('late'))": "error: late",
    "fetch('https://example.org/x').catch(() => 0)": "console: ",
    "document.body.append(Object.assign(new Image(), {src: 'beside.png'}))": "console: ",
    "eval('1')": "error: ",
    "open('https://example.org/')": "request: https://example.org/",
    "location.href = 'https://example.org/'": "request: https://example.org/",
    "alert('look')": "dialog: look",
}


@pytest.mark.parametrize("script", WRONG)
def test_what_goes_wrong_is_seen(script, browser, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(PAGE.replace("SCRIPT", script))
    with chromium.opened(browser, path) as found:
        found.page.wait_for_timeout(50)
        expected = WRONG[script]
        assert not expected or any(fault.startswith(expected) for fault in found.faults), found.faults


def test_requests_are_seen_where_no_policy_forbids_them(browser, tmp_path):
    path = tmp_path / "page.html"
    path.write_text("<!doctype html><title>t</title><img src='http://example.org/a.png'><img src='b.png'>")
    with chromium.opened(browser, path) as found:
        found.page.wait_for_timeout(50)
        asked = {fault for fault in found.faults if fault.startswith("request: ")}
        assert asked == {"request: http://example.org/a.png", f"request: {path.parent.as_uri()}/b.png"}


def test_a_quiet_page_has_no_faults(opened, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(PAGE.replace("SCRIPT", "document.title = 'Quiet'"))
    page = opened(path, "#view", viewport={"width": 360, "height": 640})
    assert (page.title(), page.evaluate("innerWidth"), page.evaluate("location.hash")) == ("Quiet", 360, "#view")
