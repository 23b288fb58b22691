"""`ace check`: print what a run of a file would do."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from ai_coordination_engine.assembly import allow_list, check_budgets, check_default_runtime
from ai_coordination_engine.domain.dry_run import DryRun
from ai_coordination_engine.entrypoints.cli.output import on_one_line, write, write_json
from ai_coordination_engine.entrypoints.run_file.run_checks import (
    WARNING,
    dry_run,
    not_allowed,
    without_effect,
)
from ai_coordination_engine.entrypoints.run_file.run_file import RunFile
from ai_coordination_engine.settings import Settings


def check(settings: Settings, run: RunFile, *, with_json: bool) -> None:
    """Print the dry run of a file and its warnings with their places.

    Settings that cannot work are warned of, too. Raises `BadUserInput` if the task cannot be
    started, and for settings with which nothing starts.
    """
    check_default_runtime(settings)
    check_budgets(settings)
    found, allowed = dry_run(settings, run), allow_list(settings)
    warned = [*found.warnings, *without_effect(run)]
    warnings = [line for each in warned for line in run.located(each, WARNING)]
    warnings += not_allowed(allowed, run, WARNING)
    warnings += [f"{WARNING}{each}" for each in allowed.problems()]
    if with_json:
        write_json(json.dumps(_wire(found, warnings), ensure_ascii=False, indent=2))
    else:
        names = {each["agent_uuid"]: _name(each) for each in run.agents}
        write("\n".join([*_lines(found, names), *map(on_one_line, warnings)]))


def _name(agent: Mapping[str, object]) -> str:
    return on_one_line(str(agent.get("agent_name") or agent["agent_uuid"]))


def _wire(found: DryRun, warnings: Sequence[str]) -> dict[str, object]:
    """Return the dry run in the form of `planSession`."""
    return {
        "layers": found.layers,
        "width": found.width,
        "criticalPath": found.critical_path,
        "agentCalls": found.agent_calls,
        "modelCalls": found.model_calls,
        "warnings": warnings,
        "tokens": None,
        "costMicroUsd": None,
    }


def _lines(found: DryRun, names: Mapping[str, str]) -> Iterator[str]:
    for number, layer in enumerate(found.layers, 1):
        counts = Counter(names[each] for each in layer)
        yield f"layer {number}: {', '.join(_times(*each) for each in counts.items())}"
    yield f"width: {found.width}"
    yield f"critical path: {' -> '.join(names[each] for each in found.critical_path)}"
    calls = {names[uuid]: count for uuid, count in found.agent_calls.items()}
    yield f"calls: {_calls(calls)}"
    if found.model_calls:
        yield f"models: {_calls(found.model_calls)}"


def _times(name: str, count: int) -> str:
    return name if count == 1 else f"{name} x {count}"


def _calls(counts: Mapping[str, int | None]) -> str:
    return ", ".join(
        f"{on_one_line(name)} {'once an element' if count is None else count}"
        for name, count in counts.items()
    )
