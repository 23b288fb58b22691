"""Create what subscriptions need on AWS, beside the application of `bootstrap`."""

from functools import partial
from typing import cast

from ai_coordination_engine.adapters.reminders import SqsReminders
from ai_coordination_engine.adapters.sockets import ApiGatewaySockets
from ai_coordination_engine.bootstrap import build_app, client
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.live_ports import Reminders, Sockets
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.store.connections import Connections
from ai_coordination_engine.store.tables.dynamodb import DynamoDb


@dataclass(frozen=True)
class Live:
    """The application, and the connections of its WebSocket API."""

    app: App
    connections: Connections
    sockets: Sockets
    reminders: Reminders


def build_live(settings: Settings) -> Live:
    """Create it for `settings`, which must name the APIs and the queue of the sockets."""
    return live_of(build_app(settings))


def live_of(app: App) -> Live:
    """Create it for an application on AWS."""
    settings, records = app.settings, app.records
    database = cast(DynamoDb, next(iter(records.tables.values())).database)
    session = database.connection.session
    return Live(
        app,
        Connections(database, settings.table_prefix, records.clock),
        ApiGatewaySockets(
            partial(client, "apigatewaymanagementapi", session, url=settings.socket_api_url)
        ),
        SqsReminders(client("sqs", session, kind=settings.aws_client), settings.socket_queue_url),
    )
