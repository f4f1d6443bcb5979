"""A recording of the venue's public WebSocket: its lines checked and understood.

A line is `<receive time, ns> <raw JSON>` or the JSON alone, then 20 ms after the one before; the file is plain or gzip.
Acks, pongs and whatever else has no topic and data are not messages and are passed over.
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from feeder.errors import FeederError
from feeder.simulator.decimals import digits_of
from feeder.simulator.venue import BookTopic, TradeTopic, parse_topic

BARE_LINE_NS = 20_000_000
_MOST_DIGITS = 18  # what surely fits a signed 64-bit integer


class Message(NamedTuple):
    """One recorded message: ns since the file's first, the bytes to send, and what they say."""

    offset_ns: int
    topic: str
    payload: bytes
    body: dict[str, Any]


@dataclass(slots=True)
class Precision:
    """The most digits that a symbol's prices and sizes have: behind the point, and before it."""

    price_digits: int = 0
    size_digits: int = 0
    price_whole: int = 1
    size_whole: int = 1

    def see_price(self, text: str) -> None:
        """Widen for a price. ValueError if it is none, or the prices together fit no 64-bit integer."""
        self.price_digits = max(self.price_digits, digits_of(text))
        self.price_whole = max(self.price_whole, len(text.partition(".")[0]))
        _check_width(text, self.price_digits + self.price_whole)

    def see_size(self, text: str) -> None:
        """Widen for a size. ValueError if it is none, or the sizes together fit no 64-bit integer."""
        self.size_digits = max(self.size_digits, digits_of(text))
        self.size_whole = max(self.size_whole, len(text.partition(".")[0]))
        _check_width(text, self.size_digits + self.size_whole)


@dataclass(slots=True)
class Recording:
    """A readable, well-formed file of one category's messages."""

    category: str
    path: Path
    topics: list[str] = field(default_factory=list)
    precisions: dict[str, Precision] = field(default_factory=dict)

    @classmethod
    def load(cls, category: str, path: Path) -> "Recording":
        """Read the whole file once. FeederError names the line that cannot be replayed and says why."""
        recording = cls(category, path)
        topics: dict[str, None] = {}
        for number, message in recording._numbered():
            try:
                recording._see(message)
            except (ValueError, KeyError, TypeError) as error:
                reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
                raise recording._malformed(number, f"{message.topic}: {reason}") from error
            topics[message.topic] = None
        if not topics:
            raise FeederError(f"{path} holds no message with topic and data; give a recording of public topics")
        recording.topics = list(topics)
        return recording

    def messages(self) -> Iterator[Message]:
        """The messages in the file's order, read as they are asked for."""
        for _, message in self._numbered():
            yield message

    def _numbered(self) -> Iterator[tuple[int, Message]]:
        first_ns: int | None = None
        offset_ns = -BARE_LINE_NS
        for number, line in self._lines():
            stamp, text = b"", line.strip()
            if text[:1].isdigit():
                stamp, _, text = text.partition(b" ")
            if not text:
                continue
            try:
                body = json.loads(text)
            except ValueError as error:
                raise self._malformed(number, f"not JSON: {error}") from error
            if not isinstance(body, dict):
                raise self._malformed(number, "not a JSON object")
            if "topic" not in body or "data" not in body:
                continue
            if not isinstance(body["topic"], str):
                raise self._malformed(number, "the topic is not a text")
            if stamp:
                if not stamp.isdigit():
                    raise self._malformed(number, f"{stamp[:40]!r} is not a receive time in ns")
                received_ns = int(stamp)
                first_ns = received_ns - max(offset_ns + BARE_LINE_NS, 0) if first_ns is None else first_ns
                # A receiver's clock may have been set back; the order in the file is what was received.
                offset_ns = max(received_ns - first_ns, offset_ns, 0)
            else:
                offset_ns += BARE_LINE_NS
            yield number, Message(offset_ns, body["topic"], text, body)

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        number = 0
        try:
            with self.path.open("rb") as file:
                packed = file.read(2) == b"\x1f\x8b"
            with gzip.open(self.path) if packed else self.path.open("rb") as lines:
                for number, line in enumerate(lines, start=1):
                    yield number, line
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise self._malformed(number + 1, f"the gzip stream is damaged: {error}") from error
        except OSError as error:
            raise FeederError(f"{self.path} cannot be read: {error.strerror}; check the path and its rights") from error

    def _see(self, message: Message) -> None:
        match parse_topic(message.topic):
            case BookTopic(_, symbol):
                data = message.body["data"]
                if message.body["type"] not in ("snapshot", "delta"):
                    raise ValueError(f"type {message.body['type']!r} is neither snapshot nor delta")
                if type(data["u"]) is not int or type(data.get("seq", 0)) is not int:
                    raise TypeError("u and seq must be whole numbers")
                precision = self.precisions.setdefault(symbol, Precision())
                for price, size in data["b"] + data["a"]:
                    precision.see_price(price)
                    precision.see_size(size)
            case TradeTopic():
                for row in message.body["data"]:
                    precision = self.precisions.setdefault(row["s"], Precision())
                    precision.see_price(row["p"])
                    precision.see_size(row["v"])

    def _malformed(self, number: int, reason: str) -> FeederError:
        return FeederError(f"{self.path}, line {number}: {reason}; remove or mend the line")


def _check_width(text: str, digits: int) -> None:
    if digits > _MOST_DIGITS:
        raise ValueError(
            f"with {text[:60]!r} the symbol's numbers need {digits} digits; {_MOST_DIGITS} can be replayed"
        )
