"""Fuzz a target of tests/fuzz: coverage-guided with atheris where that is installed, by blind mutation elsewhere.

    python -m tools.fuzz venue --seconds 300

What fails is written to build/fuzz/<target>/crash-*, made as short as a few thousand tries make it; `--replay FILE`
runs one input again. Kept inputs go to tests/data/fuzz/<target>, with a line in its INDEX. atheris needs no clang where
it has a wheel (CPython 3.11 to 3.13 on x86-64): `pip install atheris`, best in an environment of its own.
"""

import argparse
import hashlib
import importlib.util
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from random import Random

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

_SLOW_SECONDS = 5.0  # one input that takes longer is a finding; guided, twelve times that, as instrumented code is slow


def main() -> int:
    """Run one target; returns 1 when something was found."""
    parser = argparse.ArgumentParser(description="Fuzz one target of tests/fuzz.")
    parser.add_argument("target", choices=("config", "listen", "venue", "multicast", "rest"))
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the randomness; 0 takes the time")
    parser.add_argument("--engine", choices=("auto", "atheris", "mutation"), default="auto")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run this input once, and say what happens")
    args = parser.parse_args()
    if args.replay is not None:
        target, _, _ = _load(args.target)
        target(args.replay.read_bytes())
        print("no harm done")
        return 0
    found = ROOT / "build" / "fuzz" / args.target
    found.mkdir(parents=True, exist_ok=True)
    seed = args.seed or time.time_ns() & 0xFFFF_FFFF
    engine = args.engine
    if engine == "auto":
        engine = "mutation" if importlib.util.find_spec("atheris") is None else "atheris"
    if engine == "atheris":
        return _guided(args.target, args.seconds, seed, found)
    return _blind(args.target, args.seconds, seed, found)


def _load(name: str) -> tuple[Callable[[bytes], None], list[bytes], tuple[bytes, ...]]:
    """A target, its seeds and tokens; imported late, so that atheris can instrument what is imported."""
    from tests.fuzz import corpus
    from tests.fuzz.targets import TARGETS, TOKENS

    return TARGETS[name], [data for _, data in corpus.entries(name)], TOKENS[name]


def _guided(name: str, seconds: float, seed: int, found: Path) -> int:
    """libFuzzer's engine. It ends the process itself, with 77 when something was found."""
    import atheris  # type: ignore[import-untyped, import-not-found, unused-ignore]

    with atheris.instrument_imports(include=["feeder"], enable_loader_override=False):
        target, seeds, tokens = _load(name)
    from tests.fuzz.mutation import mutate

    grown = found / "corpus"
    grown.mkdir(exist_ok=True)
    for number, data in enumerate(seeds):
        (grown / f"kept-{number}").write_bytes(data)

    def mutator(data: bytes, longest: int, draw: int) -> bytes:
        random = Random(draw)
        if random.random() < 0.5:
            mutated: bytes = atheris.Mutate(data, longest)
            return mutated
        return mutate(data, random, seeds, tokens, longest)

    options = [
        f"-max_total_time={int(seconds)}",
        f"-seed={seed & 0x7FFF_FFFF or 1}",
        f"-timeout={int(_SLOW_SECONDS * 12)}",
        f"-artifact_prefix={found}/",
        "-max_len=16384",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
        str(grown),
    ]
    atheris.Setup([sys.argv[0], *options], target, custom_mutator=mutator)
    atheris.Fuzz()
    return 0


def _blind(name: str, seconds: float, seed: int, found: Path) -> int:
    """Mutation without guidance: of the kept inputs, and of their relatives."""
    target, seeds, tokens = _load(name)
    from tests.fuzz.mutation import mutate

    random = Random(seed)
    end = time.monotonic() + seconds
    pool = list(seeds)
    runs = 0
    kinds: dict[str, Path] = {}
    slowest = 0.0
    print(f"{name}: {len(seeds)} inputs to begin from, seed {seed}", flush=True)
    while time.monotonic() < end:
        data = mutate(random.choice(pool), random, seeds, tokens)
        runs += 1
        began = time.monotonic()
        kind = _harm(target, data)
        took = time.monotonic() - began
        slowest = max(slowest, took)
        if kind is None and took > _SLOW_SECONDS:
            kind = f"takes {took:.0f} s"
        if kind is None:
            if random.random() < 0.02:  # a relative to begin from in its turn
                pool.append(data)
                if len(pool) > len(seeds) + 500:
                    del pool[random.randrange(len(seeds), len(pool))]
        elif kind not in kinds:
            small = data if kind.startswith("takes") else _shortened(target, data, kind)
            kinds[kind] = found / f"crash-{hashlib.sha256(small).hexdigest()[:12]}"
            kinds[kind].write_bytes(small)
            print(f"FOUND {kind}\n      {len(small)} bytes in {kinds[kind]}", flush=True)
    print(f"{name}: {runs} runs, {len(kinds)} kinds of harm, slowest {slowest:.2f} s")
    return 1 if kinds else 0


def _harm(target: Callable[[bytes], None], data: bytes) -> str | None:
    """What goes wrong, told so that the same thing is told the same way; None if nothing."""
    try:
        target(data)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is what we look for
        frames = traceback.extract_tb(error.__traceback__)
        places = [
            f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames if "site-packages" not in frame.filename
        ]
        return f"{type(error).__name__} at {' < '.join(reversed(places[-3:]))}"
    return None


def _shortened(target: Callable[[bytes], None], data: bytes, kind: str) -> bytes:
    """Cut out whatever is not needed for the same harm, in ever smaller pieces, within half a minute."""
    end = time.monotonic() + 30
    size = max(1, len(data) // 2)
    while size and time.monotonic() < end:
        at = 0
        while at < len(data) and time.monotonic() < end:
            shorter = data[:at] + data[at + size :]
            if _harm(target, shorter) == kind:
                data = shorter
            else:
                at += size
        size //= 2
    return data


if __name__ == "__main__":
    sys.exit(main())
