"""Every error feeder raises on purpose; the operating system's own errors pass through unchanged.

FeederError
|- ConfigError          a key of the configuration: its path, what is wrong, what to do        (exit code 78)
|- MachineError         what a key asks of this machine cannot be had now; another time it may be        (exit code 1)
|- VenueError           the exchange, or what it sent
|  |- MessageError      a message that cannot be understood
|  |- InstrumentError   a symbol the instrument table does not have
|  `- RestError         a REST request that failed; `retriable` says whether to ask again
|- FixedPointError      a decimal text that is not an exact number
|  `- FinerThanScale    exact, but finer than the instrument's exponent
|- CountersError        a counters file that is missing or cannot be understood
|- ControlError         a control socket that cannot be made, or on which no feeder answers as it should
|- WireError            bytes that are not a packet or message of ours
`- FeedError            a consumer's subscription that cannot work
"""


class FeederError(Exception):
    """The root of the tree. `retriable` says whether doing the same again may help."""

    retriable = False


class ConfigError(FeederError):
    """A configuration key that cannot be used.

    `path` is the key as written (`multicast.lines.A.group`), `problem` what is wrong, `remedy` what to do.
    """

    def __init__(self, path: str, problem: str, remedy: str) -> None:
        super().__init__(f"{path}: {problem}; {remedy}")
        self.path = path
        self.problem = problem
        self.remedy = remedy


class MachineError(FeederError):
    """What the configuration asks of this machine cannot be had now: a port in use, an interface that is down.

    Nothing is wrong with the file, and the same start may succeed later, so whoever restarts feeder goes on doing so.
    `path` is the key that asks for it, `problem` what is wrong, `remedy` what to do.
    """

    retriable = True

    def __init__(self, path: str, problem: str, remedy: str) -> None:
        super().__init__(f"{path}: {problem}; {remedy}")
        self.path = path
        self.problem = problem
        self.remedy = remedy


class VenueError(FeederError):
    """The exchange, or what it sent."""


class MessageError(VenueError):
    """A venue message that cannot be understood."""


class InstrumentError(VenueError):
    """A symbol the instrument table does not have."""


class RestError(VenueError):
    """A REST request that failed. Raised with a message that names the address and the cause.

    `retry_after_seconds` is how long to leave the venue alone first, 0 for no more than one's own backoff.
    """

    def __init__(self, message: str, *, retriable: bool, retry_after_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.retriable = retriable
        self.retry_after_seconds = retry_after_seconds


class FixedPointError(FeederError):
    """A decimal text that is not an exact, non-negative number within 64 bits."""


class FinerThanScale(FixedPointError):  # noqa: N818 - named for the fact, as the venue's documents speak of scale
    """An exact number that needs a finer exponent; `needed` is the exponent that would hold it."""

    def __init__(self, text: str, exponent: int, needed: int) -> None:
        super().__init__(f"{text!r} is finer than 10^{exponent}; it needs 10^{needed}")
        self.text = text
        self.exponent = exponent
        self.needed = needed


class CountersError(FeederError):
    """A counters file that is missing or cannot be understood."""

    retriable = True  # the next feeder makes a new one


class ControlError(FeederError):
    """A control socket that cannot be made, or on which no feeder answers as it should."""


class WireError(FeederError):
    """Bytes that are not a packet or a message of ours."""


class FeedError(FeederError):
    """A consumer's subscription that cannot work."""
