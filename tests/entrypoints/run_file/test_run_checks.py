from ai_coordination_engine.entrypoints.run_file.run_checks import agent_warnings, dry_run
from ai_coordination_engine.entrypoints.run_file.run_file import parse_run_file
from ai_coordination_engine.settings import Settings
from tests.kit.run_files import GOOD, RULES

ODD = """\
coordination:
  agents:
    - {name: lister, uuid: l-1}
    - {name: visitor}
    - {name: summer}
    - {name: nobody}
task:
  placeholders: strict
  subtasks:
    - {agent: lister, query: "Cities of {land}"}
    - agent: visitor
      query: "Visit {item} with {whom}, {lister}"
  actions:
    visitor: {after: lister, map: lister}
    summer: {after: visitor, when: {visitor: cities}}
query: {country: Peru}
"""


def test_a_dry_run_of_a_file_is_that_of_its_task() -> None:
    found = dry_run(Settings(), parse_run_file(GOOD))
    assert found.layers == [["researcher", "researcher"], ["w-1"]]
    assert found.agent_calls == {"researcher": 2, "w-1": 1}
    assert found.warnings == []


def test_every_warning_has_the_line_and_the_column_of_what_it_is_about() -> None:
    run = parse_run_file(ODD, "c.yaml")
    found = dry_run(Settings(), run)
    assert [line for each in found.warnings for line in run.located(each)] == [
        (
            "c.yaml:10:30: query: {land} of agent lister has no value: the query has no such value,"
            " and no predecessor is called so."
        ),
        "c.yaml:8:17: placeholders are strict: a start with this query is refused.",
        'c.yaml:5:7: the agent "summer" has no subtask, so it gets the query itself.',
        "c.yaml:15:46: when.visitor: cities can never hold. summer never runs.",
        (
            'c.yaml:6:7: the agent "nobody" does not run: it has no subtask and no action, and'
            " nobody waits for it."
        ),
    ]


def test_a_run_tells_of_agents_what_the_api_does_not() -> None:
    assert list(agent_warnings(parse_run_file(ODD, "c.yaml"))) == [
        'c.yaml:5:7: warning: the agent "summer" has no subtask, so it gets the query itself.',
        "c.yaml:15:46: warning: when.visitor: cities can never hold. summer never runs.",
        (
            'c.yaml:6:7: warning: the agent "nobody" does not run: it has no subtask and no action,'
            " and nobody waits for it."
        ),
    ]
    assert list(agent_warnings(parse_run_file(RULES))) == []
