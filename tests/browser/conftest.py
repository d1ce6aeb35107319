"""One browser for each worker, a fresh context for each test; what goes wrong in a page fails its test.

Without Playwright or Chromium the tests are skipped; `FASTRF_BROWSER=required` turns that into failures.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.browser import acts, chromium


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium."""
    missing = chromium.absent()
    if missing and os.environ.get("FASTRF_BROWSER") == "required":
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    with chromium.browser() as started:
        yield started


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open files, `opened(path, view, **options)`; the test fails where anything went wrong in any of their pages."""
    pages = []
    with ExitStack() as stack:

        def opens(path: Path, view: str = "", **options: Any) -> Any:
            pages.append(stack.enter_context(chromium.opened(browser, path, view, **options)))
            return pages[-1].page

        yield opens
        for page in pages:
            page.page.wait_for_timeout(0)  # what is under way is told
    assert not [fault for page in pages for fault in page.faults]


@pytest.fixture
def explorer(opened: Callable[..., Any]) -> Callable[..., Any]:
    """Open explorers, `explorer(path, view, **options)`, and wait until all of them stands."""

    def opens(path: Path, view: str = "", **options: Any) -> Any:
        page = opened(path, view and f"#{view}", **options)
        acts.stand(page)
        return page

    return opens


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for pages that tests share."""
    return tmp_path_factory.mktemp("pages")
