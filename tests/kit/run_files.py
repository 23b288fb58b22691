"""A valid run file and its variations with problems."""

import pytest

from ai_coordination_engine.entrypoints.run_file.run_file import (
    RunFileError,
    parse_run_file,
)

GOOD = """\
coordination:
  name: Brief
  description: Two agents
  agents:
    - {name: researcher, description: You search., runtime: {kind: function, name: echo}}
    - {name: writer, uuid: w-1}
task:
  name: Write
  subtasks:
    - {agent: researcher, query: "Find {topic}"}
    - {agent: researcher, query: Find more}
    - {agent: w-1, query: Write it}
  actions:
    writer: {after: [researcher], ask: ada, primary_path: false, function: {module: m, name: f}}
query: {topic: bees, count: 2}
"""
RULES = """\
coordination:
  agents:
    - {name: lister, retry: {attempts: 5, retryOn: [timeout]}}
    - {name: worker}
    - {name: spare, uuid: s-1}
    - {name: judge}
task:
  on_failure: continue
  actions:
    worker: {after: lister, map: lister, retry: {attempts: 2, backoff_seconds: 0.5}, fallback: spare}
    s-1: {after: [lister], when: "ok == `true`"}
    judge:
      after: [worker, spare, lister]
      join: quorum
      quorum: 2
      when: {spare: "length(@) > `3`"}
      ask: ada
      answer_schema: {type: object, properties: {fileName: {const: null}}}
      answer_within_seconds: 60
      default_answer: "{}"
"""  # noqa: E501


def problems(text: str) -> list[str]:
    with pytest.raises(RunFileError) as caught:
        parse_run_file(text, "c.yaml")
    return caught.value.message.split("\n")


def replaced(old: str, new: str) -> list[str]:
    assert old in GOOD
    return problems(GOOD.replace(old, new))
