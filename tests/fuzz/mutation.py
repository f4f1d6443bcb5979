"""Inputs made of others: bytes flipped, numbers set to their limits, pieces cut, repeated, moved and put in."""

from collections.abc import Sequence
from random import Random

_LIMITS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 1 << 31, (1 << 32) - 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
_TEXTS = (b"0", b"-1", b"1e5", b"NaN", b"null", b"[]", b"{}", b'""', b"9223372036854775808", b"0.0000001", b"\xd9\xa3")


def mutate(
    data: bytes, random: Random, seeds: Sequence[bytes], tokens: Sequence[bytes], longest: int = 1 << 16
) -> bytes:
    """A relative of `data`, at most `longest` bytes; the same for the same `random`."""
    made = bytearray(data)
    for _ in range(1 << random.randrange(4)):
        _CHANGES[random.randrange(len(_CHANGES))](made, random, seeds, tokens)
    return bytes(made[:longest])


def _flip(made: bytearray, random: Random, seeds: Sequence[bytes], tokens: Sequence[bytes]) -> None:
    if made:
        made[random.randrange(len(made))] ^= 1 << random.randrange(8)


def _byte(made: bytearray, random: Random, seeds: Sequence[bytes], tokens: Sequence[bytes]) -> None:
    if made:
        made[random.randrange(len(made))] = random.randrange(256)


def _number(made: bytearray, random: Random, seeds: Sequence[bytes], tokens: Sequence[bytes]) -> None:
    width = random.choice((1, 2, 4, 8))
    if len(made) >= width:
        at = random.randrange(len(made) - width + 1)
        value = random.choice(_LIMITS) + random.randrange(-2, 3)
        made[at : at + width] = (value & ((1 << (8 * width)) - 1)).to_bytes(width, "little")


def _cut(made: bytearray, random: Random, seeds: Sequence[bytes], tokens: Sequence[bytes]) -> None:
    start, end = _stretch(made, random)
    del made[start:end]


def _repeat(made: bytearray, random: Random, seeds: Sequence[bytes], tokens: Sequence[bytes]) -> None:
    start, end = _stretch(made, random)
    made[start:start] = made[start:end] * random.choice((1, 2, 8))


def _move(made: bytearray, random: Random, seeds: Sequence[bytes], tokens: Sequence[bytes]) -> None:
    start, end = _stretch(made, random)
    piece = bytes(made[start:end])
    del made[start:end]
    at = random.randrange(len(made) + 1)
    made[at:at] = piece


def _insert(made: bytearray, random: Random, seeds: Sequence[bytes], tokens: Sequence[bytes]) -> None:
    at = random.randrange(len(made) + 1)
    end = at + random.randrange(8) if random.random() < 0.5 else at  # in the place of something, or between
    made[at:end] = random.choice((*_TEXTS, *tokens))


def _line(made: bytearray, random: Random, seeds: Sequence[bytes], tokens: Sequence[bytes]) -> None:
    """A line of a seed, put between two lines."""
    lines = random.choice(seeds).split(b"\n") if seeds else [b""]
    mine = bytes(made).split(b"\n")
    mine.insert(random.randrange(len(mine) + 1), random.choice(lines))
    made[:] = b"\n".join(mine)


def _splice(made: bytearray, random: Random, seeds: Sequence[bytes], tokens: Sequence[bytes]) -> None:
    if seeds:
        other = random.choice(seeds)
        made[random.randrange(len(made) + 1) :] = other[random.randrange(len(other) + 1) :]


def _stretch(made: bytearray, random: Random) -> tuple[int, int]:
    start = random.randrange(len(made) + 1)
    return start, min(len(made), start + random.choice((1, 2, 4, 16, 64)))


_CHANGES = (_flip, _byte, _number, _cut, _repeat, _move, _insert, _insert, _line, _splice)
