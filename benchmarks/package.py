"""Measure the size of the deployment package."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.table import Row

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "lambda"


def measure() -> Iterator[Row]:
    if not FOLDER.is_dir():
        subprocess.run(
            [sys.executable, ROOT / ".ci" / "package", "--to", FOLDER],
            check=True,
            stdout=sys.stderr,
        )
    size = sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) / 1e6
    zipped = FOLDER.with_name("lambda.zip").stat().st_size / 1e6
    yield Row(
        "deployment package",
        "≤ 40 MB unzipped",
        f"{size:.1f} MB ({zipped:.1f} MB zipped)",
        "files in build/lambda",
    )
