"""Tables are created once according to the models; old tables get the indexes that they lack."""

from typing import Any

import pytest
from botocore.loaders import Loader
from moto import mock_aws

from ai_coordination_engine import bootstrap
from ai_coordination_engine.settings import Settings

SETTINGS = Settings(auth="local")


def indexes(dynamodb: Any, table: str) -> dict[str, dict[str, Any]]:
    """Return the projections of a table's indexes."""
    described = dynamodb.describe_table(TableName=table)["Table"].get("GlobalSecondaryIndexes", ())
    return {each["IndexName"]: each["Projection"] for each in described}


def old_sessions(dynamodb: Any) -> None:
    """Create the table of sessions without the index for the sweep."""
    dynamodb.create_table(
        TableName="ace-sessions",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[
            {"AttributeName": "coordination_uuid", "KeyType": "HASH"},
            {"AttributeName": "session_uuid", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "S"}
            for name in ("coordination_uuid", "session_uuid", "partition_key")
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by_tenant",
                "KeySchema": [
                    {"AttributeName": "partition_key", "KeyType": "HASH"},
                    {"AttributeName": "session_uuid", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )


SESSIONS = {
    "by_tenant": {"ProjectionType": "KEYS_ONLY"},
    "by_status": {"ProjectionType": "KEYS_ONLY"},
    "to_watch": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["partition_key"]},
}


# more than is read, and costs more
OLD_SESSIONS = {**SESSIONS, "by_tenant": {"ProjectionType": "ALL"}}


@mock_aws
def test_an_index_projects_what_its_model_says() -> None:
    assert len(bootstrap.create_tables(SETTINGS)) == 6
    dynamodb = bootstrap.client("dynamodb")
    assert indexes(dynamodb, "ace-sessions") == SESSIONS
    assert indexes(dynamodb, "ace-session_agents") == {"inbox": {"ProjectionType": "ALL"}}
    assert bootstrap.create_tables(SETTINGS) == []


@mock_aws
def test_a_table_of_an_earlier_version_gets_the_indexes_that_it_lacks() -> None:
    dynamodb = bootstrap.client("dynamodb")
    old_sessions(dynamodb)
    assert "ace-sessions" not in bootstrap.create_tables(SETTINGS)
    assert indexes(dynamodb, "ace-sessions") == OLD_SESSIONS
    assert bootstrap.create_tables(SETTINGS) == []


def test_clients_are_made_without_a_list_of_all_services(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def listed(loader: Loader, type_name: str) -> list[str]:
        raise AssertionError(f"the services with {type_name} are listed")

    monkeypatch.setattr(Loader, "list_available_services", listed)
    made = [bootstrap.client(each) for each in bootstrap.SERVICES]
    assert [each.meta.service_model.service_name for each in made] == [*bootstrap.SERVICES]
    assert bootstrap.connect().client.meta.service_model.service_name == "dynamodb"
