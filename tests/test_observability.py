import json
import subprocess
import sys

LOG = """
from pydantic import SecretStr
from ai_coordination_engine.observability import configure, logger
configure("warning")
logger.info("not shown")
logger.warning("shown", extra={"key": SecretStr("s3cret")})
"""


def test_the_log_is_json_on_stderr_from_its_level_on_and_masks_secrets() -> None:
    process = subprocess.run(
        [sys.executable, "-c", LOG], capture_output=True, check=True, text=True
    )
    (line,) = process.stderr.splitlines()
    entry = json.loads(line)
    assert process.stdout == ""
    assert (entry["level"], entry["message"], entry["service"]) == (
        "WARNING",
        "shown",
        "ai-coordination-engine",
    )
    assert "s3cret" not in line


TRACE = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from ai_coordination_engine.observability import attempt_span

with attempt_span("Writer", run_uuid="r-0"):
    pass  # no SDK yet: a layer brings one
exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
with attempt_span("Writer", run_uuid="r-1"):
    pass
for span in exporter.get_finished_spans():
    print(span.name, dict(span.attributes))
"""


def test_an_attempt_is_a_span_once_there_is_an_sdk() -> None:
    process = subprocess.run(
        [sys.executable, "-c", TRACE], capture_output=True, check=True, text=True
    )
    assert (
        process.stdout == "invoke_agent Writer {'gen_ai.operation.name': 'invoke_agent', "
        "'gen_ai.agent.name': 'Writer', 'ace.run_uuid': 'r-1'}\n"
    )
