"""Create the `App` on one machine: its records, queue and large values lie in an SQLite file.

It imports no client of AWS, which would take half of a start.
"""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace

from ai_coordination_engine.adapters.change_fifos import ChangeFifos
from ai_coordination_engine.adapters.changes import ProcessChanges
from ai_coordination_engine.adapters.clock import SteadyClock, SystemClock
from ai_coordination_engine.adapters.message_bodies import message_from_body
from ai_coordination_engine.adapters.sqlite_blobs import SqliteBlobs
from ai_coordination_engine.adapters.sqlite_queue import SqliteQueue
from ai_coordination_engine.assembly import (
    MAX_RECEIVES,
    application,
    check_budgets,
    check_default_runtime,
    visible_after,
)
from ai_coordination_engine.database_file import DatabaseFile
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.store.budget_items import BudgetCounter
from ai_coordination_engine.store.models import SessionAgent, SessionRun
from ai_coordination_engine.store.records.repository import Repository
from ai_coordination_engine.store.tables.one_transaction import OneTransaction
from ai_coordination_engine.store.tables.sqlite import SqliteTables
from ai_coordination_engine.store.tables.sqlite_check import wrong_rows
from ai_coordination_engine.store.tables.sqlite_expired import Expired, Owner
from ai_coordination_engine.store.tables.sqlite_orphans import orphans

_LOOK_SECONDS = 0.25  # between two looks at whether other processes have written


def build_local_app(
    settings: Settings,
    file: DatabaseFile,
    *,
    process: str = "",
    wake_others: Callable[[], None] = lambda: None,
) -> App:
    """Create the application whose records, queue and large values lie in a file.

    `process` names this process among those that share the file, and `wake_others` tells them that
    there are messages. Raises `BadUserInput` when `default_runtime` has an unknown kind.
    """
    check_default_runtime(settings)
    check_budgets(settings)
    clock = SystemClock()
    queue = SqliteQueue(
        file, SteadyClock(), visible_after(settings), MAX_RECEIVES, process, wake_others
    )
    others = ChangeFifos(file.path.parent, process)
    file.committed = others.tell_of_commit
    changes = ProcessChanges(file.others_wrote, _LOOK_SECONDS, others)
    records = Repository(
        SqliteTables(file, changes),
        settings.table_prefix,
        SqliteBlobs(file),
        clock,
        settings.inline_limit,
    )
    records.parallel = OneTransaction(file)
    app = application(settings, records, queue, changes, others=others, on_aws=False)
    models = (SessionRun, BudgetCounter, SessionAgent)
    runs, budgets, agents = (records.tables[each].name for each in models)
    of_agent = Owner(agents, "agent_session_uuid", "session_agent_uuid")
    expired = Expired(file, {runs: of_agent, budgets: None})  # agents need their long jobs

    def remove_expired() -> int:
        return expired.remove(clock.now().timestamp())

    return replace(app, process=process, state_problem=file.problem, remove_expired=remove_expired)


def state_problems(connection: sqlite3.Connection) -> Iterator[str]:
    """Yield what is wrong with the records, messages and large values of a file, and what to do.

    What a running server is about to write may be among the last two.
    """
    yield from wrong_rows(connection)
    yield from orphans(connection, message_from_body)
