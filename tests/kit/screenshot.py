"""`make screenshot`: write docs/console.png, which the README shows."""

import json
import re
import sys
from pathlib import Path

from playwright.sync_api import expect

from tests.kit import console
from tests.kit.console import Site, browser, serve

TARGET = Path(__file__).parents[2] / "docs" / "console.png"
MOST_BYTES = 150_000
CITIES = [f"market {number}" for number in range(60)]
STUDY = f"""
coordination:
  name: Market study
  agents:
    - {{name: outline, runtime: {{kind: function, name: echo}}}}
    - {{name: researcher, runtime: {{kind: function, name: some}}}}
    - {{name: pricing, runtime: {{kind: function, name: say, text: '{{"margin": 0.31}}'}}}}
    - {{name: lawyer, runtime: {{kind: function, name: fail_at_first}}}}
    - {{name: premium, runtime: {{kind: function, name: echo}}}}
    - {{name: discount, runtime: {{kind: function, name: echo}}}}
    - {{name: writer, runtime: {{kind: function, name: hold}}}}
    - {{name: approver, runtime: {{kind: function, name: answer}}}}
task:
  name: Where to sell next
  on_failure: continue
  subtasks:
    - {{agent: outline, query: '{json.dumps(CITIES)}'}}
    - {{agent: researcher, query: "Who buys in {{item}}, and why now?"}}
    - {{agent: pricing, query: "What margin is possible?"}}
    - {{agent: lawyer, query: "Which licences are needed?"}}
    - {{agent: premium, query: "Plan the premium launch."}}
    - {{agent: discount, query: "Plan the discount launch."}}
    - {{agent: writer, query: "Write the plan."}}
    - {{agent: approver, query: "Launch?"}}
  actions:
    researcher: {{after: outline, map: outline}}
    pricing: {{after: outline}}
    lawyer: {{after: outline}}
    premium: {{after: pricing, when: "margin > `0.3`"}}
    discount: {{after: pricing, when: "margin <= `0.3`"}}
    writer: {{after: [researcher, premium, discount], join: any}}
    approver: {{after: premium, ask: ann, answer_schema: {{type: boolean}}}}
query: {{topic: heat pumps, year: 2027}}
"""


def main() -> None:
    """Run a session to a telling moment and take its picture."""
    console.held.clear()
    console.repaired.clear()
    with serve() as running, browser() as chromium:
        page = chromium.new_page(viewport={"width": 1440, "height": 800})
        page.goto(Site(running).start(STUDY))
        expect(page.locator(".node", has_text="researcher")).to_contain_text("37/60")
        expect(page.locator(".node", has_text="lawyer")).to_have_class(re.compile("fail"))
        page.locator(".node", has_text="approver").click()
        expect(page.get_by_role("button", name="Approve", exact=True)).to_be_visible()
        expect(page.locator(".panel .loading")).to_have_count(0)
        page.screenshot(path=TARGET)
        console.held.set()
    size = TARGET.stat().st_size
    if size > MOST_BYTES:
        sys.exit(f"{TARGET.name} has {size} bytes; at most {MOST_BYTES} are wanted")


if __name__ == "__main__":
    main()
