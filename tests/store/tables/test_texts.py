"""An item that this process read or wrote lately is not parsed again."""

from pathlib import Path

import pytest

from ai_coordination_engine.database_file import DatabaseFile
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.tables.sqlite import SqliteTables
from ai_coordination_engine.store.tables.table import Refused, Table
from ai_coordination_engine.store.tables.texts import Known, Texts

ITEM = {"state": {"S": "initial ü"}, "unfinished": {"NS": ["1", "2"]}, "acting": {"BOOL": True}}


def test_what_was_written_or_read_is_parsed_once() -> None:
    writer, reader = Texts(), Texts()
    text = writer.text(ITEM)
    assert (writer.item(text), writer.item(text) is ITEM) == (ITEM, True)
    assert reader.item(text) == ITEM
    assert reader.item(text) is reader.item("".join([text[:1], text[1:]]))


def test_few_items_are_kept_and_none_that_is_long() -> None:
    texts = Texts()
    kept = [texts.text({"number": {"N": str(number)}}) for number in range(1000)]
    assert len(texts._latest) + len(texts._earlier) <= 256
    assert [texts.item(text) for text in kept] == [{"number": {"N": str(n)}} for n in range(1000)]
    long = texts.text({"text": {"S": "x" * 5000}})
    assert texts.item(long) == texts.item(long)
    assert texts.item(long) is not texts.item(long)


class Interrupting(str):
    """A text; while it is looked up, other threads write."""

    known: Known

    def __hash__(self) -> int:
        for number in range(128):
            self.known._keep(("other", str(number)), "{}")
        return super().__hash__()


def test_threads_that_write_meanwhile_do_no_harm() -> None:
    known = Known()
    known.keep(("s", "a"), "{}")
    Interrupting.known = known
    key = (Interrupting("s"), "a")
    for _ in range(3):
        assert known.text(key) in ("{}", None)
        known.keep(key, "{}")
        known.is_of_others(key)


def test_what_another_process_wrote_is_read(tmp_path: Path, tenant: str) -> None:
    files = [DatabaseFile(tmp_path / "ace.db", "none", alone=False) for _ in range(2)]
    here, there = (Table(SessionAgent, SqliteTables(file), "ace") for file in files)
    key, always = ("s", "a"), SessionAgent.session_uuid.exists()
    here.put(SessionAgent(*key, partition_key=tenant, attempt=0), ~always)
    for number in range(1, 4):
        for table in (here, there):
            assert table.update(tenant, key, [SessionAgent.attempt.add(1)], always).attempt
        found = here.get(tenant, key)
        assert found is not None
        assert found.attempt == 2 * number
    for file in files:
        file.close()


def test_a_record_does_not_change_with_the_next_write(tmp_path: Path, tenant: str) -> None:
    file = DatabaseFile(tmp_path / "ace.db", "none")
    agents = Table(SessionAgent, SqliteTables(file), "ace")
    key, always = ("s", "a"), SessionAgent.session_uuid.exists()
    agents.put(SessionAgent(*key, partition_key=tenant, unfinished={1, 2}, thread=[1]), ~always)
    before, same = agents.get(tenant, key), agents.get(tenant, key)
    assert before is not None
    assert same is not None
    before.thread.append(2)
    after = agents.update(tenant, key, [SessionAgent.unfinished.delete([1])], always)
    assert (before.unfinished, after.unfinished) == ({1, 2}, {2})
    assert (same.thread, after.thread) == ([1], [1])
    file.close()


def test_an_item_that_this_process_wrote_last_is_written_without_a_look_at_it(
    tmp_path: Path, tenant: str
) -> None:
    file = DatabaseFile(tmp_path / "ace.db", "none")
    agents = Table(SessionAgent, SqliteTables(file), "ace")
    key, always = ("s", "a"), SessionAgent.session_uuid.exists()
    agents.put(SessionAgent(*key, partition_key=tenant, attempt=0), ~always)
    said: list[str] = []
    file._writer.set_trace_callback(lambda text: said.append(text.split()[0]))
    assert agents.update(tenant, key, [SessionAgent.attempt.add(1)], always).attempt == 1
    with pytest.raises(Refused) as refused:
        agents.update(tenant, key, [SessionAgent.attempt.add(1)], ~always)
    assert refused.value.old.attempt == 1
    assert said == ["BEGIN", "UPDATE", "COMMIT", "BEGIN", "SELECT", "COMMIT"]
    file.close()


def test_what_a_transaction_wrote_that_failed_is_not_relied_on(tmp_path: Path, tenant: str) -> None:
    file = DatabaseFile(tmp_path / "ace.db", "none")
    agents = Table(SessionAgent, SqliteTables(file), "ace")
    key, always = ("s", "a"), SessionAgent.session_uuid.exists()
    agents.put(SessionAgent(*key, partition_key=tenant, attempt=0), ~always)
    first = SessionAgent.attempt == 1
    with pytest.raises(KeyError), file.together():
        agents.update(tenant, key, [SessionAgent.attempt.add(1)], always)
        agents.delete(tenant, key, always)
        raise KeyError
    with pytest.raises(Refused):
        agents.update(tenant, key, [SessionAgent.attempt.add(1)], first)
    assert agents.update(tenant, key, [SessionAgent.attempt.add(1)], always).attempt == 1
    agents.delete(tenant, key, first)
    with pytest.raises(Refused):
        agents.update(tenant, key, [SessionAgent.attempt.add(1)], first)
    file.close()


def test_an_item_that_others_write_too_is_read_first(tmp_path: Path, tenant: str) -> None:
    """It would be compared in vain each time."""
    files = [DatabaseFile(tmp_path / "ace.db", "none", alone=False) for _ in range(2)]
    here, there = (Table(SessionAgent, SqliteTables(file), "ace") for file in files)
    key, always = ("s", "a"), SessionAgent.session_uuid.exists()
    here.put(SessionAgent(*key, partition_key=tenant, attempt=0), ~always)
    said: list[str] = []
    files[0]._writer.set_trace_callback(lambda text: said.append(text.split()[0]))
    for number in (2, 4):
        there.update(tenant, key, [SessionAgent.attempt.add(1)], always)
        assert here.update(tenant, key, [SessionAgent.attempt.add(1)], always).attempt == number
    first, second = ["BEGIN", "UPDATE", "SELECT", "UPDATE"], ["BEGIN", "SELECT", "UPDATE"]
    assert said == [*first, "COMMIT", *second, "COMMIT"]
    for file in files:
        file.close()
