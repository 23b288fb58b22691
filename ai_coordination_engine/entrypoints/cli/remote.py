"""Reach the server that a command asks."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from ai_coordination_engine.client import Unauthenticated, Unreachable
from ai_coordination_engine.client.endpoint import is_loopback
from ai_coordination_engine.client.retries import DEFAULT_RETRIES
from ai_coordination_engine.entrypoints.cli.client import Client, LocalRetries
from ai_coordination_engine.entrypoints.cli.failures import FAILED, Failure
from ai_coordination_engine.entrypoints.cli.output import on_one_line
from ai_coordination_engine.entrypoints.cli.remote_options import DEFAULT_URL, Remote
from ai_coordination_engine.entrypoints.cli.terminal import Terminal
from ai_coordination_engine.entrypoints.local.address import address_of
from ai_coordination_engine.settings import ServerVariables, server_variables


class NoServer(Failure):
    """No server answers; one may come back."""


def address(remote: Remote) -> str:
    """The address of the API; raises `NoServer` if no server holds the data directory."""
    folder = remote.data_dir
    if folder is None:
        return remote.url or server_variables().url or DEFAULT_URL
    if remote.url is not None:
        raise Failure("give either --url or --data-dir.")
    found = address_of(folder)
    if found is None:
        raise NoServer(
            f"no server holds {folder}. Start one: ace serve --data-dir {folder}", FAILED
        )
    return found


@contextmanager
def client_of(remote: Remote) -> Iterator[Client]:
    """A client for the server; warnings go to stderr at the end.

    Raises `Failure` for an address, a tenant or a token that is not valid, and `NoServer`; both say
    what to do.
    """
    url, given = address(remote), server_variables()
    token = _token(remote, given)
    try:
        client = Client(
            url,
            tenant=remote.tenant or given.tenant,
            token=token,
            retries=LocalRetries() if is_loopback(httpx.URL(url)) else DEFAULT_RETRIES,
        )
    except (ValueError, httpx.InvalidURL) as error:
        raise Failure(f"{error} (--url, --tenant, ACE_URL, ACE_TENANT, ACE_TOKEN)") from error
    try:
        with client:
            yield client
    except Unreachable as error:
        raise NoServer(_how_to_reach(error), FAILED) from error
    except Unauthenticated as error:
        hint = "check ACE_TOKEN" if token else "set ACE_TOKEN to a bearer token, and ACE_URL"
        raise Failure(f"{error.message}; {hint}", FAILED) from error
    finally:
        for warning in dict.fromkeys(client.warnings):
            Terminal(stderr=True).print(f"warning: {warning}")


def say_tenant(remote: Remote) -> None:
    """Name the tenant that was asked, if one was named: a wrong name looks like an empty tenant."""
    path = httpx.URL(remote.url or server_variables().url or "").path.strip("/").split("/")
    named = remote.tenant or server_variables().tenant or (path[0] if len(path) == 2 else None)
    if named:
        Terminal(stderr=True).print(f"The tenant is {on_one_line(named)}.")


def _token(remote: Remote, given: ServerVariables) -> str | None:
    """The token, for an address that the user has named: any program of this machine may have the
    default one, or what a directory says.
    """
    is_named = remote.data_dir is None and bool(remote.url or given.url)
    return given.token.get_secret_value() if given.token and is_named else None


class Absence:
    """Waits for a server that was there to come back, and says so once."""

    def __init__(self, console: Terminal) -> None:
        self._console = console
        self._is_away = False

    def wait(self) -> None:
        """The server does not answer: wait a second."""
        if not self._is_away:
            self._console.print("The server does not answer. Waiting for it to come back.")
        self._is_away = True
        threading.Event().wait(1)

    def ended(self) -> None:
        """The server answers."""
        if self._is_away:
            self._console.print("The server is back.")
        self._is_away = False


def _how_to_reach(error: Unreachable) -> str:
    if error.sent:
        return error.message
    return (
        f"{error.message}. Start a server: ace serve; or name one: --url or ACE_URL, or --data-dir"
        " for that of a directory."
    )
