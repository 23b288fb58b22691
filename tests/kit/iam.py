"""Enforce the roles of template.yaml on botocore's calls, since emulators of AWS allow everything.

A right is an action and a resource as in the template: `Sessions`, `Sessions/index/to_watch`,
`Bucket/*`.
"""

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import botocore.handlers
import pytest
import yaml
from botocore.exceptions import ClientError

ROOT = Path(__file__).parents[2]
Right = tuple[str, str]
_OPERATIONS = {  # whose names are no actions (Service Authorization Reference)
    "SendMessageBatch": "SendMessage",
    "DeleteMessageBatch": "DeleteMessage",
    "ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
    "DeleteObjects": "DeleteObject",
    "ListObjectsV2": "ListBucket",
    "Invoke": "InvokeFunction",
}


class Loader(yaml.SafeLoader):
    """Reads CloudFormation's short functions: `!Ref x` becomes `{"Ref": "x"}`."""


def _function(loader: Loader, name: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {name: loader.construct_mapping(node, deep=True)}


Loader.add_multi_constructor("!", _function)


@cache
def template() -> dict[str, Any]:
    """Return the template."""
    # - a SafeLoader
    return dict(yaml.load((ROOT / "template.yaml").read_text(), Loader))  # noqa: S506


def statements(role: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the statements of a role's policies, conditional ones included."""
    for policy in role["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            yield statement["If"][1] if "If" in statement else statement


def attached(role: str) -> list[Mapping[str, Any]]:
    """Return the separate policies that the template attaches to a role."""
    policies = [
        each for each in template()["Resources"].values() if each["Type"] == "AWS::IAM::Policy"
    ]
    return [each["Properties"] for each in policies if role in _roles(each["Properties"])]


def _roles(policy: Mapping[str, Any]) -> list[str]:
    """The roles to which a policy is attached, if not always."""
    return [(each["If"][1] if "If" in each else each)["Ref"] for each in policy["Roles"]]


def listed(value: Any) -> list[Any]:
    """Return a list; a single value becomes a list of one."""
    return value if isinstance(value, list) else [value]


@cache
def rights(role: str) -> frozenset[Right]:
    """Return the rights of a role in the template."""
    return frozenset(
        (action, _resource(resource))
        for policies in (template()["Resources"][role]["Properties"]["Policies"], attached(role))
        for statement in statements({"Policies": policies})
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    )


def _resource(written: Mapping[str, str]) -> str:
    ((function, value),) = written.items()
    return (
        value.removesuffix(".Arn")
        if function == "GetAtt"
        else re.sub(r"\$\{(\w+)\.Arn\}", r"\1", value)
    )


class Iam:
    """Refuses calls that the acting role does not allow, for clients created while it exists.

    `used` and `refused` hold rights by role; `watch` is called with each right before it is used.
    When no role acts (the test itself), everything is allowed.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.used: dict[str, set[Right]] = {}
        self.refused: dict[str, set[Right]] = {}
        self.watch: Callable[[Right], None] = lambda right: None
        self._everybody: str | None = None
        self._mine = threading.local()
        self._tables = {
            each["Properties"]["TableName"]["Sub"].partition("-")[2]: name
            for name, each in template()["Resources"].items()
            if each["Type"] == "AWS::DynamoDB::Table"
        }
        handlers = [
            *botocore.handlers.BUILTIN_HANDLERS,
            ("before-parameter-build", self._before),
            ("after-call.s3.GetObject", self._after_get_object),
        ]
        monkeypatch.setattr(botocore.handlers, "BUILTIN_HANDLERS", handlers)

    @contextmanager
    def acting(self, role: str | None) -> Iterator[None]:
        """Let all threads act in this role; None: as the test."""
        before, self._everybody = self._everybody, role
        try:
            yield
        finally:
            self._everybody = before

    @contextmanager
    def acting_alone(self, role: str | None) -> Iterator[None]:
        """Let only this thread act in this role, beside others with other roles."""
        before = getattr(self._mine, "roles", ())
        self._mine.roles = (*before, role)
        try:
            yield
        finally:
            self._mine.roles = before

    @property
    def _role(self) -> str | None:
        roles: tuple[str | None, ...] = getattr(self._mine, "roles", ())
        return roles[-1] if roles else self._everybody

    def _before(self, params: Mapping[str, Any], model: Any, **_: Any) -> None:
        if self._role is None:
            return
        service = model.service_model.service_name
        action = f"{service}:{_OPERATIONS.get(model.name, model.name)}"
        if model.name == "TransactWriteItems":  # "IAM with DynamoDB transactions"
            for right in self._parts(params):
                self._check(right, model.name)
            return
        for resource in self._resources(service, model.name, params):
            self._check((action, resource), model.name)

    def _parts(self, params: Mapping[str, Any]) -> Iterator[Right]:
        for part in params["TransactItems"]:
            ((what, request),) = part.items()
            yield (
                f"dynamodb:{what}Item",
                self._tables[request["TableName"].partition("-")[2]],
            )

    def _after_get_object(self, parsed: Mapping[str, Any], model: Any, **_: Any) -> None:
        """Refuse, without the right to list the bucket, to tell that a key is missing.

        See "GetObject", Amazon S3 API reference.
        """
        if self._role is not None and parsed.get("Error", {}).get("Code") == "NoSuchKey":
            self._check(("s3:ListBucket", "Bucket"), model.name)

    def _check(self, right: Right, operation: str) -> None:
        self.watch(right)
        role = str(self._role)
        self.used.setdefault(role, set()).add(right)
        if right not in rights(role):
            self.refused.setdefault(role, set()).add(right)
            raise ClientError(
                {"Error": {"Code": "AccessDeniedException", "Message": str(right)}}, operation
            )

    def _resources(self, service: str, operation: str, params: Mapping[str, Any]) -> list[str]:
        if service == "dynamodb":
            index = f"/index/{params['IndexName']}" if "IndexName" in params else ""
            names = params.get("RequestItems") or [params["TableName"]]
            return [self._tables[name.partition("-")[2]] + index for name in names]
        if service == "sqs":
            name = params.get("QueueName") or params["QueueUrl"].rpartition("/")[2]
            named = {"dead": "DeadLetterQueue", "sockets": "SocketQueue"}
            return [named.get(name.rpartition("-")[2], "Queue")]
        if service == "s3":
            return ["Bucket" if operation == "ListObjectsV2" else "Bucket/*"]
        if service == "lambda":
            return [params["FunctionName"]]
        assert service == "secretsmanager"
        return [params["SecretId"]]
