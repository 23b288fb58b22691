"""Replace the costly parts of a botocore client."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from botocore.endpoint import Endpoint

from ai_coordination_engine.adapters.lean.answers import JsonAnswers
from ai_coordination_engine.adapters.lean.connections import WarmConnections
from ai_coordination_engine.adapters.lean.endpoints import KnownEndpoints
from ai_coordination_engine.adapters.lean.requests import JsonRequests, prepared
from ai_coordination_engine.adapters.lean.signature import signer_of

OPERATIONS: Mapping[str, frozenset[str]] = {
    "dynamodb": frozenset(
        {
            "BatchGetItem",
            "BatchWriteItem",
            "DeleteItem",
            "GetItem",
            "PutItem",
            "Query",
            "TransactWriteItems",
            "UpdateItem",
        }
    ),
    "sqs": frozenset(
        {
            "ChangeMessageVisibility",
            "DeleteMessage",
            "DeleteMessageBatch",
            "ReceiveMessage",
            "SendMessageBatch",
        }
    ),
}
"""The frequent calls, by service; all other calls are botocore's alone."""


def lean(client: Any) -> Any:
    """Make the frequent calls of a client cheap and return it.

    A client of another service, protocol or kind stays as it is.
    """
    service, endpoint = client.meta.service_model, client._endpoint
    names = OPERATIONS.get(service.service_name, frozenset())
    if service.resolved_protocol != "json" or type(client._endpoint) is not Endpoint or not names:
        return client
    operations = [service.operation_model(name) for name in names]
    shapes = {each.output_shape.name for each in operations if each.output_shape is not None}
    signer = client._request_signer
    client._serializer = JsonRequests(client._serializer, names)
    if client._ruleset_resolver is not None:
        client._ruleset_resolver = KnownEndpoints(client._ruleset_resolver, signer, names)
    agent = client._user_agent_creator.to_string()  # without the features that a call uses
    client._user_agent_creator.to_string = lambda: agent
    signer.get_auth_instance = partial(signer_of, signer.get_auth_instance)
    endpoint.create_request = partial(prepared, endpoint.create_request, client.meta.events, names)
    parser = endpoint._response_parser_factory.create_parser("json")
    endpoint._response_parser_factory = JsonAnswers(parser, shapes)
    endpoint.http_session = WarmConnections(endpoint.http_session)
    return client
