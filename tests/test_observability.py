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
