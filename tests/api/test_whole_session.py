"""A session from the first mutation to the last output, through GraphQL, queue and worker."""

from benchmarks.harness.api import Api, Calls, Worker

COORDINATION = """mutation($agents: [JSONCamelCase]) {
  insertUpdateCoordination(coordinationName: "brief", agents: $agents, updatedBy: "me") {
    coordination { coordinationUuid agents } } }"""
TASK = """mutation($c: String!, $actions: JSONCamelCase, $subtasks: [JSONCamelCase]) {
  insertUpdateTask(coordinationUuid: $c, taskName: "t", initialTaskQuery: "begin",
      agentActions: $actions,
    subtaskQueries: $subtasks, updatedBy: "me") { task { taskUuid agentActions subtaskQueries }
        } }"""
START = """mutation($c: String!, $t: String!) {
  executeProcedureTaskSession(coordinationUuid: $c, taskUuid: $t) {
  procedureTaskSession { sessionUuid session { status } } } }"""
SESSION = """query($c: String!, $s: String!) { session(coordinationUuid: $c, sessionUuid: $s) {
  status logs
  coordination { coordinationName } task { taskName }
  sessionAgents { agentUuid state inDegree agentInput agentOutput }
  sessionRuns { agentUuid asyncTask } } }"""


def test_a_diamond_runs_in_the_order_of_its_dependencies(
    api: Api, worker: Worker, calls: Calls
) -> None:
    agents = [
        {"agentUuid": uuid, "agentName": uuid.upper(), "x_Own": {"API_KEY": 1.5}}
        for uuid in "abcde"
    ]
    made = api.data(COORDINATION, agents=agents)["insertUpdateCoordination"]["coordination"]
    assert made["agents"] == agents
    actions = {
        "b": {"predecessors": ["a"]},
        "c": {"predecessors": ["a"]},
        "d": {"predecessors": ["b", "c"]},
        "e": {"predecessors": ["d"]},
    }
    subtasks = [{"agentUuid": uuid, "subtaskQuery": uuid} for uuid in "abcde"]
    uuid = made["coordinationUuid"]
    task = api.data(TASK, c=uuid, actions=actions, subtasks=subtasks)["insertUpdateTask"]["task"]
    assert task == {
        "taskUuid": task["taskUuid"],
        "agentActions": actions,
        "subtaskQueries": subtasks,
    }
    calls.taken()
    started = api.data(START, c=uuid, t=task["taskUuid"])["executeProcedureTaskSession"][
        "procedureTaskSession"
    ]
    assert started["session"]["status"] == "dispatched"
    assert calls.taken() == {
        "GetItem": 3,
        "PutItem": 2,
        "BatchWriteItem": 1,
        "SendMessageBatch": 1,
        "BatchGetItem": 1,  # the nested session that the client asked for
    }
    # the second branch runs beside the first one; on SQLite it needs a message
    assert worker.drain() == (2 if api.app.records.parallel.has_transactions else 1)
    calls.taken()
    session = api.data(SESSION, c=uuid, s=started["sessionUuid"])["session"]
    assert calls.taken() == {"GetItem": 1, "BatchGetItem": 1, "Query": 2}
    assert (session["status"], session["logs"]) == ("completed", None)
    assert [agent["state"] for agent in session["sessionAgents"]] == ["completed"] * 5
    assert [agent["inDegree"] for agent in session["sessionAgents"]] == [0] * 5
    outputs = {agent["agentUuid"]: agent["agentOutput"] for agent in session["sessionAgents"]}
    assert outputs["a"] == "a"
    assert outputs["b"] == "Output of A:\na\n\nb"
    assert outputs["d"] == f"Output of B:\n{outputs['b']}\n\nOutput of C:\n{outputs['c']}\n\nd"
    assert sorted(run["agentUuid"] for run in session["sessionRuns"]) == list("abcde")
    assert {run["asyncTask"]["status"] for run in session["sessionRuns"]} == {"completed"}
    assert all(
        run["asyncTask"]["startedAt"] < run["asyncTask"]["endedAt"]
        for run in session["sessionRuns"]
    )


def test_a_failed_agent_fails_its_session_with_a_readable_note(api: Api, worker: Worker) -> None:
    agents = [
        {"agentUuid": "a", "runtime": {"kind": "function", "name": "nobody"}},
        {"agentUuid": "b"},
    ]
    uuid = api.data(COORDINATION, agents=agents)["insertUpdateCoordination"]["coordination"][
        "coordinationUuid"
    ]
    task = api.data(TASK, c=uuid, actions={"b": {"predecessors": ["a"]}})["insertUpdateTask"][
        "task"
    ]["taskUuid"]
    started = api.data(START, c=uuid, t=task)["executeProcedureTaskSession"]["procedureTaskSession"]
    worker.drain()
    session = api.data(SESSION, c=uuid, s=started["sessionUuid"])["session"]
    assert session["status"] == "failed"
    assert session["logs"].startswith("Agent a failed: ")
    assert [agent["state"] for agent in session["sessionAgents"]] == ["failed", "skipped"]
    assert [run["asyncTask"]["status"] for run in session["sessionRuns"]] == ["failed"]
