"""Create the tables for the local server and for tests. In AWS, `template.yaml` does it."""

from collections.abc import Sequence
from typing import Any

from ai_coordination_engine.store.record import Record
from ai_coordination_engine.store.tables.dynamodb import DynamoDb


def create(database: DynamoDb, model: type[Record], name: str) -> bool:
    """Create the table (billed on demand); return whether it is new.

    If the table exists, its missing indexes are added.
    """
    schema = model.schema()
    request = {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": _hash_first(schema["key_schema"]),
        "AttributeDefinitions": schema["attribute_definitions"],
    }
    indexes = [
        {
            "IndexName": each["index_name"],
            "KeySchema": _hash_first(each["key_schema"]),
            "Projection": each["projection"],
        }
        for each in schema["global_secondary_indexes"]
    ]
    if indexes:
        request["GlobalSecondaryIndexes"] = indexes
    client: Any = database.client
    try:
        client.create_table(**request)
    except client.exceptions.ResourceInUseException:
        _add_indexes(client, name, schema["attribute_definitions"], indexes)
        return False
    _wait(client, name)
    return True


def _add_indexes(
    client: Any, name: str, definitions: Sequence[Any], indexes: Sequence[dict[str, Any]]
) -> None:
    """Add the indexes that the table lacks; one index per request.

    Source: UpdateTable, "Amazon DynamoDB API".
    """
    described = client.describe_table(TableName=name)["Table"].get("GlobalSecondaryIndexes", ())
    known = {each["IndexName"] for each in described}
    for index in indexes:
        if index["IndexName"] not in known:
            client.update_table(
                TableName=name,
                AttributeDefinitions=definitions,
                GlobalSecondaryIndexUpdates=[{"Create": index}],
            )
            _wait(client, name)


def _wait(client: Any, name: str) -> None:
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})


def _hash_first(key_schema: Sequence[Any]) -> list[Any]:
    """The key schema with the hash key first, as DynamoDB requires. PynamoDB sorts by name."""
    return sorted(key_schema, key=lambda part: part["KeyType"] != "HASH")
