"""The route `/run-file`: check the text of a run file; the console's editor calls it.

The answer has `problems` (`kind`, `line`, `column`, `message`); if none of them is an error, also
the `run` as variables of the API and the `plan`, what a run would do. Nothing is written.
"""

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from pydantic.alias_generators import to_camel

from ai_coordination_engine.api.media_types import JSON
from ai_coordination_engine.api.transport import HttpError, decoded, response
from ai_coordination_engine.domain.dry_run import DryRun
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.http_messages import Request, Response

if TYPE_CHECKING:
    from ai_coordination_engine.entrypoints.run_file.run_file import RunFile

MAX_PROBLEMS = 200
_ASKED = 'send a JSON object with the run file: {"text": "coordination: …"}'


def text_of(request: Request) -> str:
    """Return the text of a request; raises `HttpError` and `BadUserInput`."""
    if request.method != "POST":
        raise HttpError(405, BadUserInput("use POST"), allow="POST")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise HttpError(415, BadUserInput(f"the content type must be {JSON}"))
    asked = decoded(request.body, "the request body", request.headers["content-type"])
    text = asked.get("text") if isinstance(asked, dict) else None
    if not isinstance(text, str):
        raise BadUserInput(_ASKED)
    return text


def checked_text(app: App, text: str) -> Response:
    """Return what is wrong with the text of a run file, or what a run of it would do."""
    # Imported here because only an editor needs the parser: PyYAML takes 15 ms.
    from ai_coordination_engine.entrypoints.run_file.run_checks import checked  # noqa: PLC0415

    found = checked(app.settings, app.allow_list, text)
    kinds = {"error": found.problems, "warning": found.warnings}
    problems = [{"kind": kind, **each._asdict()} for kind, group in kinds.items() for each in group]
    run, plan = found.run, found.plan
    shown = {
        "problems": problems[:MAX_PROBLEMS],
        "run": run and _run(run),
        "plan": plan and _plan(plan),
    }
    return response(200, shown, JSON, {})


def _plan(plan: DryRun) -> dict[str, Any]:
    shown = {**asdict(plan), "width": plan.width}
    return {to_camel(name): value for name, value in shown.items()}


def _run(run: "RunFile") -> dict[str, Any]:
    """Return the run file as variables of the mutations that run it. A coordination without a
    budget in the file keeps the one that it has.
    """
    left_out = ("name", "places", *(() if run.coordination_budget else ("coordination_budget",)))
    return {
        to_camel(each.name): getattr(run, each.name)
        for each in fields(run)
        if each.name not in left_out
    }
