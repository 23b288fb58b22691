"""The address of the server that holds a data directory."""

import json
import stat
from contextlib import closing
from pathlib import Path

import pytest

from ai_coordination_engine.entrypoints.local.address import address_of, published
from ai_coordination_engine.entrypoints.local.processes import Processes

URL = "http://127.0.0.1:8000/graphql"


def test_it_is_there_while_the_server_lives(tmp_path: Path) -> None:
    with closing(Processes(tmp_path)) as server:
        assert address_of(tmp_path) is None
        with published(tmp_path, server.name, URL):
            assert address_of(tmp_path) == URL
            assert stat.S_IMODE((tmp_path / "address").stat().st_mode) == 0o600
        assert address_of(tmp_path) is None
    assert [each.name for each in tmp_path.iterdir()] == ["processes"]


def test_others_do_not_rely_on_one_that_ends_with_its_own_work(tmp_path: Path) -> None:
    with closing(Processes(tmp_path)) as server:
        with published(tmp_path, server.name, URL, is_lasting=False):
            assert (address_of(tmp_path), address_of(tmp_path, lasting=True)) == (URL, None)
        with published(tmp_path, server.name, URL):
            assert address_of(tmp_path, lasting=True) == URL


def test_that_of_a_killed_server_has_no_effect(tmp_path: Path) -> None:
    with closing(Processes(tmp_path)) as server:
        server.leaves_work = True  # its files stay
        left = published(tmp_path, server.name, URL)
        left.__enter__()
    assert (tmp_path / "address").exists()
    assert address_of(tmp_path) is None
    new = URL.replace("8000", "8001")
    with closing(Processes(tmp_path)) as other, published(tmp_path, other.name, new):
        assert address_of(tmp_path) == new


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/graphql",
        "http://127.0.0.1:80@example.com/graphql",
        "http://127.0.0.1.example.com:80/graphql",
        f"{URL}\n",
        "file:///etc/passwd",
    ],
)
def test_another_machine_has_no_server_of_a_directory(tmp_path: Path, url: str) -> None:
    with closing(Processes(tmp_path)) as server, published(tmp_path, server.name, url):
        assert address_of(tmp_path) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        json.dumps({"url": URL, "process": "../../etc/passwd"}),
        json.dumps({"url": URL, "process": ""}),
        json.dumps({"url": URL, "process": "\0"}),
    ],
)
def test_what_is_not_an_address_has_no_effect(tmp_path: Path, text: str) -> None:
    (tmp_path / "address").write_text(text)
    assert address_of(tmp_path) is None


def test_a_directory_that_is_not_there_has_no_server(tmp_path: Path) -> None:
    assert address_of(tmp_path / "nothing") is None


def test_a_server_whose_directory_cannot_be_written_is_not_found(tmp_path: Path) -> None:
    with closing(Processes(tmp_path)) as server:
        (tmp_path / "address.new").mkdir()
        with published(tmp_path, server.name, URL):
            assert address_of(tmp_path) is None
