"""Call a remote A2A agent by one of the bindings over HTTP: send, get and cancel."""

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from ai_coordination_engine.adapters.runtimes.a2a_card import Interface
from ai_coordination_engine.adapters.runtimes.answer import invalid_output
from ai_coordination_engine.adapters.runtimes.error_documents import error_in, read_error
from ai_coordination_engine.adapters.runtimes.web import Reply, Web
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain import a2a, json_text
from ai_coordination_engine.runtime_ports import AgentFailure

_EXPLAINED = (400, 404, 409, 501)  # statuses of HTTP+JSON whose body names the reason
_REASONS = {code: reason for reason, code in a2a.CODES.items()}
_PASSING: Mapping[str, str] = {
    a2a.Reason.INTERNAL_ERROR: "unavailable",
    a2a.Reason.INVALID_AGENT_RESPONSE: "invalid_output",
}
"""The classes of errors that may pass, by the reason."""
JSONObject = dict[str, Any]


class Refused(Exception):
    """The agent refused the request for a reason of the protocol; `failure` says it in words."""

    def __init__(self, reason: str, failure: AgentFailure) -> None:
        super().__init__(failure.message)
        self.reason = reason
        self.failure = failure


@dataclass(frozen=True)
class A2AService:
    """A remote agent behind one interface. `seconds` are left for a call when it begins.

    Each method raises `AgentFailure` if the agent cannot be reached or answers nonsense, and
    `Refused` for an error of the protocol.
    """

    interface: Interface
    name: str
    web: Web
    headers: Mapping[str, str]
    seconds: Callable[[], float]

    def send(self, request: Mapping[str, Any]) -> JSONObject:
        """SendMessage: the object with `task` or `message`."""
        return self._call("SendMessage", request, "POST", "/message:send")

    def task(self, task_id: str) -> JSONObject:
        """GetTask: the task with its latest message."""
        asked = {"id": task_id, "historyLength": 1}
        path = f"/tasks/{quote(task_id, safe='')}?historyLength=1"
        return self._call("GetTask", asked, "GET", path)

    def cancel(self, task_id: str) -> JSONObject:
        """CancelTask: the task."""
        path = f"/tasks/{quote(task_id, safe='')}:cancel"
        return self._call("CancelTask", {"id": task_id}, "POST", path)

    def _call(self, rpc: str, params: Mapping[str, Any], method: str, path: str) -> JSONObject:
        tenant = self.interface.tenant
        given = {**params, "tenant": tenant} if tenant else params
        if self.interface.binding == a2a.JSON_RPC:
            return self._by_json_rpc(rpc, given)
        prefix = f"/{quote(tenant, safe='')}" if tenant else ""
        return self._by_http(method, prefix + path, given)

    def _by_json_rpc(self, method: str, params: Mapping[str, Any]) -> JSONObject:
        body = {"jsonrpc": "2.0", "id": "1", "method": method, "params": params}
        url = self.interface.url
        seconds = self.seconds()
        reply = self.web.post(url, _bytes(body), self.headers, seconds=seconds, service=self.name)
        answer = self._object(reply)
        error = answer.get("error")
        if isinstance(error, dict):
            code = error.get("code")
            reason = _REASONS.get(code, "") if isinstance(code, int) else ""
            raise self._refused(reason, error_in(answer).message)
        result = answer.get("result")
        if not isinstance(result, dict):
            raise invalid_output(f"{self.name} answered {method} without a result")
        return result

    def _by_http(self, method: str, path: str, params: Mapping[str, Any]) -> JSONObject:
        url, seconds = self.interface.url + path, self.seconds()
        headers = {**self.headers, "Accept": f"{a2a.MEDIA_TYPE}, application/json"}
        if method == "GET":
            reply = self.web.get(url, headers, seconds=seconds, service=self.name, also=_EXPLAINED)
        else:
            headers["Content-Type"] = a2a.MEDIA_TYPE
            body = _bytes(params)
            reply = self.web.post(
                url, body, headers, seconds=seconds, service=self.name, also=_EXPLAINED
            )
        if reply.status in _EXPLAINED:
            message = read_error(reply.text, reply.status).message
            raise self._refused(_reason_in(reply.text), f"{reply.status}: {message}")
        return self._object(reply)

    def _object(self, reply: Reply) -> JSONObject:
        try:
            value = json_text.loads(reply.text)
        except json_text.NotJSON:
            value = None
        if not isinstance(value, dict):
            raise invalid_output(f"{self.name} answered with a body that is not a JSON object")
        return value

    def _refused(self, reason: str, message: str) -> Refused:
        error_class = _PASSING.get(reason)
        failure = AgentFailure(
            f"{self.name} answered {message or 'an error'}"[:500],
            retryable=error_class is not None,
            error_class=error_class or "invalid_request",
        )
        return Refused(reason, failure)


def _bytes(value: Mapping[str, Any]) -> bytes:
    return json_text.dumps(value, ascii_only=True).encode()


def _reason_in(text: str) -> str:
    """The reason in the body of an error (section 11.6); empty if there is none."""
    try:
        details = json.loads(text)["error"]["details"]
        found = [each for each in details if each.get("@type") == a2a.ERROR_INFO]
        return str(found[0].get("reason"))
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return ""
