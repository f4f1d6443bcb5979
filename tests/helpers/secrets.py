"""The secrets of the tests, and the search for them in whatever a run of the tests leaves behind.

A test takes the secrets it needs from here, or has one of its own known by `known`. At the end of the run each captured
output, log, failure and file that holds one of them, as it is or in base64, hex or percent-encoding, fails the run.
"""

import asyncio
import base64
import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

_PIECE = 12  # characters of the beginning and of the end that are searched for: a text cut short is found, too
_PROGRAMS = {"site-packages", "__pycache__"}  # copies of what is installed
_SHOWN = 20  # finds that are named


class Secrets:
    """Texts that may be shown nowhere, in every form in which they are searched for."""

    def __init__(self) -> None:
        self._texts: set[str] = set()
        self._forms: tuple[bytes, ...] = ()
        self.own_files: set[Path] = set()  # where a secret may stand

    def add(self, text: str) -> None:
        """Search for it from now on."""
        if len(text) < _PIECE:
            raise ValueError(f"a secret of {len(text)} characters would be found everywhere; use {_PIECE} or more")
        if text not in self._texts:
            self._texts.add(text)
            pieces = {text[:_PIECE], text[-_PIECE:]}
            self._forms += tuple(sorted({form for piece in pieces for form in _forms(piece)} - set(self._forms)))

    def are_in(self, content: bytes) -> bool:
        """Whether any of them is."""
        return any(form in content for form in self._forms)


def _forms(piece: str) -> Iterator[bytes]:
    raw = piece.encode()
    yield raw
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    yield quote(piece, safe="").encode()
    for before in range(3):  # where it begins within the 3 bytes that base64 takes together
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            whole = encode(bytes(before) + raw)
            yield whole[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]  # without what neighbours change


_SECRETS = Secrets()
_SEARCHES: list["SecretSearch"] = []  # of the run that this is; none outside of one


def known(text: str) -> str:
    """A secret of a test's own, searched for from now on."""
    _SECRETS.add(text)
    return text


def secret_file(path: Path, content: str, mode: int = 0o600) -> Path:
    """A new file with a secret in it, which is no find."""
    _SECRETS.own_files.add(path)
    path.touch(mode)
    path.chmod(mode)  # whatever the umask
    path.write_text(content, "utf-8")
    return path


def left_behind(text: str | bytes, place: str) -> None:
    """Something else that the test that runs has written: searched as well."""
    for search in _SEARCHES:
        search.search(text, place)


API_KEY, API_SECRET = known("q7RmZ0xWv3LtY9cKdE"), known("Hn4sVb8KpXq2TzWd6Lr0GyJc5MfAuE9iQoN1")
OTHER_API_KEY, OTHER_API_SECRET = known("B5uJx2Nf8TgPw4SaHk"), known("w3DkCq7ZrYt1JvMe8UbLx5NsFg0HiRp6OaT2")
PASSWORD = known("tR0ub4dor-x+Kj9/mQ=")


@cache
def rsa_keys() -> tuple[str, str]:
    """(private key, public key), both PEM, 2048 bits; another pair in each run. Needs `cryptography`."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    lines = private.splitlines()
    for line in (lines[8], lines[len(lines) // 2], lines[-3]):  # behind what the public key tells as well
        known(line)
    return private, public.decode()


class SecretSearch:
    """The pytest plugin that looks for `Secrets`."""

    def __init__(self, config: pytest.Config) -> None:
        self._capturing = config.getoption("capture") != "no"
        self._folders: dict[Path, str] = {}
        self._test = "collection"
        self._texts = self._files = 0
        self._finds: dict[str, None] = {}  # a set in order
        self._patches = pytest.MonkeyPatch()
        # What a test reads by itself, of its own output or a program's, is in no report.
        self._patches.setattr(pytest.CaptureFixture, "readouterr", self._searching(pytest.CaptureFixture.readouterr))
        self._patches.setattr(subprocess.Popen, "communicate", self._searching(subprocess.Popen.communicate))
        program = asyncio.subprocess.Process
        self._patches.setattr(program, "communicate", self._searching_async(program.communicate))
        _SEARCHES.append(self)

    def search(self, text: str | bytes | None, place: str) -> None:
        """Look at a text; a find names test and place, never what was found."""
        if not text:
            return
        self._texts += 1
        if _SECRETS.are_in(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text):
            self._finds[f"{self._test}: {place}"] = None

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Whose output comes now."""
        self._test = nodeid

    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        """Whose folder it is."""
        folder = getattr(item, "funcargs", {}).get("tmp_path")
        if folder is not None:
            self._folders[folder] = item.nodeid

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """The captured output of all phases is in the last one's report, a failure in its own."""
        self.search(report.longreprtext, f"failure in {report.when}")
        if report.when == "teardown":
            for name, content in report.sections:
                self.search(content, name)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Files, once all have been written and before any is removed."""
        factory: Any = vars(session.config)["_tmp_path_factory"]  # where no test asked for a folder it has none yet
        base: Path | None = factory._basetemp
        if base is not None:
            for path in _files(base):
                self._search_file(path, path.relative_to(base))
        if self._finds and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """One line; more when something was found."""
        searched = f"secrets: {self._texts} texts and {self._files} files searched"
        if not self._capturing:
            searched += " (output not: it was not captured)"
        if not self._finds:
            terminalreporter.write_line(f"{searched}, nothing found")
            return
        terminalreporter.section("secrets where none may be", red=True)
        for find in list(self._finds)[:_SHOWN]:
            terminalreporter.write_line(find, red=True)
        terminalreporter.write_line(f"{searched}, found in {len(self._finds)}", red=True)

    def pytest_unconfigure(self) -> None:
        """As it was."""
        self._patches.undo()
        _SEARCHES.remove(self)

    def _searching(self, read: Callable[..., Any]) -> Callable[..., Any]:
        def reading(*args: Any, **options: Any) -> Any:
            return self._searched(read(*args, **options))

        return reading

    def _searching_async(self, read: Callable[..., Any]) -> Callable[..., Any]:
        async def reading(*args: Any, **options: Any) -> Any:
            return self._searched(await read(*args, **options))

        return reading

    def _searched(self, outputs: Any) -> Any:
        for name, output in zip(("stdout", "stderr"), outputs, strict=True):
            self.search(output, f"{name} that the test read")
        return outputs

    def _search_file(self, path: Path, place: Path) -> None:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return  # a program of the tests that still ends
        self._files += 1
        if _SECRETS.are_in(content) and path not in _SECRETS.own_files:
            tests = (test for folder, test in self._folders.items() if path.is_relative_to(folder))
            self._finds[f"{next(tests, 'some test')}: file {place}"] = None


def _files(base: Path) -> Iterator[Path]:
    """Every regular file that belongs to the run; no link is followed."""
    for folder, folders, names in os.walk(base):
        folders[:] = [name for name in folders if name not in _PROGRAMS]
        for name in names:
            path = Path(folder, name)
            try:
                if stat.S_ISREG(path.lstat().st_mode):
                    yield path
            except FileNotFoundError:
                continue
