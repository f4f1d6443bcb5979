"""What to tell a person who hears nothing, or not all, of a feed."""

from collections.abc import Iterable, Mapping

from feeder.client.partition import PartitionFeed
from feeder.listen.board import Board
from feeder.listen.paint import Line, Span, Tone, line, wrapped
from feeder.multicast.plan import ChannelPlan, Endpoint

QUIET_SECONDS = 3.0  # a feeder that runs is heard four times a second on every channel


def listening_on(feeds: Mapping[int, PartitionFeed], plan: ChannelPlan) -> list[str]:
    """A line of text per feed line: its groups, ports and interface."""
    numbers = sorted(number for feed in feeds.values() for number in feed.arbiters)
    ends: list[Endpoint] = [
        end for channel in plan.channels if channel.channel_id in {numbers[0], numbers[-1]} for end in channel.endpoints
    ]
    texts = []
    for source in plan.lines:
        mine = [end for end in ends if end.line == source.name]
        first, last = mine[0], mine[-1]
        texts.append(
            f"line {source.name}: groups {first.group} to {last.group}, UDP ports {first.port} to {last.port},"
            f" interface {source.interface}"
        )
    return texts


def nothing_heard(board: Board) -> list[str]:
    """What is listened on, and what to check."""
    seconds = board.clock.monotonic() - board.started
    malformed = sum(feed.malformed for feed in board.feeds.values())
    lines = [f"no multicast heard for {seconds:.0f} s; listening on"]
    lines += [f"  {text}" for text in listening_on(board.feeds, board.plan)]
    if malformed:
        last = next(feed.last_malformed for feed in board.feeds.values() if feed.malformed)
        lines.append(f"  {malformed} datagrams came that are no packets of a feeder; the last: {last}")
    lines += [
        "check that",
        "  a feeder runs and sends to these addresses: `feeder check --json` prints them",
        "  the interface is this machine's towards the feeder: `ip -4 addr` lists them, --line chooses",
        "  multicast gets here: the feeder's multicast.ttl, the switch's IGMP snooping, the firewall",
    ]
    return lines


def listening(board: Board, width: int) -> list[Line]:
    """What a screen without books shows: patience at first, then what to check."""
    if quiet(board):
        return [painted for text in nothing_heard(board) for painted in wrapped(text, width)]
    return [line(Span(" listening ...", Tone.DIM))]


def quiet(board: Board) -> bool:
    """Whether nothing was heard for long enough to say so."""
    return not board.heard() and board.clock.monotonic() - board.started >= QUIET_SECONDS


def wrong_partitions(board: Board) -> str | None:
    """A warning when the feeder spreads its instruments over another number of partitions."""
    other = board.other_partitions()
    if other is None:
        return None
    return f"the feeder has {other} partitions, {board.plan.partitions} are listened to; give --partitions {other}"


def shortened(names: Iterable[str], most: int = 20) -> str:
    """The first `most` names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
