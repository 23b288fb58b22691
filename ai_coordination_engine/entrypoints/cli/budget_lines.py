"""The lines of `ace show` that say what a session's budgets have left."""

from collections.abc import Mapping
from typing import Any

from ai_coordination_engine.entrypoints.cli.client import Client
from ai_coordination_engine.entrypoints.cli.cost_command import usd
from ai_coordination_engine.entrypoints.cli.session_view import SessionView

_OF_SESSION = """
query ($c: String!, $s: String!) {
  session(coordinationUuid: $c, sessionUuid: $s) {
    budgets { scope per limitMicroUsd limitTokens spentMicroUsd spentTokens reservedMicroUsd
      reservedTokens }
  }
}"""
_PERIODS = {"session": "for this session", "day": "for this UTC day", "total": "in total"}


def budget_lines(client: Client, view: SessionView) -> list[str]:
    """A line for each budget that the session keeps to. One request."""
    keys = {"c": view.session.coordination_uuid, "s": view.session.session_uuid}
    found = (client.execute(_OF_SESSION, keys)["session"] or {}).get("budgets") or ()
    return [budget_line(each) for each in found]


def budget_line(budget: Mapping[str, Any]) -> str:
    """What is spent of a budget, and reserved: by attempts that run, that wait for a long job, or
    of which nobody knows yet that they are lost.
    """
    parts = []
    if (limit := budget["limitTokens"]) is not None:
        spent, reserved = budget["spentTokens"], budget["reservedTokens"]
        parts.append(f"{spent:,.0f} of {limit:,.0f} tokens spent, {reserved:,.0f} reserved")
    if (limit := budget["limitMicroUsd"]) is not None:
        spent, reserved = budget["spentMicroUsd"], budget["reservedMicroUsd"]
        parts.append(f"{usd(spent)} of {usd(limit)} spent, {usd(reserved)} reserved")
    return f"budget of the {budget['scope']} {_PERIODS[budget['per']]}: {' · '.join(parts)}"
