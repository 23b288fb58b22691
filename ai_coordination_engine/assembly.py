"""Assemble an `App` from its settings, records and queue: what both homes of the state share."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ai_coordination_engine.adapters.action_functions import AllowedActionFunctions
from ai_coordination_engine.adapters.allow_list import SettingsAllowList
from ai_coordination_engine.adapters.change_fifos import ChangeFifos
from ai_coordination_engine.adapters.changes import ProcessChanges
from ai_coordination_engine.adapters.function_files import FunctionFiles
from ai_coordination_engine.adapters.outputs import ProcessOutputs
from ai_coordination_engine.adapters.price_table import prices_of
from ai_coordination_engine.adapters.runtimes import RuntimeRegistry
from ai_coordination_engine.adapters.runtimes.function import FunctionRuntime
from ai_coordination_engine.adapters.secret_files import SecretFiles
from ai_coordination_engine.adapters.secrets import SecretsManager
from ai_coordination_engine.adapters.telemetry.setup import telemetry
from ai_coordination_engine.domain import topics
from ai_coordination_engine.domain.budgets import parse_tenant_budget
from ai_coordination_engine.domain.runtimes import KINDS
from ai_coordination_engine.domain.texts import did_you_mean
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.live_ports import Changes, Notices
from ai_coordination_engine.ports import AllowList, Queue, Secrets
from ai_coordination_engine.runtime_ports import AgentFailure
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.store.records.repository import Repository

# Deliveries of a message before it becomes a dead letter; template.yaml has the same number.
MAX_RECEIVES = 10


def visible_after(settings: Settings) -> int:
    """The seconds after which a message that was received is delivered again."""
    return int(settings.lease_seconds) + 30


def application(
    settings: Settings,
    records: Repository,
    queue: Queue,
    changes: Changes | None = None,
    *,
    others: ChangeFifos | None = None,
    on_aws: bool = True,
    look: Callable[[str, str], None] | None = None,
) -> App:
    """Create the application on these records and this queue.

    `changes`: None if the records announce nothing. `others`: the processes that tell each other.
    `look`: as `Notices.look`, where other processes send notices; else a local server does.
    """
    secrets = secrets_of(settings, on_aws=on_aws)
    changes = changes or ProcessChanges()
    # who watches this session already, and who does not yet
    look = look or (lambda topic, _: changes.announce([topic, topics.of_notices()]))
    return App(
        settings=settings,
        records=records,
        queue=queue,
        runtimes=RuntimeRegistry(settings, secrets),
        actions=AllowedActionFunctions(settings.action_functions),
        secrets=secrets,
        clock=records.clock,
        changes=changes,
        outputs=ProcessOutputs(changes, others),
        prices=prices_of(settings.prices),
        telemetry=telemetry(settings),
        notices=_notices(settings, secrets, look) if settings.a2a_push else None,
    )


def _notices(settings: Settings, secrets: Secrets, look: Callable[[str, str], None]) -> Notices:
    # Imported here because most processes send none: a cold start is without it.
    from ai_coordination_engine.adapters.notices import HttpNotices  # noqa: PLC0415

    return HttpNotices(settings.a2a_push, secrets, look)


def check_default_runtime(settings: Settings) -> None:
    """Raise `BadUserInput` when `default_runtime` has an unknown kind."""
    kind = settings.default_runtime["kind"]
    if kind not in KINDS:
        hint = did_you_mean(kind, KINDS) or ";"
        raise BadUserInput(
            f"ACE_DEFAULT_RUNTIME: the kind {kind!r} is unknown{hint} it takes one of:"
            f" {', '.join(KINDS)}."
        )


def check_budgets(settings: Settings) -> None:
    """Raise `BadUserInput` for a budget of a tenant that is not valid."""
    for tenant, budget in settings.budgets.items():
        parse_tenant_budget(budget, f"ACE_BUDGETS.{tenant}")


def allow_list(settings: Settings) -> AllowList:
    """Return the allow-list of `settings`, for a process whose workers use the same settings."""
    actions = AllowedActionFunctions(settings.action_functions)
    return SettingsAllowList(
        RuntimeRegistry(settings, secrets_of(settings)), actions, settings.default_runtime
    )


def function_files(app: App) -> FunctionFiles:
    """Return the files of the functions that agents, models and actions of `app` call."""
    # Imported here: a cold start is without it.
    from ai_coordination_engine.adapters.runtimes.agent import ToolAgentRuntime  # noqa: PLC0415

    lists = [app.actions.functions] if isinstance(app.actions, AllowedActionFunctions) else []
    for kind in ("function", "agent"):
        with suppress(AgentFailure):  # without the extra no agent calls tools here
            runtime = app.runtimes.find(kind)
            if isinstance(runtime, FunctionRuntime | ToolAgentRuntime):
                lists.append(runtime.functions)
    return FunctionFiles(lists)


def secrets_of(settings: Settings, *, on_aws: bool = True) -> Secrets:
    """Return the reader of the secrets that the settings name.

    They are files of `ACE_SECRETS_DIR`, or else in AWS Secrets Manager if the state is on AWS too:
    one machine asks no AWS. The client is created when the first secret is read.
    """
    if settings.secrets_dir or not on_aws:
        return SecretFiles(Path(settings.secrets_dir) if settings.secrets_dir else None)
    return SecretsManager()
