"""Measure the web console: how soon a session and a change of it are seen, size, and lines."""

import gzip
import shutil
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import httpx
from playwright.sync_api import Browser, sync_playwright

import ai_coordination_engine
from ai_coordination_engine.entrypoints.local.server import serving
from ai_coordination_engine.settings import Settings
from benchmarks.table import Row

FOLDER = Path(ai_coordination_engine.__file__).with_name("console")
AGENTS, TIMES = 50, 9
SEEN = f"""new Promise((done) => {{
  const look = () => document.querySelectorAll(".node").length === {AGENTS}
    ? requestAnimationFrame(() => done(performance.now())) : requestAnimationFrame(look);
  look();
}})"""
CHANGES, PAUSE = 100, 120  # milliseconds; a subscription gets at most 10 answers a second
CHANGED = """([control, word]) => new Promise((done) => {
  const begun = performance.now(), main = document.querySelector("main");
  new MutationObserver((_, observer) => {
    if (!main.querySelectorAll("p.line")[1].textContent.includes(word)) return;
    observer.disconnect();
    requestAnimationFrame(() => done(performance.now() - begun));
  }).observe(main, { subtree: true, childList: true, characterData: true });
  fetch("/graphql", { method: "POST", headers: { "content-type": "application/json" },
    body: JSON.stringify({ query: `mutation {
      ${control}(coordinationUuid: "c", sessionUuid: "s") { session { id } } }` }) });
})"""
WAITING = """mutation {
  insertUpdateCoordination(coordinationUuid: "c", agents: [{agentUuid: "a"}], updatedBy: "b") {
    coordination { id } }
  insertUpdateTask(coordinationUuid: "c", taskUuid: "t", taskName: "t", updatedBy: "b",
    agentActions: {a: {userInTheLoop: "ann"}}) { task { id } }
  executeProcedureTaskSession(coordinationUuid: "c", taskUuid: "t", sessionUuid: "s") {
    procedureTaskSession { sessionUuid } } }"""
START = """mutation ($agents: [JSONCamelCase], $actions: JSONCamelCase) {
  insertUpdateCoordination(coordinationUuid: "c", agents: $agents, updatedBy: "b") {
    coordination { id } }
  insertUpdateTask(coordinationUuid: "c", taskUuid: "t", taskName: "t", agentActions: $actions,
    updatedBy: "b") { task { id } }
  executeProcedureTaskSession(coordinationUuid: "c", taskUuid: "t", taskQuery: "go") {
    procedureTaskSession { sessionUuid } } }"""


def measure() -> Iterator[Row]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is not None:
        yield _paint(chromium)
        yield _change(chromium)
    files = [each for each in FOLDER.iterdir() if each.is_file()]
    size = sum(len(gzip.compress(each.read_bytes(), 9)) for each in files)
    yield Row(
        "console, gzip", "≤ 60 KB", f"{size / 1000:.1f} KB", f"{len(files)} files, each alone"
    )
    own = [each.read_text() for each in files if each.suffix == ".js" and each.name != "vendor.js"]
    lines = sum(len(text.splitlines()) for text in own)
    yield Row(
        "console, lines of our JavaScript",
        "≤ 2,000",
        f"{lines:,}",
        "with blank lines and comments",
    )


def _paint(chromium: str) -> Row:
    settings = Settings(auth="local")
    with serving(settings, port=0) as running, sync_playwright() as playwright:
        session = _start(running.url)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        address = f"{running.page}#/session/c/{session}"
        requests = _requests(browser, address)
        taken = [_seen(browser, address) for _ in range(TIMES)]
        browser.close()
    return Row(
        f"first paint of a session of {AGENTS} agents, cold",
        "≤ 300 ms",
        f"{median(taken):.0f} ms",
        f"headless Chromium, a new profile each time, from the navigation to the frame with all"
        f" agents; median of {TIMES}, {min(taken):.0f} to {max(taken):.0f}; {requests} requests,"
        " three in a row: the page, its files, the session",
    )


def _change(chromium: str) -> Row:
    with serving(Settings(auth="local"), port=0) as running, sync_playwright() as playwright:
        httpx.post(running.url, json={"query": WAITING}).raise_for_status()
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"{running.page}#/session/c/s")
        page.get_by_text("Waits for ann").first.wait_for()
        page.get_by_text("Live", exact=True).wait_for()
        taken = []
        for each in range(CHANGES):
            page.wait_for_timeout(PAUSE)
            change = ("resumeSession", "Waits") if each % 2 else ("pauseSession", "Paused")
            taken.append(float(page.evaluate(CHANGED, change)))
        browser.close()
    late = sorted(taken)[int(0.99 * CHANGES) - 1]
    return Row(
        "state change → update in the browser, one machine, median · 99 %",
        "≤ 30 · 150 ms",
        f"{median(taken):.1f} · {late:.1f} ms",
        f"{CHANGES} controls, from before the request until the frame of the page after the change",
    )


def _start(url: str) -> str:
    agents = [{"agentUuid": f"a{number}"} for number in range(AGENTS)]
    actions = {
        f"a{number}": {"predecessors": [f"a{number // 3}", f"a{number // 2}"] if number > 5 else []}
        for number in range(AGENTS)
    }
    sent = {"query": START, "variables": {"agents": agents, "actions": actions}}
    data = httpx.post(url, json=sent).json()["data"]
    return str(data["executeProcedureTaskSession"]["procedureTaskSession"]["sessionUuid"])


def _requests(browser: Browser, address: str) -> int:
    """Return the number of HTTP requests until all agents are painted."""
    context = browser.new_context()
    page = context.new_page()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    page.goto(address, wait_until="commit")
    page.evaluate(SEEN)
    context.close()
    return len(sent)


def _seen(browser: Browser, address: str) -> float:
    """Return the milliseconds until all agents are painted."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(address, wait_until="commit")
    seen = float(page.evaluate(SEEN))
    context.close()
    return seen
