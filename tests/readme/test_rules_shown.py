"""The actions, policies and functions in the documentation are accepted and work as described."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from ai_coordination_engine import ActionRequest, ActionResult
from ai_coordination_engine.domain.graph import check_actions
from ai_coordination_engine.domain.rules import check_rules
from ai_coordination_engine.domain.shapes import parse_agent_actions, parse_agents
from ai_coordination_engine.engine.app import App
from tests.kit.fakes import Behaviour
from tests.kit.stage import stage_of
from tests.readme.documents import snippet


def says(text: str) -> Behaviour:
    return lambda request: text


def test_the_actions_and_the_policy_shown_are_accepted_and_run(app: App) -> None:
    actions = parse_agent_actions(json.loads(snippet('{"review"')))
    rules = json.loads(snippet('{"policy"'))
    actions |= parse_agent_actions({"draft": rules})
    agents = parse_agents([{"agentUuid": name} for name in (*actions, "outline", "cheaper-agent")])
    check_actions(agents, actions)
    check_rules(agents, actions)
    graph = {
        "draft": (),
        "outline": (),
        **{name: each.predecessors for name, each in actions.items() if name != "draft"},
    }
    outputs = {"draft": '{"score": 9}', "outline": '{"chapters": ["one", "two"]}'}
    stage = stage_of(app, behaviours={name: says(text) for name, text in outputs.items()})
    stored = {name: each.stored() for name, each in actions.items()}
    session = stage.start(stage.define(graph, actions=stored, agents={"cheaper-agent": {}}))
    stage.drain()
    states = dict.fromkeys(graph, "completed") | {"review": "skipped"}
    assert (stage.session(session).status, stage.states(session.session_uuid)) == (
        "completed",
        states,
    )
    assert stage.agent(session.session_uuid, "book").state == "completed"
    assert stage.runtime.ran().count("chapter") == 2


def test_the_action_function_shown_chooses_a_successor() -> None:
    names: dict[str, Any] = {}
    exec(snippet("# my_actions.py"), names)  # noqa: S102
    request = ActionRequest(output="urgent!", successors=["pager", "mail"])
    assert names["route"](request) == ActionResult(successors=["pager"])
    assert names["route"](replace(request, output="later")) == ActionResult(successors=["mail"])


def test_the_agent_function_shown_shouts_and_so_says_the_test_of_it_that_is_shown(
    tmp_path: Path,
) -> None:
    for name in ("my_agents.py", "test_my_agents.py"):
        (tmp_path / name).write_text(snippet(f"# {name}"))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout.splitlines()[-1][:8]) == (0, "1 passed"), ran.stdout
