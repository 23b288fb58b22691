"""The command `ace costs`, and the line that says what a session has cost."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from ai_coordination_engine.entrypoints.cli.client import Client
from ai_coordination_engine.entrypoints.cli.columns import columns
from ai_coordination_engine.entrypoints.cli.failures import Failure
from ai_coordination_engine.entrypoints.cli.output import (
    on_one_line,
    width_of_stdout,
    write,
    write_json,
)
from ai_coordination_engine.entrypoints.cli.remote import client_of
from ai_coordination_engine.entrypoints.cli.remote_options import Remote
from ai_coordination_engine.entrypoints.cli.session_view import SessionView

By = Literal["day", "agent", "model", "coordination"]
_KEYS: Mapping[By, str] = {
    "day": "day",
    "agent": "agentUuid",
    "model": "model",
    "coordination": "coordinationUuid",
}
_SUMS = ("microUsd", "inputTokens", "outputTokens", "runs", "unpricedRuns")
_DAYS = 30  # until today, without `--from`
_USAGE = """
query ($from: DateTime!, $to: DateTime!, $cursor: String) {
  usageByDay(from: $from, to: $to, limit: 1000, cursor: $cursor) {
    usageByDayList { day coordinationUuid agentUuid model microUsd inputTokens outputTokens runs
      unpricedRuns }
    nextCursor
  }
}"""
_OF_SESSION = """
query ($c: String!, $s: String!) {
  session(coordinationUuid: $c, sessionUuid: $s) {
    cost { microUsd inputTokens outputTokens unpricedRuns }
  }
}"""


def costs(remote: Remote, *, first: str | None, last: str | None, by: By, with_json: bool) -> None:
    """Print what the agents of a tenant used and cost between two days, summed up `by` one."""
    until = _day("--to", last) if last else datetime.now(UTC).date()
    since = _day("--from", first) if first else until - timedelta(days=_DAYS - 1)
    with client_of(remote) as client:
        sums = _summed(_rows(client, since, until), _KEYS[by])
    if with_json:
        found = [{_KEYS[by]: name, **each} for name, each in sums.items()]
        told = {"from": since.isoformat(), "to": until.isoformat(), "costs": found}
        write_json(json.dumps(told, ensure_ascii=False, indent=2))
        return
    if not sums:
        write(f"No agent has used a model from {since} to {until}.")
        return
    total: dict[str, int | None] = {}
    for each in sums.values():
        _add(total, each)
    head = [by.upper(), "COST", "INPUT", "OUTPUT", "RUNS", "UNPRICED"]
    rows = [head, *(_cells(name, each) for name, each in sums.items()), _cells("total", total)]
    write(columns(rows, width_of_stdout()))


def cost_line(client: Client, view: SessionView) -> str | None:
    """The tokens and the cost of a session, as one line; None if it has used none, as far as its
    agents say.
    """
    if not any(each.tokens for each in view.agents):
        return None
    keys = {"c": view.session.coordination_uuid, "s": view.session.session_uuid}
    cost = ((client.execute(_OF_SESSION, keys)["session"]) or {}).get("cost")
    if cost is None:
        return None
    used = int(cost["inputTokens"] + cost["outputTokens"])
    parts = [f"{used:,} tokens", usd(cost["microUsd"])]
    if (unpriced := cost["unpricedRuns"]) and cost["microUsd"] is not None:
        parts.append(f"{unpriced} attempt{'s' * (unpriced > 1)} without a price")
    return " · ".join(parts)


def _day(option: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise Failure(f"{option} takes a day, for example 2026-11-30.") from error


def _rows(client: Client, since: date, until: date) -> Iterator[dict[str, Any]]:
    days = {"from": f"{since}T00:00:00Z", "to": f"{until}T00:00:00Z"}
    cursor: str | None = None
    while True:
        page = client.execute(_USAGE, {**days, "cursor": cursor})["usageByDay"]
        yield from page["usageByDayList"]
        if (cursor := page["nextCursor"]) is None:
            return


def _summed(rows: Iterator[dict[str, Any]], key: str) -> dict[str, dict[str, int | None]]:
    sums: dict[str, dict[str, int | None]] = {}
    for row in rows:
        _add(sums.setdefault(row[key], {}), row)
    return dict(sorted(sums.items()))


def _add(sums: dict[str, int | None], row: Mapping[str, Any]) -> None:
    """Add a row; a cost that is not known leaves the sum of those that are."""
    for name in _SUMS:
        known = [int(each) for each in (sums.get(name), row[name]) if each is not None]
        sums[name] = sum(known) if known else None


def _cells(name: str, row: Mapping[str, int | None]) -> list[str]:
    numbers = (f"{row[each]:,}" for each in _SUMS[1:])
    return [on_one_line(name), usd(row["microUsd"]), *numbers]


def usd(micro_usd: float | None) -> str:
    """A cost in dollars, to the millionth if it is below a cent."""
    if micro_usd is None:
        return "no price"
    whole = int(micro_usd)
    return f"{whole / 1e6:,.6f} USD" if whole < 10_000 else f"{whole / 1e6:,.2f} USD"
