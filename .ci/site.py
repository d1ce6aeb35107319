"""Builds the site, with warnings as errors, and follows every link in it: `python .ci/site.py FOLDER`.

MkDocs looks at the links of pages; this looks at what a browser gets, docstrings included: what a link or a picture
leads to must be there, with its anchor, and nothing may come from elsewhere while a page is shown.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).parent.parent


class Page(HTMLParser):
    """The anchors of a page, where its links lead, and what it shows or runs."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def has(self, fragment: str) -> bool:
        """Whether a link's part behind `#` is there."""
        return unquote(fragment) in self.anchors

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag names or leads to."""
        given = {key: value for key, value in attrs if value is not None}
        self.anchors |= {given[key] for key in ("id", "name") if key in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if "src" in given or (tag == "link" and given.get("rel") == "stylesheet"):
            self.loads.append(given.get("src") or given["href"])


def problems(site: Path) -> Iterator[str]:
    """What does not hold; behind the `#` of a page that is shown within another is what it shows."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        shown = path.relative_to(site)
        if path.name == "404.html":
            continue  # its links begin at the server's root
        for link in page.loads:
            if urlsplit(link).netloc:
                yield f"{shown}: {link} comes from elsewhere"
        for link in page.links + page.loads:
            where = urlsplit(link)
            if where.scheme or where.netloc:
                continue
            target = (path.parent / unquote(where.path)).resolve() if where.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                yield f"{shown}: {link} leads nowhere"
            elif (
                link in page.links
                and where.fragment
                and target in pages
                and unquote(where.fragment) not in pages[target].anchors
            ):
                yield f"{shown}: {link} has no such place"


def main(folder: str) -> int:
    """Build, look, and say what is wrong."""
    site = Path(folder).resolve()
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict"]
    command += ["--config-file", str(ROOT / ".ci" / "mkdocs.yml"), "--site-dir", str(site)]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}  # what comes after MkDocs is no warning about these pages
    done = subprocess.run(command, check=False, cwd=ROOT, env=quiet)
    if done.returncode:
        return done.returncode
    found = sorted(set(problems(site)))
    sys.stdout.write("".join(f"{line}\n" for line in found))
    sys.stdout.write(f"{len(list(site.rglob('*.html')))} pages, {len(found)} broken links\n")
    return int(bool(found))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
