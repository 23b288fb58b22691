"""The console in a real browser."""

import hashlib
import json
import re
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Route, expect

from ai_coordination_engine.entrypoints.local import console as console_files
from ai_coordination_engine.entrypoints.local.server import Running
from tests.kit import console
from tests.kit.console import SHOTS, Site, needs_chromium, serve
from tests.kit.node import installed, needs_node

pytestmark = [
    pytest.mark.browser,
    needs_chromium,
]

expect.set_options(timeout=15_000)

AXE = Path(__file__).parents[2] / ".ci" / "console"
REFUND = """
coordination:
  name: Refunds
  agents:
    - {name: triage, runtime: {kind: function, name: echo}}
    - {name: approver, runtime: {kind: function, name: answer}}
    - {name: pay, runtime: {kind: function, name: echo}}
    - {name: decline, runtime: {kind: function, name: echo}}
task:
  subtasks:
    - {agent: triage, query: '{"amount": 250}'}
    - {agent: approver, query: "Refund 250 EUR to Ada?"}
    - {agent: pay, query: "The money is on the way."}
    - {agent: decline, query: "There is no refund."}
  actions:
    approver: {after: triage, when: "amount > `100`", ask: ann, answer_schema: {type: boolean}}
    pay: {after: approver, when: "@"}
    decline: {after: approver, when: "@ == `false`"}
"""
MAP = """
coordination:
  name: Study
  agents:
    - {name: outline, runtime: {kind: function, name: echo}}
    - {name: look, runtime: {kind: function, name: echo}}
    - {name: write, runtime: {kind: function, name: hold}}
task:
  subtasks:
    - {agent: outline, query: '["a", "b", "c"]'}
    - {agent: look, query: "Look into {item}."}
    - {agent: write, query: "Write."}
  actions:
    look: {after: outline, map: outline}
    write: {after: look}
"""
FAILING = """
coordination:
  name: Registers
  agents:
    - {name: first, runtime: {kind: function, name: echo}}
    - {name: register, runtime: {kind: function, name: fail_at_first}}
    - {name: last, runtime: {kind: function, name: echo}}
task:
  subtasks:
    - {agent: first, query: "one"}
    - {agent: register, query: "two"}
    - {agent: last, query: "three"}
  actions:
    register: {after: first}
    last: {after: register}
"""
COSTLY = """
coordination:
  name: Letters
  agents: [{name: writer, runtime: {kind: function, name: echo, max_tokens: 100}}]
task:
  budget: {tokens: 50, onExceeded: pause}
  subtasks: [{agent: writer, query: "Write."}]
"""
RAISE = """mutation($c: String!, $t: String!) { insertUpdateTask(coordinationUuid: $c, taskUuid: $t,
  taskName: "t", budget: {tokens: 5000, onExceeded: "pause"}, updatedBy: "ann") { task { id } } }"""
SCHEDULE = """mutation($c: String!, $t: String!) { insertUpdateTaskSchedule(coordinationUuid: $c,
  taskUuid: $t, scheduleUuid: "yearly", schedule: "0 9 1 1 *", status: "active", updatedBy: "ann") {
    taskSchedule { id } } }"""
HOSTILE = """# <b>Title</b>

<script>window.harmed = 1</script>

<img src=x onerror='window.harmed = 2'>

[go](javascript:window.harmed=3) [site](https://example.org/) ![x](https://example.org/x.png)

\x1b[31mred\x1b[0m \u202eturned\u202c and **bold**

```
</code><script>window.harmed = 4</script>
```
"""


def saying(text: str) -> str:
    return f"""
coordination:
  name: Hostile
  agents:
    - {{name: speaker, runtime: {{kind: function, name: say, text: {json.dumps(text)}}}}}
task:
  subtasks: [{{agent: speaker, query: "Speak"}}]
"""


def crowd(size: int) -> str:
    """Agents that wait for one that waits for the test, and one apart that asks a person."""
    middle = "\n".join("    - {agent: middle, query: x}" for _ in range(size - 3))
    return f"""
coordination:
  name: Crowd
  agents:
    - {{name: begin, runtime: {{kind: function, name: hold}}}}
    - {{name: middle, runtime: {{kind: function, name: echo}}}}
    - {{name: end, runtime: {{kind: function, name: echo}}}}
    - {{name: apart, runtime: {{kind: function, name: echo}}}}
task:
  subtasks:
    - {{agent: begin, query: x}}
{middle}
    - {{agent: end, query: x}}
    - {{agent: apart, query: x}}
  actions:
    middle: {{after: begin}}
    end: {{after: middle}}
    apart: {{ask: ann}}
"""


def count_what_is_drawn(page: Page) -> None:
    """Let the page note the name of each agent of a graph whenever it is drawn, in `drawn`."""
    source = (console_files.FOLDER / "session.js").read_text(encoding="utf-8")
    begin = "const Node = memo(({ agent, name, elements, place, selected, onSelect }) => {\n"
    assert source.count(begin) == 1
    noting = source.replace(begin, f"{begin}  (globalThis.drawn ??= []).push(name);\n")
    page.route(
        "**/session.js",
        lambda route: route.fulfill(content_type="text/javascript", body=noting),
    )


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with serve() as found:
        yield found


@pytest.fixture
def site(running: Running, request: pytest.FixtureRequest) -> Site:
    """The console of a tenant that only this test uses."""
    return Site(running, f"t{abs(hash(request.node.name))}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with console.browser() as found:
        yield found


@pytest.fixture
def told() -> list[str]:
    """What the pages of a test have written to the console."""
    return []


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1380, "height": 860})
    context.set_default_timeout(10_000)
    yield context
    context.close()


@pytest.fixture
def new_page(context: BrowserContext, told: list[str]) -> Callable[[], Page]:
    def made() -> Page:
        page = context.new_page()
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        return page

    return made


@pytest.fixture
def page(new_page: Callable[[], Page], told: list[str]) -> Iterator[Page]:
    """A page that must not complain: neither a script nor the policy may fail."""
    console.held.clear()
    console.repaired.clear()
    yield new_page()
    console.held.set()
    console.repaired.set()
    assert told == []


def agent(page: Page, name: str) -> Locator:
    return page.locator(".node", has=page.locator(f".name:text-is('{name}')"))


def status(page: Page) -> Locator:
    return page.locator(".head .badge")


def test_a_run_file_is_run_watched_answered_with_a_key_and_completed(
    page: Page, site: Site
) -> None:
    page.goto(f"{site.page}#/editor")
    page.get_by_label("Run file in YAML").fill(REFUND)
    expect(page.get_by_role("status").filter(has_text=re.compile("^Valid$"))).to_be_visible()
    expect(agent(page, "decline")).to_be_visible()
    page.screenshot(path=SHOTS / "editor.png")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(agent(page, "approver")).to_contain_text("asks ann")
    expect(status(page)).to_have_text(re.compile("Waits for ann"))
    expect(page.locator(".condition.passes")).to_have_text(re.compile("amount > `100`"))
    page.screenshot(path=SHOTS / "session.png")
    address = page.url
    page.goto(f"{site.page}#/sessions")
    expect(page.locator("tbody .badge")).to_have_text(re.compile("Waits for ann"))
    page.goto(f"{site.page}#/inbox")
    expect(page.get_by_role("heading", name="approver")).to_be_visible()
    expect(page.locator("article")).to_contain_text("Refund 250 EUR to Ada?")
    page.screenshot(path=SHOTS / "inbox.png")
    page.keyboard.press("a")
    expect(page.get_by_text("Nobody is waited for")).to_be_visible()
    page.goto(address)
    expect(status(page)).to_have_text(re.compile("Completed"))
    expect(agent(page, "decline")).to_contain_text("Skipped")
    expect(page.locator(".condition.unsatisfied")).to_have_text(re.compile("false"))
    expect(page.get_by_label("Session", exact=True)).to_contain_text("The money is on the way.")


def test_a_map_is_one_agent_with_a_count_and_moves_while_it_is_watched(
    page: Page, site: Site
) -> None:
    page.goto(site.start(MAP))
    expect(agent(page, "look")).to_contain_text("3/3")
    expect(agent(page, "write")).to_have_class(re.compile("run"))
    expect(page.locator(".connection")).to_have_text("Live")
    agent(page, "look").click()
    expect(page.get_by_role("heading", name="Elements (3)")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_label("Session", exact=True)).to_be_visible()
    console.held.set()
    expect(agent(page, "write")).to_have_class(re.compile("done"))
    expect(status(page)).to_have_text(re.compile("Completed"))
    page.set_viewport_size({"width": 320, "height": 640})
    viewport = page.locator(".viewport")
    assert viewport.evaluate("each => each.scrollWidth > each.clientWidth")  # it stays readable
    page.get_by_role("button", name="Fit").click()
    page.wait_for_function(
        "each => each.scrollWidth <= each.clientWidth", arg=viewport.element_handle()
    )
    page.set_viewport_size({"width": 1380, "height": 860})
    page.get_by_role("tab", name="Timeline").click()
    expect(page.locator(".lane")).to_have_count(6)
    page.screenshot(path=SHOTS / "timeline.png")


def test_what_an_agent_writes_is_shown_while_it_writes(page: Page, site: Site) -> None:
    page.goto(site.page)
    expect(page.locator(".connection")).to_have_text("Live")
    address = site.start(saying("").replace("name: say", "name: write"))
    page.evaluate("address => { location.hash = address; }", f"#{address.partition('#')[2]}")
    agent(page, "speaker").click()
    expect(page.get_by_role("heading", name="Output, being written")).to_be_visible()
    expect(page.locator(".panel pre.plain").first).to_contain_text("word word")
    console.held.set()
    expect(page.get_by_role("heading", name="Output", exact=True)).to_be_visible()


def test_what_failed_says_why_and_a_retry_says_what_it_will_do(page: Page, site: Site) -> None:
    page.goto(site.start(FAILING))
    expect(status(page)).to_have_text(re.compile("Failed"))
    agent(page, "register").click()
    panel = page.get_by_label("Agent register")
    expect(panel).to_contain_text("the register does not answer")
    expect(panel.get_by_role("heading", name="Attempts (1)")).to_be_visible()
    page.screenshot(path=SHOTS / "failed.png")
    console.repaired.set()
    page.get_by_role("button", name="Retry").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("1 failed agent")
    expect(dialog).to_contain_text("1 completed agent will be kept")
    dialog.get_by_role("button", name="Retry the session").click()
    expect(status(page)).to_have_text(re.compile("Completed"))
    expect(panel.get_by_role("heading", name="Attempts (2)")).to_be_visible()


def test_who_waits_for_a_budget_says_so_and_goes_on_when_it_is_raised(
    page: Page, site: Site
) -> None:
    page.goto(site.start(COSTLY))
    expect(agent(page, "writer")).to_contain_text("waiting for a budget")
    agent(page, "writer").click()
    why = page.get_by_label("Agent writer").locator(".why")
    expect(why).to_contain_text("The agent goes on when there is room, or the limit is raised.")
    expect(why.locator("code")).to_have_text("WAITS_FOR_BUDGET")
    site.post(RAISE, COSTLY)
    expect(status(page)).to_have_text(re.compile("Completed"))
    expect(agent(page, "writer")).to_have_class(re.compile("done"))


def test_a_fork_from_an_agent_names_what_runs_and_leads_to_the_new_session(
    page: Page, site: Site
) -> None:
    console.repaired.set()
    page.goto(site.start(FAILING))
    expect(status(page)).to_have_text(re.compile("Completed"))
    before = page.url
    agent(page, "register").click()
    page.get_by_role("button", name="Fork from here").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("It copies 1 completed agent with their outputs and runs")
    expect(dialog).to_contain_text("register, last")
    dialog.get_by_role("button", name="Start the fork").click()
    page.wait_for_url(lambda url: "/session/" in url and url.split("?")[0] != before)
    expect(status(page)).to_have_text(re.compile("Completed"))
    agent(page, "register").click()
    page.get_by_role("button", name="Rerun from here").click()
    expect(dialog).to_contain_text("the 1 agent after it: last")
    dialog.get_by_role("button", name="Rerun").click()
    expect(page.get_by_role("heading", name="Attempts (2)")).to_be_visible()


def test_the_editor_shows_problems_in_their_lines(page: Page, site: Site) -> None:
    page.goto(f"{site.page}#/editor")
    source = page.get_by_label("Run file in YAML")
    source.fill(REFUND.replace("after: triage", "after: triag"))
    problem = page.locator(".problems button")
    expect(problem).to_contain_text("16:23")
    expect(page.locator(".numbers .fail")).to_have_text(re.compile("16"))
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_disabled()
    page.screenshot(path=SHOTS / "problems.png")
    problem.click()
    chosen = source.evaluate("each => each.value.slice(each.selectionStart, each.selectionEnd)")
    assert chosen.startswith("triag,")
    source.fill(REFUND)
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_enabled()


def test_outputs_are_texts_whatever_they_hold(page: Page, site: Site) -> None:
    page.goto(site.start(saying(HOSTILE)))
    agent(page, "speaker").click()
    output = page.locator(".panel .markdown").first
    expect(output).to_contain_text("<script>window.harmed = 1</script>")
    expect(output).to_contain_text("\u241b[31mred\u241b[0m \u2039U+202E\u203aturned")
    expect(output.locator("strong")).to_have_text("bold")
    expect(output.locator("a")).to_have_text(["site", "\U0001f5bc x"])
    assert output.locator("img, script, b").count() == 0
    page.get_by_role("tab", name="Plain").first.click()
    expect(page.locator(".panel pre.plain").first).to_contain_text("<img src=x onerror")
    assert page.evaluate("window.harmed") is None


def test_two_tabs_show_the_same(page: Page, new_page: Callable[[], Page], site: Site) -> None:
    address = site.start(MAP)
    other = new_page()
    page.goto(address)
    other.goto(address)
    expect(agent(other, "write")).to_have_class(re.compile("run"))
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("dialog")).to_contain_text("1 running attempt will go on to the end")
    page.get_by_role("button", name="Pause the session").click()
    expect(status(other)).to_have_text(re.compile("Paused"))
    other.get_by_role("button", name="Resume").click()
    other.get_by_role("button", name="Resume the session").click()
    expect(status(page)).to_have_text(re.compile("Running"))
    other.get_by_role("button", name="Cancel").click()
    other.get_by_role("button", name="Cancel the session").click()
    expect(status(page)).to_have_text(re.compile("Cancelled"))
    expect(status(other)).to_have_text(re.compile("Cancelled"))
    # A session that has ended is run again in one tab: the other one follows.
    console.held.set()
    page.get_by_role("button", name="Retry").click()
    page.get_by_role("button", name="Retry the session").click()
    expect(status(other)).to_have_text(re.compile("Completed"))


def test_of_a_thousand_agents_only_one_that_changes_is_drawn_again(page: Page, site: Site) -> None:
    count_what_is_drawn(page)
    workers: list[str] = []
    page.on("worker", lambda worker: workers.append(urlsplit(worker.url).path))
    page.goto(site.start(crowd(1000)))
    expect(page.locator(".node")).to_have_count(1000)
    expect(agent(page, "apart")).to_contain_text("asks ann")
    first = Counter(page.evaluate("drawn"))
    assert {each: first[each] for each in first if each.startswith("middle")} == {
        "middle": 1,
        **{f"middle #{number}": 1 for number in range(2, 998)},
    }
    page.evaluate("drawn.length = 0")
    agent(page, "apart").click()
    page.get_by_label("Your answer").fill("yes")
    page.get_by_role("button", name="Send the answer").click()
    expect(page.locator(".panel").get_by_role("heading", name="Attempts (1)")).to_be_visible()
    expect(agent(page, "apart")).to_have_class(re.compile("done"))
    clock = {"begin"}  # it runs, and shows for how long
    assert set(page.evaluate("drawn")) - clock == {"apart"}
    page.evaluate("drawn.length = 0")
    agent(page, "middle #500").click()
    expect(page.locator(".panel .why")).to_contain_text("It waits for 1 unfinished predecessor")
    assert set(page.evaluate("drawn")) - clock == {"apart", "middle #500"}
    page.screenshot(path=SHOTS / "crowd.png")
    console.held.set()
    expect(page.locator(".head .progress")).to_contain_text(
        re.compile("[0-9]{2,} completed"), timeout=30_000
    )
    assert workers == ["/console/layout.js"]  # a graph is laid out once, beside the page
    page.get_by_role("tab", name="Agents").click()
    expect(page.locator(".grid .node")).to_have_count(400)
    expect(page.get_by_role("button", name="Next")).to_be_enabled()


def test_a_layout_that_takes_too_long_becomes_a_grid(page: Page, site: Site) -> None:
    page.route(
        "**/layout.js?*",
        lambda route: route.fulfill(
            content_type="text/javascript", body="onmessage = () => { for (;;); };"
        ),
    )
    page.goto(site.start(crowd(120)))
    expect(page.locator(".grid .node")).to_have_count(120)


def test_the_sessions_are_found_by_status_user_task_and_uuid(page: Page, site: Site) -> None:
    address = site.start(MAP)
    uuid = address.rpartition("/")[2]
    page.goto(site.page)
    row = page.locator("tbody tr").filter(has_text=uuid[:18])
    expect(row).to_contain_text("Running")
    page.screenshot(path=SHOTS / "sessions.png")
    page.get_by_label("Uuid").fill(uuid[:20])
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("button", name="Failed").click()
    expect(page.get_by_text("No session matches")).to_be_visible()
    page.get_by_role("button", name="Running").click()
    expect(row).to_be_visible()
    console.held.set()
    expect(page.get_by_text("No session matches")).to_be_visible()
    page.get_by_role("button", name="All").click()
    expect(row).to_contain_text("Completed")
    row.get_by_role("link").click()
    expect(status(page)).to_have_text(re.compile("Completed"))


def test_every_address_shows_a_screen(page: Page, site: Site) -> None:
    page.goto(site.page)
    for address, words in (
        ("sessions?task=%25", "There are no sessions yet|No session matches"),
        ("sessions?show=constructor", "There are no sessions yet|No session matches"),
        ("session/%ZZ/%", "There is no such session"),
        ("session/only-one", "There is no such page"),
        ("coordination", "There is no such page"),
        ("coordination/%F0", "There is no such coordination"),
        ("constructor", "There is no such page"),
        ("__proto__/a/b", "There is no such page"),
    ):
        page.evaluate("address => { location.hash = address; }", f"#/{address}")
        expect(page.locator("main .empty")).to_contain_text(re.compile(words))


def test_long_names_leave_room_for_the_rest_of_a_small_phone(page: Page, site: Site) -> None:
    session = site.start(saying("").replace("Hostile", "N" * 300).replace("speaker", "s" * 200))
    page.set_viewport_size({"width": 320, "height": 640})
    for address, part in (
        (session, "h1"),
        (session, ".head a >> nth=1"),
        (site.page, "tbody td.main a"),
        (f"{site.page}#/coordinations", ".cards h2"),
    ):
        page.goto(address)
        box = page.locator(part).first.bounding_box()
        assert box is not None
        assert box["height"] < 90, (part, box)
        for link in page.locator("nav a").all():
            place = link.bounding_box()
            assert place is not None
            assert place["x"] + place["width"] <= 320, (address, link.text_content())
    page.goto(session)
    expect(page.get_by_text("It is empty.")).to_be_visible()


def test_the_timeline_of_a_copy_says_why_it_is_empty(page: Page, site: Site) -> None:
    page.goto(site.start(REFUND))
    expect(agent(page, "approver")).to_contain_text("asks ann")
    source = page.url
    page.get_by_role("button", name="Fork", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Fork").click()
    page.wait_for_url(lambda url: url != source)
    expect(agent(page, "approver")).to_contain_text("asks ann")
    page.get_by_role("tab", name="Timeline").click()
    expect(page.get_by_text("Nothing has run since it was copied")).to_be_visible()


def test_a_tenant_sees_its_own_sessions(page: Page, running: Running, site: Site) -> None:
    Site(running, "other").start(REFUND)
    address = site.start(saying("of this one"))
    assert f"/{site.endpoint_id}/#/session/" in address
    page.goto(address)
    expect(page.get_by_label("Session", exact=True)).to_contain_text("of this one")
    page.get_by_role("link", name="Sessions").first.click()
    expect(page.locator("tbody tr")).to_have_count(1)
    assert page.url.startswith(f"{site.page}#")
    page.goto(f"{site.page}graphql")
    assert page.url == site.page


def test_a_broken_connection_comes_back_with_the_present_state(
    context: BrowserContext, tmp_path: Path
) -> None:
    console.held.clear()
    page = context.new_page()
    with serve(data_dir=tmp_path / "data") as running:
        address = Site(running).start(REFUND)
        page.goto(address)
        expect(agent(page, "approver")).to_contain_text("asks ann")
        expect(page.locator(".connection")).to_have_text("Live")
        port = int(running.page.split(":")[2].strip("/"))
    expect(page.locator(".connection")).to_have_text("Reconnecting")
    expect(agent(page, "approver")).to_contain_text("asks ann")  # the latest state stays
    with serve(port, tmp_path / "data"):
        expect(page.locator(".connection")).to_have_text("Live")
        agent(page, "approver").click()
        page.get_by_role("button", name="Approve", exact=True).click()
        expect(status(page)).to_have_text(re.compile("Completed"))
        expect(page.locator(".problem")).to_have_count(0)


def test_the_query_box_and_the_coordinations(page: Page, site: Site) -> None:
    before = site.start(REFUND)
    site.post(SCHEDULE, REFUND)
    page.goto(f"{site.page}#/query")
    page.get_by_label("Search").fill("SessionAgentType.state")
    expect(page.locator(".types summary").first).to_contain_text("SessionAgentType.state")
    page.get_by_label("Query", exact=True).fill("{ ping }")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".json")).to_contain_text("Hello at")
    page.screenshot(path=SHOTS / "query.png")
    page.goto(f"{site.page}#/coordinations")
    page.get_by_role("link", name="Refunds").click()
    expect(page.get_by_role("heading", name="Tasks")).to_be_visible()
    expect(page.locator("tr", has_text="0 9 1 1 *")).to_contain_text("-01-01 09:00:00")
    page.screenshot(path=SHOTS / "coordination.png")
    page.get_by_role("button", name="Start").click()
    page.get_by_role("dialog").get_by_role("button", name="Start").click()
    expect(agent(page, "approver")).to_contain_text("asks ann")
    address = page.url
    assert address > before  # lists are in the order of the uuids
    assert UUID(address.rpartition("/")[2]).version == 7
    page.goto(f"{site.page}#/inbox")
    for count in (2, 1):
        expect(page.locator(".questions button")).to_have_count(count)
        expect(page.locator("article")).to_contain_text("Refund 250 EUR to Ada?")
        page.keyboard.press("r")
    expect(page.get_by_text("Nobody is waited for")).to_be_visible()
    page.goto(address)
    expect(agent(page, "pay")).to_contain_text("Skipped")
    expect(page.get_by_label("Session", exact=True)).to_contain_text("There is no refund.")


def test_sign_in_keeps_tokens_out_of_addresses(page: Page, site: Site) -> None:
    """Authorization code with PKCE; the provider is played by the test."""
    asked: list[dict[str, str]] = []
    sent: list[str | None] = []
    given = {"authorizationEndpoint": f"{site.page}authorize", "clientId": "console"}
    given["tokenEndpoint"] = f"{site.page}token"

    def authorize(route: Route) -> None:
        query = dict(parse_qsl(urlsplit(route.request.url).query))
        asked.append(query)
        back = f"{site.page}?code=c-1&state={query['state']}"
        route.fulfill(status=302, headers={"location": back})

    def token(route: Route) -> None:
        asked.append(dict(parse_qsl(route.request.post_data or "")))
        route.fulfill(json={"access_token": "secret-1", "expires_in": 3600, "token_type": "Bearer"})

    def api(route: Route) -> None:
        sent.append(route.request.headers.get("authorization"))
        route.continue_()

    page.route("**/config.json", lambda route: route.fulfill(json={"signIn": given}))
    page.route("**/authorize?*", authorize)
    page.route("**/token", token)
    page.route("**/graphql", api)
    page.goto(f"{site.page}#/inbox")
    expect(page.get_by_role("heading", name="Inbox")).to_be_visible()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    expect(page.locator(".connection")).to_have_text("Live")
    assert page.url == f"{site.page}#/inbox"
    first, second = asked
    assert (first["code_challenge_method"], first["response_type"]) == ("S256", "code")
    assert (second["code"], second["grant_type"]) == ("c-1", "authorization_code")
    digest = hashlib.sha256(second["code_verifier"].encode()).digest()
    assert first["code_challenge"] == urlsafe_b64encode(digest).decode().rstrip("=")
    page.get_by_role("link", name="Sessions").first.click()
    expect(page.get_by_role("heading", name="Sessions")).to_be_visible()
    page.wait_for_function("performance.getEntriesByType('resource').length > 5")
    assert sent and set(sent) == {"Bearer secret-1"}
    assert page.evaluate("JSON.stringify(localStorage)") == "{}"


FORM = """
coordination:
  name: Reviews
  agents:
    - {name: review, runtime: {kind: function, name: answer}}
task:
  subtasks: [{agent: review, query: "How good is it?"}]
  actions:
    review:
      ask: ann
      answer_schema:
        type: object
        required: [score, kind]
        properties:
          score: {type: integer, minimum: 1, maximum: 10, title: Score}
          kind: {enum: [book, film]}
          genre: {enum: [crime, love]}
          public: {type: boolean}
          remark: {type: string}
"""


def test_a_form_is_made_from_the_schema_of_the_answer(page: Page, site: Site) -> None:
    page.goto(site.start(FORM))
    agent(page, "review").click()
    page.get_by_label("Score (required)").fill("7")
    page.get_by_role("button", name="Send the answer").click()  # nothing is chosen for a person
    expect(page.get_by_label("kind (required)")).to_be_focused()
    page.get_by_label("kind (required)").select_option("film")
    page.get_by_label("public").check()
    page.get_by_label("remark").fill('say "no"')
    sent: list[str] = []
    page.on("request", lambda each: sent.append(each.post_data or ""))
    page.get_by_role("button", name="Send the answer").click()
    expect(status(page)).to_have_text(re.compile("Completed"))
    (answer,) = [
        each for each in map(json.loads, filter(None, sent)) if "text" in each["variables"]
    ]
    assert json.loads(answer["variables"]["text"]) == {
        "score": 7,
        "kind": "film",
        "public": True,
        "remark": 'say "no"',
    }
    expect(page.locator(".panel .json").first).to_contain_text('"score": 7')


def test_what_a_runtime_asks_is_shown_with_its_tool_calls(page: Page, site: Site) -> None:
    page.goto(site.start(saying("").replace("name: say", "name: pay")))
    agent(page, "speaker").click()
    expect(page.locator(".panel")).to_contain_text("May I pay?")
    page.goto(f"{site.page}#/inbox")
    question = page.locator("article")
    expect(question).to_contain_text("May I pay?")
    wanted = question.locator("section", has_text="What it wants to do")
    expect(wanted.locator(".json")).to_contain_text('"amount": 250')
    expect(question.get_by_label("Or why not")).to_be_visible()
    page.screenshot(path=SHOTS / "approval.png")
    page.keyboard.press("a")
    expect(page.get_by_text("Nobody is waited for")).to_be_visible()
    page.go_back()
    expect(page.locator(".panel")).to_contain_text("answered true")
    page.get_by_text("1 tool call").click()
    expect(page.locator(".attempts .json")).to_contain_text('"result": "paid"')
    expect(page.locator(".attempts")).to_contain_text("$0.000200")
    page.keyboard.press("Escape")
    facts = page.get_by_label("Session", exact=True).locator(".facts")
    expect(facts).to_contain_text("$0.000200 1,200 in · 34 out tokens")


def test_the_timeline_cuts_idle_stretches_short_and_keeps_the_order(page: Page, site: Site) -> None:
    page.goto(site.page)
    found = page.evaluate(
        """async () => {
          const { scaleOf } = await import("/console/timeline.js");
          const bars = [[0, 1000], [500, 2000], [3602000, 3603000], [3604500, 3604500]];
          const { at, gaps, total } = scaleOf(bars.map(([start, end]) => ({ start, end })));
          const times = [0, 1000, 2000, 3602000, 3603000, 3604500];
          return { places: times.map(at), gaps: gaps.map((gap) => gap.milliseconds), total };
        }"""
    )
    assert found["gaps"] == [3_600_000, 1500]
    assert found["total"] == 3_604_501
    places = found["places"]
    assert places == sorted(places)
    assert (places[0], 0.9 < places[-1] <= 1) == (0, True)
    assert places[3] - places[2] == pytest.approx(0.04)  # an hour is a narrow strip


def test_markdown_of_any_kind_is_read_in_time(page: Page, site: Site) -> None:
    page.goto(site.page)
    hostile = ["*" * 50_000, "[" * 50_000, "`" * 50_000, "> " * 20_000, "- " * 20_000, "|" * 50_000]
    hostile += ["_a " * 20_000, "~~" * 30_000, "1. x\n" * 20_000, "![](" * 20_000, "**a" * 20_000]
    taken = page.evaluate(
        """async (texts) => {
          const { Markdown } = await import("/console/text.js");
          return texts.map((text) => {
            const begun = performance.now();
            Markdown({ text });
            return performance.now() - begun;
          });
        }""",
        hostile,
    )
    assert max(taken) < 2000, taken


AUDIT = """axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa']}).then((found) =>
  found.violations.map((each) => [each.id, each.nodes.slice(0, 3).map((node) => node.html)]))"""


@needs_node
def test_every_screen_is_accessible_and_fits_a_small_phone(page: Page, site: Site) -> None:
    session = site.start(REFUND)
    source = (installed(AXE) / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")
    page.goto(session)
    page.evaluate(source)
    found = {}
    for name, address, shown in (
        ("sessions", "#/sessions", "tbody tr"),
        ("session", session, ".node"),
        ("timeline", f"{session}?view=timeline", ".lane"),
        ("inbox", "#/inbox", ".answer button"),
        ("coordinations", "#/coordinations", ".cards article"),
        ("editor", "#/editor", ".node"),
        ("query", "#/query", ".types summary"),
    ):
        page.set_viewport_size({"width": 1380, "height": 860})
        page.evaluate("address => { location.hash = address; }", f"#{address.partition('#')[2]}")
        expect(page.locator(shown).first).to_be_visible()
        page.emulate_media(color_scheme="light")  # test_contrast computes its contrast
        page.screenshot(path=SHOTS / f"{name}-light.png")
        page.emulate_media(color_scheme="dark")
        page.screenshot(path=SHOTS / f"{name}-dark.png")
        if violations := page.evaluate(AUDIT):
            found[name] = violations
        page.set_viewport_size({"width": 320, "height": 640})
        page.screenshot(path=SHOTS / f"{name}-320.png", full_page=True)
        if (width := page.evaluate("document.documentElement.scrollWidth")) > 320:
            found[f"{name} 320"] = width
    assert found == {}


def test_the_keyboard_reaches_agents_and_closes_what_it_opened(page: Page, site: Site) -> None:
    page.goto(site.start(REFUND))
    expect(agent(page, "approver")).to_contain_text("asks ann")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    agent(page, "approver").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Agent approver")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_label("Session", exact=True)).to_be_visible()
    page.get_by_role("tab", name="Graph").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Timeline")).to_be_focused()
    expect(page.get_by_role("tab", name="Timeline")).to_have_attribute("aria-selected", "true")
