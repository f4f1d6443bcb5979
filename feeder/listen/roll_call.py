"""When `--once` is done: every book that was asked for is there and LIVE, or it is known which are not."""

from feeder.client.status import ViewStatus
from feeder.listen import hints
from feeder.listen.board import Board, reason_of, status_text

# Waiting longer helps neither: the one is there, the other will never be.
_SETTLED = frozenset({ViewStatus.LIVE, ViewStatus.DELISTED})


class RollCall:
    """Calls the roll of the board's books.

    Of all instruments: each partition has ended a snapshot cycle and said how many instruments it has, and so many of
    its books are settled. Of named ones: each is.
    """

    def __init__(self, board: Board) -> None:
        self._board = board

    def complete(self) -> bool:
        """Whether waiting longer helps no more."""
        board = self._board
        if board.other_partitions() is not None:
            return False
        if board.wanted is not None:
            return all(view.status in _SETTLED for view in board.books().values())
        for feed in board.feeds.values():
            settled = sum(view.status in _SETTLED for view in feed.books.views.values() if view.key is not None)
            if feed.books.instruments is None or settled < feed.books.instruments:
                return False
        return True

    def missing(self) -> list[str]:
        """What is not as it should be, in a few words each; empty when everything asked for is LIVE.

        A DELISTED book is as it should be, unless it was asked for by name.
        """
        board = self._board
        other = hints.wrong_partitions(board)
        found = [other] if other is not None else []
        for (category, symbol), view in board.books().items():
            status = view.status
            if status is ViewStatus.LIVE or (status is ViewStatus.DELISTED and board.wanted is None):
                continue
            told = (
                "not published by this feeder"
                if board.is_absent(view)
                else status_text(status, reason_of(view, status))
            )
            found.append(f"{category}:{symbol} ({told})")
        if board.wanted is None:
            for partition, feed in board.feeds.items():
                count = feed.books.instruments
                defined = sum(view.key is not None for view in feed.books.views.values())
                if count is None:
                    found.append(f"partition {partition} (no snapshot cycle heard to its end)")
                elif defined < count:
                    found.append(f"partition {partition} ({defined} of {count} instruments defined)")
        return found
