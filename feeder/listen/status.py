"""How each status looks, and what it means in a few words."""

from feeder.client.status import ViewStatus
from feeder.listen.paint import Ground, Tone

TONES = {
    ViewStatus.LIVE: Tone.GOOD,
    ViewStatus.JOINING: Tone.WARN,
    ViewStatus.SYNCING: Tone.WARN,
    ViewStatus.DELISTED: Tone.DIM,
    ViewStatus.SUSPECT: Tone.BAD,
    ViewStatus.STALE: Tone.BAD,
    ViewStatus.ENDED: Tone.BAD,
    ViewStatus.FEEDER_LOST: Tone.BAD,
    ViewStatus.CLOSED: Tone.DIM,
}

GROUNDS = {Tone.WARN: Ground.WARN, Tone.DIM: Ground.WARN, Tone.BAD: Ground.BAD, Tone.GOOD: Ground.NONE}

MEANINGS = {
    ViewStatus.LIVE: "exactly the exchange's book",
    ViewStatus.JOINING: "no snapshot from the feeder yet",
    ViewStatus.SYNCING: "the feeder waits for the exchange's first snapshot",
    ViewStatus.STALE: "the feeder lost the exchange, or something from it; it resynchronises",
    ViewStatus.DELISTED: "the exchange closed the instrument",
    ViewStatus.SUSPECT: "packets were lost on every line; nothing has proven this book since",
    ViewStatus.FEEDER_LOST: "no packet, not even a heartbeat, on any line",
    ViewStatus.ENDED: "the feeder ended its session",
    ViewStatus.CLOSED: "this listener has stopped listening",
}

# Worst first, as a list sorted by status shows them.
SEVERITY = {
    status: rank
    for rank, status in enumerate(
        (
            ViewStatus.FEEDER_LOST,
            ViewStatus.ENDED,
            ViewStatus.CLOSED,
            ViewStatus.STALE,
            ViewStatus.SUSPECT,
            ViewStatus.JOINING,
            ViewStatus.SYNCING,
            ViewStatus.DELISTED,
            ViewStatus.LIVE,
        )
    )
}
