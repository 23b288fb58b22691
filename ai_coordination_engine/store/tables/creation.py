"""Making the tables, on a machine of one's own; in the cloud the template does it."""

from collections.abc import Sequence
from typing import Any

from ai_coordination_engine.store.tables.table import Table


def create(table: Table[Any]) -> bool:
    """Create the table, on demand; False when it exists, which then gets the indexes that it
    lacks.
    """
    schema = table.model._get_schema()
    request = {
        "TableName": table.name,
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
    client: Any = table.client
    try:
        client.create_table(**request)
    except client.exceptions.ResourceInUseException:
        _add_indexes(table, schema["attribute_definitions"], indexes)
        return False
    _wait(table)
    return True


def _add_indexes(
    table: Table[Any], definitions: Sequence[Any], indexes: Sequence[dict[str, Any]]
) -> None:
    """Bring a table of an earlier version up to date; one index a request (UpdateTable, "Amazon
    DynamoDB API").
    """
    client: Any = table.client
    described = client.describe_table(TableName=table.name)["Table"].get(
        "GlobalSecondaryIndexes", ()
    )
    known = {each["IndexName"] for each in described}
    for index in indexes:
        if index["IndexName"] not in known:
            client.update_table(
                TableName=table.name,
                AttributeDefinitions=definitions,
                GlobalSecondaryIndexUpdates=[{"Create": index}],
            )
            _wait(table)


def _wait(table: Table[Any]) -> None:
    client: Any = table.client
    client.get_waiter("table_exists").wait(TableName=table.name, WaiterConfig={"Delay": 1})


def _hash_first(key_schema: Sequence[Any]) -> list[Any]:
    """The order that DynamoDB insists on; PynamoDB has the names in alphabetical order."""
    return sorted(key_schema, key=lambda part: part["KeyType"] != "HASH")
