"""Tables are created once according to the models; old tables get the indexes that they lack."""

from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import UnknownServiceError
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
    assert len(bootstrap.create_tables(SETTINGS)) == 8
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


ROLE = """
[profile role]
role_arn = arn:aws:iam::111122223333:role/engine
source_profile = base
[profile base]
aws_access_key_id = a
aws_secret_access_key = b
"""


@mock_aws
def test_the_credentials_of_a_role_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text(ROLE)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "role")
    credentials = bootstrap.client("sqs")._request_signer._credentials
    assert credentials.method == "assume-role"
    assert credentials.get_frozen_credentials().token


@pytest.mark.parametrize("service", ["sts", "sso", "sso-oidc"])
def test_a_session_knows_the_services_of_credentials(service: str) -> None:
    session = bootstrap._names_services(botocore.session.Session())
    assert session.create_client(service, "eu-west-1").meta.service_model.service_name == service
    with pytest.raises(UnknownServiceError, match="sqs"):
        session.create_client("unknown", "eu-west-1")


def test_a_session_that_is_told_again_and_again_lists_its_services() -> None:
    session = botocore.session.Session()
    for _ in range(2000):
        bootstrap._names_services(session)
    assert "sts" in session.get_available_services()
