"""The application object: `bootstrap` builds it, and every function of the engine takes it."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.budgets import Budget, TenantBudget, parse_tenant_budget
from ai_coordination_engine.domain.prices import PriceTable
from ai_coordination_engine.domain.runtimes import needs_of
from ai_coordination_engine.live_ports import Changes, Notices, Outputs
from ai_coordination_engine.ports import AllowList, Clock, Queue, Secrets, Wake
from ai_coordination_engine.runtime_ports import ActionFunctions, Runtimes
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.records.repository import Repository
from ai_coordination_engine.store.transitions.budgets import Budgets
from ai_coordination_engine.store.transitions.counter_shards import CounterShards
from ai_coordination_engine.store.transitions.jobs import Jobs
from ai_coordination_engine.store.transitions.late_usage import LateUsage
from ai_coordination_engine.store.transitions.plans import Plans
from ai_coordination_engine.store.transitions.runs import SessionRuns
from ai_coordination_engine.store.transitions.schedules import Schedules
from ai_coordination_engine.store.transitions.session_agents import SessionAgents
from ai_coordination_engine.store.transitions.sessions import Sessions
from ai_coordination_engine.store.transitions.usage_counters import UsageCounters
from ai_coordination_engine.telemetry_ports import Telemetry

if TYPE_CHECKING:
    from ai_coordination_engine.store.push_configurations import PushConfigurations


@dataclass(frozen=True)
class App:
    """The settings, the store and the ports; one instance per process. Thread-safe.

    `allow_list`: None if this process does not have the settings of the workers, as in the API's
    Lambda function. `process` names this process in its leases, so that others free them when it
    dies; "" on AWS. `settings_since`: when the settings came into effect, in place of others
    perhaps (epoch seconds); 0 if there were none before. `telemetry`: None if nothing is exported.
    `notices`: None if no receivers are allowed. `state_problem` returns why nothing can be changed
    until an operator acts, or None. `remove_expired` removes some of the items that have expired
    and returns how many; on AWS the database does that.
    """

    settings: Settings
    records: Repository
    queue: Queue
    runtimes: Runtimes
    actions: ActionFunctions
    secrets: Secrets
    clock: Clock
    changes: Changes
    outputs: Outputs
    prices: PriceTable
    allow_list: AllowList | None = None
    process: str = ""
    settings_since: float = 0
    telemetry: Telemetry | None = None
    notices: Notices | None = None
    state_problem: Callable[[], str | None] = lambda: None
    remove_expired: Callable[[], int] = lambda: 0

    def needs(self, runtime: Mapping[str, Any] | None) -> str | None:
        """The extra that agents with this runtime need (None: with the default runtime); None for
        none.
        """
        return needs_of((runtime or self.settings.default_runtime).get("kind")) or None

    def is_elsewhere(self, needs: str | None) -> bool:
        """Whether another worker runs the agents that need this extra."""
        return self.settings.worker_of(needs) != self.settings.worker_extra

    @cached_property
    def sessions(self) -> Sessions:
        """The transitions of sessions."""
        return Sessions(self.records)

    @cached_property
    def agents(self) -> SessionAgents:
        """The transitions of session agents."""
        return SessionAgents(self.records)

    @cached_property
    def counter_shards(self) -> CounterShards:
        """The counter shards of wide joins and of many sinks."""
        return CounterShards(self.records)

    @cached_property
    def runs(self) -> SessionRuns:
        """The writes of session runs."""
        return SessionRuns(self.records)

    @cached_property
    def usage_counters(self) -> UsageCounters:
        """The counters of what sessions used."""
        return UsageCounters(self.records)

    @cached_property
    def late_usage(self) -> LateUsage:
        """The writes of usage that becomes known late."""
        return LateUsage(self.records)

    @cached_property
    def budgets(self) -> Budgets:
        """What budgets have spent and reserved."""
        return Budgets(self.records)

    @cached_property
    def tenant_budgets(self) -> dict[str, TenantBudget]:
        """What each tenant may spend in a UTC day, by the settings; `*` is each other tenant."""
        given = self.settings.budgets
        return {
            tenant: parse_tenant_budget(budget, f"ACE_BUDGETS.{tenant}")
            for tenant, budget in given.items()
        }

    @cached_property
    def known_budgets(self) -> dict[tuple[str, ...], tuple[float, Budget | None]]:
        """The limits that this process has read lately (`engine.attempt.limits`)."""
        return {}

    @cached_property
    def push_configurations(self) -> "PushConfigurations":
        """Where clients of A2A want to be told of their tasks."""
        # Imported here because few processes have to do with them: a cold start is without it.
        from ai_coordination_engine.store.push_configurations import (  # noqa: PLC0415
            PushConfigurations,
        )

        settings = self.settings
        is_listed = not settings.socket_queue_url  # no function sends the notices
        return PushConfigurations(self.records, settings.table_prefix, is_listed=is_listed)

    @cached_property
    def jobs(self) -> Jobs:
        """The transitions of long jobs."""
        return Jobs(self.records)

    @cached_property
    def plans(self) -> Plans:
        """The plans of planning agents."""
        return Plans(self.records)

    @cached_property
    def schedules(self) -> Schedules:
        """The transitions of task schedules, and the query for those that are due."""
        return Schedules(self.records)


def wake(agent: SessionAgent) -> Wake:
    """The message that wakes this session agent."""
    key = agent.partition_key, agent.session_uuid, agent.session_agent_uuid
    return Wake(*key, epoch=agent.epoch or 0, needs=agent.needs or "")


class Busy(Exception):
    """The message must be kept and delivered again after `retry_after` seconds.

    For example, another worker holds the lease of its agent.
    """

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"try again in {retry_after:.1f} s")
        self.retry_after = retry_after
