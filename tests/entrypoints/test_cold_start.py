"""What a process imports when it starts: not what its home or its work does not need."""

import gc
import os
import subprocess
import sys

import pytest

from ai_coordination_engine.domain.runtimes import KINDS
from ai_coordination_engine.entrypoints.cold_start import without_collections

AWS_CLIENTS = {"boto3", "botocore.client", "botocore.session", "pynamodb.connection", "urllib3"}
API = {"graphene", "graphql", "aiodataloader", "ai_coordination_engine.api"}
SERVER = {"cyclopts", "rich", "starlette", "uvicorn"}
SERVED = "ai_coordination_engine.served"
SQLITE = {"sqlite3", "ai_coordination_engine.database_file"}
OF_AGENTS = {  # what runs agents: of the extra, and what the runtimes of the kinds load
    "anthropic",
    "fastmcp",
    "genai_prices",
    "google.genai",
    "httpx2",
    "mcp",
    "openai",
    "opentelemetry.sdk",
    "pydantic_ai",
}
OF_AGENTS |= {
    f"ai_coordination_engine.adapters.runtimes.{each.module or kind}"
    for kind, each in KINDS.items()
    if kind not in ("function", "agent")  # whose allow-lists are checked at a start
}
OTHERS = {
    *OF_AGENTS,
    "aws_lambda_powertools.utilities.batch",
    "httpx",
    "jsonschema",
    "markdown_it",
    "pydantic_settings",
    "pynamodb.models",
    "yaml",
}
MOST_MODULES = {"the API on Lambda": 305, "the worker on Lambda": 250}
"""Modules of our own; each costs a cold start about a thousandth."""
PROGRAMS = {
    "ace serve": (
        "from ai_coordination_engine.entrypoints.cli import serve_command",
        AWS_CLIENTS | OTHERS,
    ),
    "a worker process": (
        "from ai_coordination_engine.entrypoints.local import worker_process",
        AWS_CLIENTS | API | SERVER | OTHERS,
    ),
    "the API on Lambda": (
        "from ai_coordination_engine.entrypoints.aws.graphql_api import handler",
        {"boto3", SERVED} | SERVER | SQLITE | OTHERS,
    ),
    "the worker on Lambda": (
        "from ai_coordination_engine.entrypoints.aws.worker import handler",
        {"boto3", SERVED} | API | SERVER | SQLITE | OTHERS,
    ),
}


EAGER = """
import dataclasses, sys
eager = [name for name, each in sys.modules.items()
         if name.startswith("ai_") and getattr(each, "dataclass", 0) is dataclasses.dataclass]
sys.stdout.write(' '.join(sys.modules) + ';' + ' '.join(eager))
"""


@pytest.mark.parametrize(
    ("name", "program", "foreign"), [(name, *each) for name, each in PROGRAMS.items()], ids=PROGRAMS
)
def test_start_imports_only_what_it_needs(name: str, program: str, foreign: set[str]) -> None:
    code = f"{program}\n{EAGER}"
    environment = {**os.environ, "ACE_AUTH": "jwt", "AWS_DEFAULT_REGION": "us-east-1"}
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    modules, _, eager = ran.stdout.partition(";")
    loaded = set(modules.split())
    assert loaded & foreign == set()
    own = [each for each in loaded if each.startswith("ai_coordination_engine")]
    assert len(own) <= MOST_MODULES.get(name, len(own))
    assert eager.split() == [], "their data classes compile their methods: see data_classes"
    assert {"ai_coordination_engine.engine.app", "pynamodb.attributes"} <= loaded


def test_collections_are_off_during_a_start_and_on_afterwards() -> None:
    with without_collections():
        with without_collections():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    gc.unfreeze()


def test_failed_start_enables_collections_again() -> None:
    with pytest.raises(ImportError), without_collections():
        raise ImportError
    assert gc.isenabled()
