"""Hold the table of endpoints (feeder.bybit.rest.endpoints) against what pybit, and with --ccxt ccxt, know of Bybit v5.

    make peers
    .venv/bin/python tools/endpoints.py [--pybit DIRECTORY] [--ccxt [FILE]] [--json]

Both are read, not imported: pybit's lists of paths and the calls and docstrings of its methods, ccxt's `api` table. A
path counts as covered when the table has it with the method that the library calls it with; the WebSocket's /v5/public
is none. What differs is listed. The venue's documents decide: in brackets is their page, and what it says.

Exit codes: 0 at least 95 % of pybit's paths are covered; 1 fewer are; 2 pybit or ccxt is not there.
"""

import argparse
import ast
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from feeder.bybit.rest.endpoint import Endpoint
from feeder.bybit.rest.endpoints import ENDPOINTS

ENOUGH_PERCENT = 95.0

JUDGED = {
    "/v5/crypto-loan/adjust-ltv": "crypto-loan/adjust-collateral: POST",
    "/v5/user/del-submember": "user/rm-subuid: POST",
    "/v5/p2p/oss/upload_file": "p2p/chat/upload-chat-file: a file in a form, which this client does not send",
    "/v5/asset/convert/small-balance-list": "asset/convert-small-balance: spelled covert",
    "/v5/asset/convert/small-balance-history": "asset/convert-small-balance: spelled covert",
    "/v5/crypto-loan-common/loanable-data": "new-crypto-loan/loan-coin: does not need authentication",
    "/v5/crypto-loan-common/collateral-data": "new-crypto-loan/collateral-coin: does not need authentication",
    "/v5/crypto-loan-fixed/borrow-order-quote": "new-crypto-loan/fixed/borrow-market: does not need authentication",
    "/v5/crypto-loan-fixed/supply-order-quote": "new-crypto-loan/fixed/supply-market: does not need authentication",
    "/v5/rfq/public-trades": "rfq/trade/public-trades: the example is signed",
    "/v5/spot-margin-trade/coinstate": "spot-margin-uta/coinstate: the example is signed",
    "/v5/spot-margin-trade/currency-data": "spot-margin-uta/currency-data: the example is signed",
    "/v5/spot-margin-trade/position-tiers": "spot-margin-uta/position-tiers: the example is signed",
    "/v5/ins-loan/ensure-tokens": "otc/margin-coin-info: does not need to authenticate",
}
"""What the venue's documents say where the table differs from another library: their page, and what is there."""

_PEERS = Path(__file__).parents[1] / ".venv-peers"
_WEBSOCKET = "/v5/public"
_CALLS = {
    "_submit_request": None,
    "_submit_file_request": "POST",
}  # pybit's, with the method where it is always the same
_REQUIRED = re.compile(r"Required args:[ \t]*\n(.*?)(?=\n[ \t]*\n|\n[ \t]*[A-Z][\w ]*:[ \t]*\n|\Z)", re.DOTALL)
_ARGUMENT = re.compile(r"(\w+)\s*\(")

Rows = Mapping[tuple[str, str], Endpoint[Any]]


@dataclass(frozen=True, slots=True)
class Call:
    """How a library calls a path. `required` is None where it says nothing of that."""

    method: str
    path: str
    signed: bool
    required: frozenset[str] | None = None


@dataclass(slots=True)
class Comparison:
    """A library's paths, and where the table differs from it."""

    listed: int
    missing: list[str] = field(default_factory=list)
    other_method: list[str] = field(default_factory=list)
    other_signature: list[str] = field(default_factory=list)
    other_required: list[str] = field(default_factory=list)
    beyond: list[str] = field(default_factory=list)

    @property
    def covered(self) -> int:
        """Paths that the table has with the same method."""
        return self.listed - len(self.missing) - len(self.other_method)

    @property
    def percent(self) -> float:
        """Of the listed paths."""
        return 100.0 * self.covered / self.listed if self.listed else 0.0


class NotThereError(Exception):
    """A library's files are not where they were looked for."""


def read_pybit(directory: Path) -> tuple[set[str], list[Call]]:
    """The v5 paths that pybit's enums list, and its calls of them."""
    modules = {path.stem: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(directory.glob("*.py"))}
    enums = {stem: dict(_enums(module)) for stem, module in modules.items()}
    paths = {path for classes in enums.values() for members in classes.values() for path in members.values()}
    if not paths:
        raise NotThereError(
            f"{directory} has no lists of v5 paths; give pybit's folder in site-packages, or `make peers`"
        )
    calls = [call for stem, module in modules.items() for call in _calls(module, enums[stem], enums)]
    return paths, calls


def _enums(module: ast.Module) -> Iterator[tuple[str, dict[str, str]]]:
    """Each enum of the module: its members that are v5 paths."""
    for node in module.body:
        if isinstance(node, ast.ClassDef) and any(
            isinstance(base, ast.Name) and base.id == "Enum" for base in node.bases
        ):
            members = {}
            for line in node.body:
                match line:
                    case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(path))):
                        if path.startswith("/v5/") and path != _WEBSOCKET:
                            members[name] = path
            yield node.name, members


def _calls(
    module: ast.Module, own: Mapping[str, dict[str, str]], enums: Mapping[str, Mapping[str, dict[str, str]]]
) -> Iterator[Call]:
    known = dict(own)
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            classes = enums.get(node.module.rpartition(".")[2], {})
            known |= {each.asname or each.name: classes[each.name] for each in node.names if each.name in classes}
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef):
            required = documented(ast.get_docstring(node) or "")
            for call in ast.walk(node):
                match call:
                    case ast.Call(func=ast.Attribute(attr=name), keywords=keywords) if name in _CALLS:
                        given = {each.arg: each.value for each in keywords}
                        path = _path(given.get("path"), known)
                        if path is not None:
                            method = _CALLS[name] or str(_constant(given.get("method")))
                            yield Call(method, path, bool(_constant(given.get("auth"))), required)


def _path(node: ast.expr | None, known: Mapping[str, dict[str, str]]) -> str | None:
    """The path in f"{self.endpoint}{Market.GET_TICKERS}"."""
    for part in ast.walk(node) if node is not None else ():
        match part:
            case ast.Attribute(value=ast.Name(id=name), attr=member) if member in known.get(name, {}):
                return known[name][member]
    return None


def _constant(node: ast.expr | None) -> object:
    return node.value if isinstance(node, ast.Constant) else None


def documented(docstring: str) -> frozenset[str] | None:
    """The names under "Required args:", without those inside a list's objects; None where there is no such part."""
    found = _REQUIRED.search(docstring + "\n")
    if found is None:
        return None
    names = (_ARGUMENT.match(line.strip()) for line in found[1].splitlines())
    return frozenset(name[1] for name in names if name is not None)


def read_ccxt(file: Path) -> list[Call]:
    """The v5 rows of ccxt's `api` table."""
    if not file.is_file():
        raise NotThereError(f"{file} is not there; give ccxt's bybit.py in site-packages, or `make peers`")
    calls = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Dict):
            for side, methods in _items(node):
                if side in ("public", "private") and isinstance(methods, ast.Dict):
                    calls += [
                        Call(method.upper(), f"/{path}", side == "private")
                        for method, paths in _items(methods)
                        if isinstance(paths, ast.Dict)
                        for path, _ in _items(paths)
                        if path.startswith("v5/")
                    ]
    if not calls:
        raise NotThereError(f"{file} has no v5 paths; give ccxt's bybit.py in site-packages")
    return calls


def _items(node: ast.Dict) -> Iterator[tuple[str, ast.expr]]:
    for key, value in zip(node.keys, node.values, strict=True):
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            yield key.value, value


def compare(paths: Iterable[str], calls: Sequence[Call], rows: Rows) -> Comparison:
    """Where the rows differ from a library that lists these paths and calls them so."""
    listed = set(paths)
    here: dict[str, set[str]] = {}
    for method, path in rows:
        here.setdefault(path, set()).add(method)
    there: dict[str, set[str]] = {}
    for call in calls:
        there.setdefault(call.path, set()).add(call.method)
    result = Comparison(len(listed))
    for path in sorted(listed):
        ours, theirs = here.get(path, set()), there.get(path, set())
        if not ours:
            result.missing.append(f"{'/'.join(sorted(theirs)) or 'never called'} {path}{_judged(path)}")
        elif not theirs <= ours:
            difference = f"{'/'.join(sorted(theirs))} there, {'/'.join(sorted(ours))} here"
            result.other_method.append(f"{path}: {difference}{_judged(path)}")
        for method in sorted(ours & theirs):
            _compare_row(
                rows[method, path], [call for call in calls if (call.method, call.path) == (method, path)], result
            )
    result.beyond = [f"{method} {path}" for method, path in rows if path not in listed]
    return result


def _compare_row(row: Endpoint[Any], calls: Sequence[Call], result: Comparison) -> None:
    """A path that a library calls in several ways agrees when one of them does."""
    if all(call.signed is not row.signed for call in calls):
        says = "signed" if calls[0].signed else "public"
        result.other_signature.append(f"{row!r}: {says} there, not here{_judged(row.path)}")
    groups = [set(names.split("|")) for names in row.required]
    known = set().union(*groups)
    differences = []
    for required in {call.required for call in calls if call.required is not None}:
        more, fewer = sorted(required - known), sorted("|".join(sorted(g)) for g in groups if not g & required)
        differences.append(", ".join([f"{name} only there" for name in more] + [f"{name} only here" for name in fewer]))
    if differences and all(differences):
        result.other_required.append(f"{row!r}: {min(differences)}")


def _judged(path: str) -> str:
    return f" ({JUDGED[path]})" if path in JUDGED else ""


def report(name: str, result: Comparison) -> str:
    """The comparison for a reader."""
    lines = [f"{name}: {result.covered} of {result.listed} paths covered with the same method, {result.percent:.1f} %"]
    for title, entries in (
        ("missing here", result.missing),
        ("another method", result.other_method),
        ("another signature", result.other_signature),
        ("other required parameters", result.other_required),
        ("beyond it", result.beyond),
    ):
        lines.append(f"  {title}: {len(entries)}")
        lines += [f"    {entry}" for entry in entries]
    return "\n".join(lines)


def _installed(name: str) -> Path:
    """Where `make peers` puts a library's file or folder."""
    return next(iter(sorted(_PEERS.glob(f"lib/python3*/site-packages/{name}"))), _PEERS / name)


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description="Hold the table of endpoints against pybit and ccxt.")
    parser.add_argument(
        "--pybit",
        type=Path,
        metavar="DIRECTORY",
        default=_installed("pybit"),
        help="pybit's folder (default: that of `make peers`)",
    )
    parser.add_argument(
        "--ccxt",
        type=Path,
        metavar="FILE",
        nargs="?",
        const=_installed("ccxt/bybit.py"),
        help="ccxt too, by its bybit.py (default: that of `make peers`)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(argv)
    try:
        results = {"pybit": compare(*read_pybit(options.pybit), ENDPOINTS)}
        if options.ccxt is not None:
            calls = read_ccxt(options.ccxt)
            results["ccxt"] = compare({call.path for call in calls}, calls, ENDPOINTS)
    except NotThereError as error:
        print(error, file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps({name: _plain(result) for name, result in results.items()}, indent=2))
    else:
        print(f"{len(ENDPOINTS)} endpoints in the table")
        for name, result in results.items():
            print(report(name, result))
    return 0 if results["pybit"].percent >= ENOUGH_PERCENT else 1


def _plain(result: Comparison) -> dict[str, object]:
    return {"covered": result.covered, "percent": round(result.percent, 2), **asdict(result)}


if __name__ == "__main__":
    sys.exit(main())
