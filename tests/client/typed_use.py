"""What a type checker accepts of code that uses the client; `test_types.py` checks it."""

from typing import assert_type

from ai_coordination_engine.client import AsyncClient, Client, Question, SessionView, operations
from ai_coordination_engine.client.model import Page
from ai_coordination_engine.client.records import AgentOutput, ProcedureTaskSession, Session


def use(client: Client) -> list[str]:
    started = client.start("c", "t", '{"topic": "heat pumps"}')
    assert_type(started, ProcedureTaskSession)
    session = client.wait(started.coordination_uuid, started.session_uuid, timeout=60)
    assert_type(session, SessionView)
    if session.status == "done":  # type: ignore[comparison-overlap] # no status has this name
        return []
    if session.status == "failed":
        assert_type(client.retry(session), Session)
    for question in client.inbox():
        assert_type(question, Question)
        client.answer(question, question.agent_action["userInTheLoop"])
    asked = client.ask("c", "How are you?")
    client.cancel(started)
    client.rerun(asked)
    assert_type(client.send(operations.session_list(statuses=["failed"])), Page[Session])
    assert_type(client.send(operations.delete_task(coordination_uuid="c", task_uuid="t")), bool)
    client.send(operations.delete_task(coordination_uuid="c"))  # type: ignore[call-arg]
    return [agent.state for agent in session.session_agents]


async def use_with_async(client: AsyncClient) -> None:
    assert_type(await client.send(operations.ping()), str | None)
    async for view in client.watch("c", "s"):
        assert_type(view, SessionView)
        async for part in client.output(view.session_agents[0]):
            assert_type(part, AgentOutput)
