"""The command `ace logs`."""

from ai_coordination_engine.client import operations
from ai_coordination_engine.entrypoints.cli.client import Client
from ai_coordination_engine.entrypoints.cli.finding import SessionKey, find_session
from ai_coordination_engine.entrypoints.cli.output import write, write_json
from ai_coordination_engine.entrypoints.cli.remote import client_of
from ai_coordination_engine.entrypoints.cli.remote_options import Remote
from ai_coordination_engine.entrypoints.cli.session_log import Event, events
from ai_coordination_engine.entrypoints.cli.session_view import SessionView, Why

_PAGE = 1000
_WIDEST = 24  # characters of a name for which there is room


def logs(remote: Remote, session: str, *, follows: bool, with_json: bool) -> None:
    """Print the events of a session, one a line; `follows`: until it ends."""
    with client_of(remote) as client:
        key = find_session(client, session)
        log = _Log(client, key, with_json=with_json)
        if not follows:
            log.show(client.view(key.coordination_uuid, key.session_uuid))
            return
        for _ in client.views(key.coordination_uuid, key.session_uuid, log.show):
            pass


class _Log:
    """Prints each event once."""

    def __init__(self, client: Client, key: SessionKey, *, with_json: bool) -> None:
        self._client = client
        self._key = key
        self._with_json = with_json
        self._shown: set[Event] = set()
        self._explained: set[str] = set()
        self._reasons: dict[str, Why] = {}

    def show(self, view: SessionView) -> None:
        """Print the events that were not printed yet."""
        listed = operations.session_run_list(
            session_uuid=self._key.session_uuid,
            coordination_uuid=self._key.coordination_uuid,
            limit=_PAGE,
        )
        found = events(self._with_reasons(view), [*self._client.records(listed)])
        width = min(max((len(each.name) for each in view.agents), default=0), _WIDEST)
        for each in found:
            if each not in self._shown:
                self._shown.add(each)
                if self._with_json:
                    write_json(each.json())
                else:
                    write(each.line(max(width, len("session"))))

    def _with_reasons(self, view: SessionView) -> SessionView:
        """The view with the reasons why agents were skipped, which are read once."""
        skipped = {each.uuid for each in view.agents if each.state == "skipped"}
        if skipped > self._explained:
            self._explained = skipped
            self._reasons = self._client.reasons(self._key.session_uuid, ["skipped"])
        return view.with_reasons(self._reasons)
