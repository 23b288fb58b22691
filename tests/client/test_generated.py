"""The generated modules of the client are those of the present schema."""

import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

from ai_coordination_engine import client

ROOT = Path(__file__).parents[2]
HEAVY = ("boto3", "botocore", "graphene", "graphql", "pynamodb", "starlette", "uvicorn")


def generator() -> Any:
    loader = SourceFileLoader("client_generator", str(ROOT / ".ci" / "client"))
    module = module_from_spec(spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def test_the_committed_modules_are_what_make_client_writes() -> None:
    folder = Path(client.__file__).parent
    made = generator().modules()
    assert sorted(made) == ["operations.py", "records.py", "sync_client.py", "sync_streams.py"]
    assert {name: (folder / name).read_text(encoding="utf-8") for name in made} == made


def test_an_import_loads_nothing_that_only_the_server_needs() -> None:
    code = "import sys, ai_coordination_engine.client; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "httpx" in loaded
    assert loaded.intersection(HEAVY) == set()
