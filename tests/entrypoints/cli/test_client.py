"""A run file is saved as its records."""

from ai_coordination_engine.client import operations
from ai_coordination_engine.entrypoints.cli.client import Client
from ai_coordination_engine.entrypoints.local.server import serving
from ai_coordination_engine.entrypoints.run_file.run_file import parse_run_file
from ai_coordination_engine.settings import Settings

FILE = """
coordination: {uuid: c, agents: [{name: a, runtime: {kind: function, name: echo}}]%s}
task: {uuid: t}
"""


def test_a_budget_of_a_coordination_stays_where_the_file_names_none() -> None:
    with (
        serving(Settings(auth="local"), port=0) as running,
        Client(running.url, tenant="acme") as client,
    ):
        for budget in (", budget: {tokens: 7}", ""):
            client.start_file(parse_run_file(FILE % budget))
            found = client.send(operations.coordination(coordination_uuid="c"))
            assert found.budget == {"tokens": 7}
