"""Runs documents with gql, checked against the schema that it reads, and prints the answers."""

import json
import sys

from gql import Client, GraphQLRequest, gql
from gql.transport.exceptions import TransportQueryError
from gql.transport.httpx import HTTPXTransport
from gql.transport.websockets import WebsocketsTransport
from graphql import GraphQLError

DETAIL = """
query Session($coordination: String!, $session: String!) {
  session(coordinationUuid: $coordination, sessionUuid: $session) {
    id status createdAt sessionAgents { id agentName state agentAction }
  }
}"""
NODE = "query Node($id: ID!) { node(id: $id) { id ... on SessionType { sessionUuid status } } }"
CANCEL = """
mutation Cancel($coordination: String!, $session: String!) {
  cancelSession(coordinationUuid: $coordination, sessionUuid: $session) { session { status } }
}"""
PAUSE = CANCEL.replace("cancelSession", "pauseSession")

WATCH = """
subscription Watch($coordination: String!, $session: String!) {
  session(coordinationUuid: $coordination, sessionUuid: $session) { status }
}"""

url, coordination, uuid = sys.argv[1:]
keys = {"coordination": coordination, "session": uuid}
with Client(transport=HTTPXTransport(url=url), fetch_schema_from_transport=True) as session:

    def send(document: str, **variables: str) -> dict:
        return session.execute(GraphQLRequest(document, variable_values=variables))

    def refusal(document: str, **variables: str) -> str:
        try:
            send(document, **variables)
        except TransportQueryError as error:
            return str(error.errors[0]["extensions"]["code"])
        except GraphQLError as error:
            return error.message
        return "none"

    found = send(DETAIL, **keys)["session"]
    answers = {
        "session": found,
        "node": send(NODE, id=found["id"])["node"],
        "misspelt": refusal(DETAIL.replace("agentName", "agentNam"), **keys),
        "cancelled": send(CANCEL, **keys)["cancelSession"]["session"]["status"],
        "refused": refusal(PAUSE, **keys),
        "types": len(session.client.schema.type_map),
        "ping": session.execute(gql("{ ping }"))["ping"][:9],
    }
live = Client(transport=WebsocketsTransport(url=url.replace("http", "ws")))
watching = live.subscribe(GraphQLRequest(WATCH, variable_values=keys))
answers["watched"] = [each["session"]["status"] for each in watching]
sys.stdout.write(json.dumps(answers))
