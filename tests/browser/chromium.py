"""Chromium without a window, and pages from disk in it; everything that goes wrong in a page is written down."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request

__all__ = ["Opened", "absent", "browser", "executable", "node", "opened"]

#: A browser that asks nothing of its maker, and runs as root in a container.
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--disable-lcd-text"),
]


def executable() -> str | None:
    """Chromium: `FASTRF_CHROMIUM`, or what is on the path."""
    on_path = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
    return os.environ.get("FASTRF_CHROMIUM") or next(filter(None, on_path), None)


def node() -> str | None:
    """Node: what is on the path, or the one that Playwright brings."""
    found = shutil.which("node")
    if found is None and (spec := importlib.util.find_spec("playwright")) is not None and spec.origin is not None:
        found = shutil.which("node", path=str(Path(spec.origin).parent / "driver"))
    return found


def absent() -> str:
    """What is missing to run these tests, or nothing."""
    missing = [name for name in ("playwright", "axe_playwright_python") if importlib.util.find_spec(name) is None]
    if missing:
        return f"could not import '{missing[0]}'"
    return "" if executable() else "there is no Chromium: FASTRF_CHROMIUM says where it is"


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser of one's own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable(), args=ARGUMENTS)
        yield started
        started.close()


@dataclass
class Opened:
    """A page from disk, and what went wrong in it: words in the console, errors, requests, breaches of its policy."""

    page: Page
    url: str
    faults: list[str] = field(default_factory=list)

    def watch(self, context: BrowserContext) -> None:
        """Write down what happens from now on."""
        context.on("request", self._request)
        context.on("console", self._console)
        context.on("weberror", lambda error: self.faults.append(f"error: {error.error}"))
        context.on("page", self._page)
        self._page(self.page)

    def _page(self, page: Page) -> None:
        page.on("websocket", lambda socket: self.faults.append(f"socket: {socket.url}"))
        page.on("crash", lambda _: self.faults.append("the page crashed"))
        page.on("dialog", self._dialog)
        if page is not self.page:
            self.faults.append(f"another page: {page.url}")

    def _request(self, request: Request) -> None:
        if request.url.partition("#")[0] != self.url and not request.url.startswith(("data:", "blob:")):
            self.faults.append(f"request: {request.url}")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning", "assert"):
            self.faults.append(f"console: {message.text}")

    def _dialog(self, dialog: Any) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()


@contextmanager
def opened(browser: Browser, path: Path, view: str = "", before: str = "", **options: Any) -> Iterator[Opened]:
    """A file in a fresh context; `view` is what stands behind # in its address, `before` a script that runs first.

    Options are those of Playwright's contexts: viewport, color_scheme, and so on.
    """
    context = browser.new_context(**{"reduced_motion": "reduce", "locale": "en-US", **options})
    context.set_default_timeout(15_000)
    context.add_init_script(before)
    try:
        context.route(lambda url: not url.startswith(("file:", "data:", "blob:")), lambda route: route.abort())
        found = Opened(context.new_page(), path.resolve().as_uri())
        found.watch(context)
        found.page.goto(found.url + view)
        yield found
    finally:
        context.close()
