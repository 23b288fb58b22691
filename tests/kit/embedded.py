"""Clients of the embedded AWS, and a table that does not belong to the engine."""

from typing import Any

import boto3

from ai_coordination_engine.entrypoints.local.embedded import EmbeddedAws

CREDENTIALS = {
    "region_name": "us-east-1",
    "aws_access_key_id": "local",
    "aws_secret_access_key": "local",
}
TABLE = {
    "TableName": "t",
    "KeySchema": [
        {"AttributeName": "a", "KeyType": "HASH"},
        {"AttributeName": "b", "KeyType": "RANGE"},
    ],
    "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in "ab"],
    "BillingMode": "PAY_PER_REQUEST",
}


def client(service: str, aws: EmbeddedAws) -> Any:
    return boto3.client(service, endpoint_url=aws.endpoint_url, **CREDENTIALS)


def item(number: int, **more: Any) -> dict[str, Any]:
    return {"a": {"S": "x"}, "b": {"S": f"{number:05}"}, **more}
