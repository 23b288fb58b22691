"""Run agents of other systems by the Agent2Agent protocol (A2A) 1.0."""

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ai_coordination_engine.adapters.runtimes import a2a_answers as answers
from ai_coordination_engine.adapters.runtimes.a2a_card import (
    Interface,
    card_url,
    check_scheme,
    interface_of,
)
from ai_coordination_engine.adapters.runtimes.a2a_service import A2AService, Refused
from ai_coordination_engine.adapters.runtimes.answer import invalid_output, pending
from ai_coordination_engine.adapters.runtimes.attempts import attempt_headers, identity
from ai_coordination_engine.adapters.runtimes.keys import read_key
from ai_coordination_engine.adapters.runtimes.web import Web, redacting
from ai_coordination_engine.domain import a2a, json_text
from ai_coordination_engine.domain.a2a import Reason, TaskState
from ai_coordination_engine.domain.texts import did_you_mean
from ai_coordination_engine.domain.webhooks import JobOwner
from ai_coordination_engine.ports import Secrets
from ai_coordination_engine.runtime_ports import (
    JOB_OF_QUESTION,
    AgentFailure,
    AgentRequest,
    AgentResult,
    Question,
)
from ai_coordination_engine.runtime_settings import A2AAgent
from ai_coordination_engine.settings import Settings

CARD_SECONDS = 300.0  # for which a card is kept
LOOK_SECONDS = 2.0  # until the first look at a task whose agent sends no notices
LOOK_SECONDS_WITH_NOTICES = 15.0
NOTICES = "/async-tasks/a2a/"
"""Below this path of the server, agents report that a task has changed."""
_PUSH = "taskPushNotificationConfig"
_NO_NOTICES = (Reason.PUSH_NOTIFICATION_NOT_SUPPORTED, Reason.INVALID_PARAMS)
"""For which an agent refuses a place of notices; it may keep no secrets, or know no receiver."""
_OVER = (Reason.UNSUPPORTED_OPERATION, Reason.TASK_NOT_FOUND, Reason.INVALID_PARAMS)
_OUTPUT_MODES = ("text/plain", "application/json")
_KEY = re.compile(r"[\x21-\x7e]+( [\x21-\x7e]+)*")


def load(settings: Settings, secrets: Secrets) -> "A2ARuntime":
    """Create the runtime from the settings."""
    return A2ARuntime(settings.a2a_agents, secrets, notices=_notices(settings, secrets))


def _notices(
    settings: Settings, secrets: Secrets
) -> Callable[[AgentRequest], dict[str, Any]] | None:
    """What makes the push configuration of an attempt; None if this server cannot be reached."""
    url, key, secret = settings.base_url, settings.webhook_key, settings.webhook_key_secret
    if not url or not (key or secret):
        return None
    master = partial(secrets.value, secret) if secret else key.get_secret_value  # type: ignore[union-attr]

    def configuration(request: AgentRequest) -> dict[str, Any]:
        owner = JobOwner(request.tenant, request.session_uuid, request.session_agent_uuid)
        token = owner.token(read_key(master, "the key of the webhook"))
        return {
            "url": url + NOTICES + owner.handle,
            "token": token,
            "authentication": {"scheme": "Bearer", "credentials": token},
        }

    return configuration


class A2ARuntime:
    """Sends the input to the agent `runtime.agent` of the settings, and follows its task.

    The card is read once in a while. The message's id is the run's uuid; after attempts that were
    lost it is that of the first of them, so that an agent that recognizes it starts nothing twice.
    The context is the thread. A task that does not end at once is a long job: the agent's notice
    or a look ends it.
    """

    def __init__(
        self,
        agents: Mapping[str, A2AAgent],
        secrets: Secrets,
        *,
        notices: Callable[[AgentRequest], dict[str, Any]] | None = None,
        web: Web | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._agents = agents
        self._secrets = secrets
        self._notices = notices
        self._web = web or Web()
        self._now = now
        self._lock = threading.Lock()
        self._interfaces: dict[str, tuple[float, Interface]] = {}

    def run(self, request: AgentRequest) -> AgentResult:
        """Send the attempt's message; the result, or the task as a long job. Raises
        `AgentFailure`.
        """
        name, agent = self.check(request.runtime)
        key = self._key(name, agent)
        with redacting([key]):
            service = self._service(name, agent, key, request)
            try:
                return self._sent(request, service)
            except Refused as refused:
                self._forget(name)
                raise refused.failure from None

    def _sent(self, request: AgentRequest, service: A2AService) -> AgentResult:
        """The result of the message, or of the answer if its task has asked."""
        if (task_id := _asked_by(request)) is None:
            return self._answered(_message(request), request, service)
        try:
            return self._answered(_answer(request, task_id), request, service)
        except Refused as refused:
            if refused.reason not in _OVER:
                raise
        return self._gone_on(request, task_id, service)

    def _gone_on(self, request: AgentRequest, task_id: str, service: A2AService) -> AgentResult:
        """The result of a task that takes no answer: an attempt that was lost has given it, or the
        task is over. A task that has failed is begun anew.
        """
        try:
            task = service.task(task_id)
        except Refused as refused:
            if refused.reason != Reason.TASK_NOT_FOUND:
                raise
            task = {}
        if not task or answers.failure_of(task, service.name) is not None:
            return self._answered(_message(request), request, service)
        return self._result({"task": task}, service)

    def _answered(
        self, asked: dict[str, Any], request: AgentRequest, service: A2AService
    ) -> AgentResult:
        """The result of SendMessage with these parameters, and the place of the notices if the
        agent sends any. One that may not send any there is looked at.
        """
        if service.interface.pushes and self._notices is not None:
            configured = {**asked["configuration"], _PUSH: self._notices(request)}
            try:
                return self._result(service.send({**asked, "configuration": configured}), service)
            except Refused as refused:
                if refused.reason not in _NO_NOTICES:
                    raise
            service = replace(service, interface=replace(service.interface, pushes=False))
        return self._result(service.send(asked), service)

    def look(
        self, request: AgentRequest, async_task_uuid: str
    ) -> AgentResult | AgentFailure | None:
        """As `runtime_ports.FollowsJobs.look`."""
        name, agent = self.check(request.runtime)
        key = self._key(name, agent)
        with redacting([key]):
            service = self._service(name, agent, key, request)
            try:
                task = service.task(async_task_uuid)
            except Refused as refused:
                if refused.reason == Reason.TASK_NOT_FOUND:
                    return _forgotten(service.name)
                refused.failure.retryable = True  # the task itself has not failed
                raise refused.failure from None
            return _outcome(task, service.name)

    def cancel(self, request: AgentRequest, async_task_uuid: str) -> None:
        """As `runtime_ports.FollowsJobs.cancel`."""
        name, agent = self.check(request.runtime)
        key = self._key(name, agent)
        with redacting([key]):
            try:
                self._service(name, agent, key, request).cancel(async_task_uuid)
            except Refused as refused:
                if refused.reason not in (Reason.TASK_NOT_CANCELABLE, Reason.TASK_NOT_FOUND):
                    raise refused.failure from None

    def check(self, runtime: Mapping[str, object]) -> tuple[str, A2AAgent]:
        """Return the name and the settings of the agent; raises `AgentFailure` if there are
        none, or if the skill is not a text.
        """
        name = runtime.get("agent")
        agent = self._agents.get(name) if isinstance(name, str) else None
        if not isinstance(name, str) or agent is None:
            known = ", ".join(sorted(self._agents)) or "none"
            raise AgentFailure(
                f"`runtime.agent` {str(name)[:100]!r} is not among the agents of the settings"
                f" ({known[:500]}){did_you_mean(name, self._agents)}",
                error_class="not_allowed",
            )
        if not isinstance(runtime.get("skill", ""), str):
            raise AgentFailure("`runtime.skill` must be a text", error_class="invalid_request")
        check_scheme(agent.url, f"the agent {name!r}")
        return name, agent

    def _result(self, sent: Mapping[str, Any], service: A2AService) -> AgentResult:
        message, task = sent.get("message"), sent.get("task")
        if isinstance(message, dict):
            return answers.result_of_message(message, service.name)
        if not isinstance(task, dict):
            raise invalid_output(f"{service.name} answered without a task or a message")
        found = _outcome(task, service.name)
        if isinstance(found, AgentFailure):
            raise found
        return found if found is not None else self._pending(task, service)

    def _pending(self, task: Mapping[str, Any], service: A2AService) -> AgentResult:
        told = service.interface.pushes and self._notices is not None
        look_seconds = LOOK_SECONDS_WITH_NOTICES if told else LOOK_SECONDS
        try:
            job = pending(task.get("id"))
        except ValueError:
            raise invalid_output(
                f"{service.name} answered with a task without a valid id"
            ) from None
        return AgentResult("", async_task_uuid=job.async_task_uuid, look_seconds=look_seconds)

    def _service(self, name: str, agent: A2AAgent, key: str, request: AgentRequest) -> A2AService:
        ends = self._now() + request.timeout_seconds
        own = attempt_headers(request) if request.run_uuid else {}
        headers = {a2a.VERSION_HEADER: a2a.VERSION, **own, **agent.credentials(key)}
        shown, left = f"the agent {name!r}", lambda: ends - self._now()
        interface = self._interface(name, agent, headers, shown, left)
        return A2AService(interface, shown, self._web, headers, left)

    def _interface(
        self,
        name: str,
        agent: A2AAgent,
        headers: Mapping[str, str],
        shown: str,
        left: Callable[[], float],
    ) -> Interface:
        with self._lock:
            until, interface = self._interfaces.get(name, (0.0, None))
        if interface is not None and self._now() < until:
            return interface
        url = card_url(agent.url)
        reply = self._web.get(url, headers, seconds=left(), service=f"the card of {shown}")
        try:
            card = json_text.loads(reply.text)
        except json_text.NotJSON:
            raise invalid_output(f"the card of {shown} is not valid JSON") from None
        interface = interface_of(card, url, agent.hosts, shown)
        with self._lock:
            self._interfaces[name] = self._now() + CARD_SECONDS, interface
        return interface

    def _forget(self, name: str) -> None:
        """Read the card again before the next call: the agent may be called otherwise now."""
        with self._lock:
            self._interfaces.pop(name, None)

    def _key(self, name: str, agent: A2AAgent) -> str:
        if agent.api_key_secret:
            read = partial(self._secrets.value, agent.api_key_secret)
            key = read_key(read, f"the key of the agent {name!r}")
        else:
            key = agent.api_key.get_secret_value() if agent.api_key else ""
        if key and not _KEY.fullmatch(key):
            raise AgentFailure(
                f"the key of the agent {name!r} has characters that a header cannot hold",
                error_class="not_allowed",
            )
        return key


def _outcome(task: Mapping[str, Any], service: str) -> AgentResult | AgentFailure | None:
    """The result of a task, or its failure; None while it goes on."""
    if failure := answers.failure_of(task, service):
        return failure
    match answers.state_of(task):
        case TaskState.COMPLETED:
            return answers.result_of(task, service)
        case TaskState.INPUT_REQUIRED:
            return AgentResult("", question=_question(task, service))
    return None


def _question(task: Mapping[str, Any], service: str) -> Question:
    """What the task asks a person."""
    if not isinstance(task.get("id"), str):
        raise invalid_output(f"{service} asks for a task without an id")
    said = answers.said_by(task) or f"{service} asks for an answer."
    return Question(said, state={JOB_OF_QUESTION: task["id"]})


def _asked_by(request: AgentRequest) -> str | None:
    """The id of the task that has asked what the request answers; None if none has."""
    state = request.resumed.state if request.resumed is not None else None
    task_id = state.get(JOB_OF_QUESTION) if isinstance(state, dict) else None
    return task_id if isinstance(task_id, str) else None


def _forgotten(service: str) -> AgentFailure:
    return AgentFailure(f"{service} no longer knows the task", retryable=True, error_class="lost")


def _answer(request: AgentRequest, task_id: str) -> dict[str, Any]:
    """The parameters of the SendMessage that answers a question."""
    assert request.resumed is not None
    asked = _message(request)
    message = {**asked["message"], "taskId": task_id, "parts": [{"text": request.resumed.answer}]}
    return {**asked, "message": message}


def _message(request: AgentRequest) -> dict[str, Any]:
    """The parameters of SendMessage."""
    first, *_ = (*request.lost_runs, request.run_uuid)
    schema, skill = request.output_schema, request.runtime.get("skill")
    return {
        "message": {
            "messageId": first,
            "contextId": request.thread_uuid,
            "role": a2a.USER,
            "parts": [*_texts(request), *map(_file, request.input_files)],
            **({"metadata": {"skill": skill}} if skill else {}),
        },
        "configuration": {
            "returnImmediately": True,
            "acceptedOutputModes": list(_OUTPUT_MODES),
            "historyLength": 1,
        },
        "metadata": {
            **identity(request),
            "attempt": request.attempt,
            "sessionUuid": request.session_uuid,
            **({"outputSchema": schema} if schema is not None else {}),
        },
    }


def _texts(request: AgentRequest) -> Sequence[dict[str, Any]]:
    """The input; the instructions only where they are meant for this agent."""
    is_meant = "instructions" in request.runtime or request.output_schema is not None
    texts = [request.instructions if is_meant else "", request.input]
    return [{"text": each} for each in texts if each] or [{"text": ""}]


def _file(value: object) -> dict[str, Any]:
    """An input file as a part: with its URL if it has one, else as data."""
    if isinstance(value, dict) and isinstance(value.get("url"), str):
        names = {"filename": ("filename", "file_name", "name"), "mediaType": ("media_type",)}
        found = {
            name: next((value[key] for key in keys if isinstance(value.get(key), str)), None)
            for name, keys in names.items()
        }
        return {"url": value["url"], **{name: each for name, each in found.items() if each}}
    return {"data": value}
