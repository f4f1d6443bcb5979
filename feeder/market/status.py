"""The states of a book and why it got there; the values are those on the wire."""

import enum


class BookStatus(enum.IntEnum):
    """A book may be traded on only while it is LIVE."""

    SYNCING = 1  # wanted, no snapshot yet
    LIVE = 2  # a snapshot, and every update since
    STALE = 3  # it was LIVE; something is missing
    DELISTED = 4  # the venue has closed the instrument; nothing more will come


class StatusReason(enum.IntEnum):
    """Why a book's status changed."""

    NONE = 0
    SUBSCRIBED = 1  # wanted from now on
    SNAPSHOT = 2  # a snapshot made it whole
    DISCONNECTED = 3  # the venue connection was lost
    GAP = 4  # an update id is missing
    CROSSED = 5  # best bid at or above best ask
    OVERFLOW = 6  # pending updates grew past what folding may hold
    MALFORMED = 7  # a message of this book could not be understood
    SCALE = 8  # a number finer than the instrument's exponent
    REFUSED = 9  # the venue refused the topic
    NO_SNAPSHOT = 10  # no snapshot within its deadline
    REQUESTED = 11  # an operator asked for a resync
    DELISTED = 12  # the venue closed the instrument
    OUTDATED = 13  # the venue connection lives, but what it brings is old
    UNSUBSCRIBED = 14  # the feeder follows it no longer; nothing more will come until it is subscribed again
