"""The Python client gql, in its own environment, against a real local server."""

import json
import os
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PYTHON = HERE.parents[1] / ".venv-gql" / "bin" / "python"

pytestmark = pytest.mark.skipif(
    not PYTHON.exists() and not os.environ.get("CI"),
    reason="needs gql: make .venv-gql/.stamp (always run in CI)",
)


def test_gql_reads_the_schema_checks_documents_by_it_and_runs_them(url: str, session: str) -> None:
    command = [str(PYTHON), str(HERE / "gql_script.py"), url, "c", session]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    agents = [(each["agentName"], each["state"]) for each in found["session"]["sessionAgents"]]
    assert agents == [("Ada", "completed"), ("Bob", "wait_for_user_input")]
    assert found["session"]["sessionAgents"][1]["agentAction"]["userInTheLoop"] == "ann"
    assert found["node"] == {
        "id": found["session"]["id"],
        "sessionUuid": session,
        "status": "in_progress",
    }
    assert found["misspelt"].startswith("Cannot query field 'agentNam' on type 'SessionAgentType'.")
    assert (found["cancelled"], found["refused"]) == ("cancelled", "CONFLICT")
    assert found["watched"][-1] == "cancelled"  # until the server ends the subscription
    assert (found["types"] > 50, found["ping"]) == (True, "Hello at ")
