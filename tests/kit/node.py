"""Install Node packages for tests, pinned by a lock, once per lock file."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from tempfile import mkdtemp

import pytest

CACHE = Path(__file__).parents[2] / ".cache"
needs_node = pytest.mark.skipif(
    shutil.which("npm") is None and not os.environ.get("CI"),
    reason="needs Node and npm (always run in CI)",
)


def installed(folder: Path) -> Path:
    """Return a folder with the packages of the lock in `folder`; a rename makes it appear
    complete.
    """
    lock = folder / "package-lock.json"
    target = CACHE / f"{folder.name}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"
    if not target.exists():
        CACHE.mkdir(exist_ok=True)
        unfinished = Path(mkdtemp(dir=CACHE))
        for name in ("package.json", lock.name):
            shutil.copy(folder / name, unfinished)
        subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=unfinished, check=True
        )
        try:
            unfinished.rename(target)
        except OSError:  # another process was faster
            shutil.rmtree(unfinished)
    return target
