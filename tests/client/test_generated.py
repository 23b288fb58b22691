"""The generated modules of the client are those of the present schema."""

import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any, get_type_hints

from graphql import parse, validate
from pydantic.alias_generators import to_snake

from ai_coordination_engine import client
from ai_coordination_engine.api.schema import SCHEMA
from ai_coordination_engine.client import Operation, operations, views
from ai_coordination_engine.client.model import Page
from ai_coordination_engine.client.records import RunTaskSchedule, Session

ROOT = Path(__file__).parents[2]
HEAVY = {
    *("aiodataloader", "aws_lambda_powertools", "boto3", "botocore", "graphene", "graphql"),
    *("jsonschema", "opentelemetry", "pynamodb", "starlette", "uvicorn", "websockets"),
}


def generator() -> Any:
    loader = SourceFileLoader("client_generator", str(ROOT / ".ci" / "client"))
    module = module_from_spec(spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def test_the_committed_modules_are_what_make_client_writes() -> None:
    folder = Path(client.__file__).parent
    made = generator().modules()
    assert sorted(made) == [
        *("operations.py", "records.py"),
        *("sync_calls.py", "sync_client.py", "sync_streams.py"),
    ]
    assert {name: (folder / name).read_text(encoding="utf-8") for name in made} == made


def test_an_import_loads_nothing_that_only_the_server_needs() -> None:
    code = "import sys, ai_coordination_engine.client; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "httpx" in loaded
    assert loaded & HEAVY == set()


def test_operations_have_typed_results() -> None:
    def result(function: Any) -> Any:
        return get_type_hints(function)["return"]

    assert result(operations.session) == Operation[Session | None]
    assert result(operations.session_list) == Operation[Page[Session]]
    assert result(operations.cancel_session) == Operation[Session]
    assert result(operations.delete_task) == Operation[bool]
    assert result(operations.run_task_schedule) == Operation[RunTaskSchedule]
    assert result(operations.subscribe_session) == Operation[Session | None]
    assert result(operations.ping) == Operation[str | None]


def test_each_operation_of_the_schema_has_a_function_with_all_arguments() -> None:
    schema = SCHEMA.graphql_schema
    roots = {
        "": schema.query_type,
        "_": schema.mutation_type,
        "subscribe_": schema.subscription_type,
    }
    for prefix, root in roots.items():
        assert root is not None
        for name, field in root.fields.items():
            if name == "node":
                continue
            function = getattr(operations, prefix.removeprefix("_") + to_snake(name))
            hints = get_type_hints(function)
            assert len(hints) == len(field.args) + 1, name


def test_a_document_is_valid_and_selects_what_its_class_has() -> None:
    documents = {
        name: each
        for name, each in vars(operations).items()
        if isinstance(each, str) and each.startswith("\n")
    }
    assert len(documents) > 40
    for kind in ("query", "subscription"):
        documents[kind] = views.session_view("c", "s", kind).document
    documents["inbox"] = views.inbox(None, None).document
    for name, document in documents.items():
        assert validate(SCHEMA.graphql_schema, parse(document)) == [], name
