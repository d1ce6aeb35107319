"""Run models, append their figures to a cache of JSON lines, and write `docs/models.md` from it.

python -m bench.models --install                # the packages, once
python -m bench.models --libraries timm monai   # these libraries; without, all
python -m bench.models --only monai/UNet        # these models
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.models.install import install
from bench.models.libraries import LIBRARIES
from bench.models.page import PAGE, is_well, report
from bench.models.running import Worker

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen models; 1 where any fails or disagrees."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], help="these models, such as timm/vgg11")
    parser.add_argument("--libraries", nargs="+", default=list(LIBRARIES), choices=list(LIBRARIES))
    parser.add_argument("--install", action="store_true", help="install the packages, and run nothing")
    parser.add_argument("--resume", action="store_true", help="skip models that the cache has and that are well")
    parser.add_argument("--times", action="store_true", help="of models that are well, take only times anew")
    parser.add_argument("--page", action="store_true", help="write the page from the cache, and run nothing")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "fastrf-models.jsonl")
    parser.add_argument("--cap", type=float, default=120.0, help="seconds per model")
    given = parser.parse_args(arguments)
    if given.install:
        install()
        return 0
    rows = [json.loads(line) for line in given.cache.read_text().splitlines()] if given.cache.exists() else []
    latest = {(row["source"], row["name"]): row for row in rows}
    failed = 0
    if not given.page:
        failed = _run(_chosen(given), {key: row for key, row in latest.items() if is_well(row)}, given)
        rows = [json.loads(line) for line in given.cache.read_text().splitlines()]
    if given.page or not given.only:
        PAGE.write_text(report(rows))
    return int(bool(failed))


def _run(chosen: Sequence[tuple[str, str]], seen: dict[tuple[str, str], Any], given: Any) -> int:
    """How many of the models are not well."""
    worker, failed = Worker(), 0
    for library, name in chosen:
        before = seen.get((library, name))
        if given.resume and before is not None:
            continue
        row = worker.run(library, name, given.cap, before if given.times else None)
        failed += not is_well(row)
        with given.cache.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(library, name, row.get("error") or _brief(row), flush=True)
    worker.close()
    return failed


def _brief(row: dict[str, Any]) -> str:
    told = [f"{row['how']}, {row['nodes']} nodes, {row['agreed']}/{row['compared']} agreed"]
    told += [f"ratio {row['load_s'] / row['forward_s']:.2f}, analysis {row['analysis_ms']:.0f} ms"]
    told += [f"{len(row['approximate'])} approximate"] if row["approximate"] else []
    told += [f"unlike: {row['unlike']}"] if row.get("unlike") else []
    told += [f"captures: {row['captures']}"] if row.get("captures") else []
    return f"{', '.join(told)}, {row['total_s']:.0f} s in all"


def _chosen(given: Any) -> list[tuple[str, str]]:
    if given.only:
        return [tuple(one.split("/", 1)) for one in given.only]
    return [(library, name) for library in given.libraries for name in LIBRARIES[library].names()]


if __name__ == "__main__":
    sys.exit(main())
