"""Which books of a connection brought old data, and which are to be begun anew because their connection did not."""

from .actions import Phase, Topic


class OldBooks:
    """The books doubted on one socket. Nothing is done about them before something fresh has come after their data.

    If nothing does, the whole connection is replaced, and they with it (see freshness.py).
    """

    def __init__(self) -> None:
        self._held: dict[str, Topic] = {}  # their snapshots were held back
        self._stuck: dict[str, Topic] = {}  # they brought data older than other data before it
        self._to_renew: dict[str, Topic] = {}  # held, and the connection has proved fresh since
        self._to_resync: dict[str, Topic] = {}  # stuck, and others were fresh since

    def start(self) -> None:
        """The connection is new."""
        for books in (self._held, self._stuck, self._to_renew, self._to_resync):
            books.clear()

    def hold(self, topic: Topic) -> None:
        """A snapshot of it was held back."""
        self._held[topic.name] = topic

    def doubt(self, topic: Topic) -> None:
        """It seems to be stuck."""
        self._stuck[topic.name] = topic

    def on_fresh(self, topic: Topic | None) -> None:
        """Something fresh came, of this book if it is one: what was old before was so by itself."""
        self._to_renew |= self._held
        self._held.clear()
        self._to_resync |= self._stuck
        self._stuck.clear()
        if topic is not None and topic.phase is Phase.ACTIVE:
            self._to_resync.pop(topic.name, None)  # it missed nothing

    def __bool__(self) -> bool:
        """Whether there is something to do."""
        return bool(self._to_renew or self._to_resync)

    def take(self) -> tuple[list[Topic], list[Topic]]:
        """Those to renew and those to resync, each of them once."""
        taken = list(self._to_renew.values()), list(self._to_resync.values())
        self._to_renew.clear()
        self._to_resync.clear()
        return taken
