"""A secret in what a run of the tests left behind fails the run, in whatever form it is there."""

import base64
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote_plus

import pytest

from tests.helpers.secrets import API_SECRET, PASSWORD, Secrets, rsa_keys

CONFTEST = """
from tests.helpers.secrets import SecretSearch

def pytest_configure(config):
    config.pluginmanager.register(SecretSearch(config), "secrets")
"""
LEAKS = """
import asyncio, base64, logging, subprocess, sys
from urllib.parse import quote
from tests.helpers.secrets import API_KEY, API_SECRET, OTHER_API_SECRET, PASSWORD, left_behind, rsa_keys, secret_file

ECHO = [sys.executable, "-c", "print(input())"]

def test_prints():
    print("made with", API_SECRET)

def test_cuts():
    print(OTHER_API_SECRET[:12] + "...")

def test_cuts_the_beginning():
    print("..." + OTHER_API_SECRET[-12:])

def test_logs():
    logging.getLogger("any").warning("Basic %s", base64.b64encode(f"{API_KEY}:{PASSWORD}".encode()).decode())

def test_fails():
    assert not API_SECRET.encode().hex()

def test_reads(capsys):
    print(repr(rsa_keys()[0]), file=sys.stderr)
    assert capsys.readouterr().err

def test_runs():
    assert subprocess.run(ECHO, input=API_SECRET, capture_output=True, text=True, check=True).stdout

async def test_starts():
    made = await asyncio.create_subprocess_exec(*ECHO, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert await made.communicate(API_SECRET.encode())

def test_follows():
    left_behind(API_SECRET, "log of a program")

def test_writes(tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "cache.json").write_text(quote(f"https://u:{PASSWORD}@host", safe=""))

def test_has_a_file_of_its_own(tmp_path):
    assert secret_file(tmp_path / "bybit.key", API_SECRET).stat().st_mode & 0o777 == 0o600

def test_is_silent(tmp_path):
    print("made with ***")
    (tmp_path / "log").write_text("made with ***")
    (tmp_path / "link").symlink_to("nowhere")
"""


def run(*options: str) -> tuple[int, list[str]]:
    """(exit code, lines) of a pytest of its own on LEAKS; what it leaves is not part of this run."""
    with tempfile.TemporaryDirectory(prefix="feeder-test-") as folder:
        for name, content in (("conftest.py", CONFTEST), ("test_leaks.py", LEAKS), ("pytest.ini", "[pytest]")):
            Path(folder, name).write_text(content, "utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "--tb=no", "-rN", "--asyncio-mode=auto", "--basetemp=tmp", *options],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTEST_ADDOPTS": ""},
            capture_output=True,
            text=True,
            check=False,
        )
    return done.returncode, done.stdout.splitlines()


def test_each_place_is_searched_and_each_find_names_test_and_place() -> None:
    code, lines = run("--deselect=test_leaks.py::test_fails")
    assert code == 1, "although every test passed"
    begin = next(number for number, line in enumerate(lines) if "secrets where none may be" in line)
    assert lines[begin + 1 : -1] == [
        "test_leaks.py::test_prints: Captured stdout call",
        "test_leaks.py::test_cuts: Captured stdout call",
        "test_leaks.py::test_cuts_the_beginning: Captured stdout call",
        "test_leaks.py::test_logs: Captured log call",
        "test_leaks.py::test_reads: stderr that the test read",
        "test_leaks.py::test_runs: stdout that the test read",
        "test_leaks.py::test_starts: stdout that the test read",
        "test_leaks.py::test_follows: log of a program",
        "test_leaks.py::test_writes: file test_writes0/state/cache.json",
        "secrets: 9 texts and 3 files searched, found in 9",
    ]


def test_a_failure_is_searched_also_when_it_ends_the_run() -> None:
    code, lines = run("-x", "-k", "test_fails or test_is_silent")
    assert code == 1
    assert "test_leaks.py::test_fails: failure in call" in lines
    assert "secrets: 1 texts and 0 files searched, found in 1" in lines


def test_where_there_is_nothing_one_line_says_what_was_searched() -> None:
    code, lines = run("-k", "test_has_a_file or test_is_silent")
    assert code == 0
    assert "secrets: 1 texts and 2 files searched, nothing found" in lines


def test_what_is_not_captured_is_said_to_be_not_searched() -> None:
    code, lines = run("-s", "-k", "test_is_silent")
    assert code == 0
    assert "secrets: 0 texts and 1 files searched (output not: it was not captured), nothing found" in lines


def test_what_is_logged_at_the_lowest_level_is_captured_and_so_searched(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("feeder.bybit.rest").debug("asked again")
    assert "asked again" in caplog.text


@pytest.mark.parametrize("around", [("", ""), ("x", "y"), ("xx", "yy"), ("xxx", "yyy")])
def test_a_secret_is_found_wherever_it_begins_within_what_is_encoded(around: tuple[str, str]) -> None:
    secrets = Secrets()
    secrets.add(PASSWORD)
    secrets.add(API_SECRET)
    secrets.add(odd := "~?>" * 6)  # the alphabets of base64 differ in it
    for secret in (PASSWORD, API_SECRET, odd):
        whole = secret.join(around)
        raw = whole.encode()
        for form in (raw, raw.hex().encode(), raw.hex().upper().encode(), base64.b64encode(raw)):
            assert secrets.are_in(form)
        assert secrets.are_in(base64.urlsafe_b64encode(raw))
        assert secrets.are_in(quote_plus(whole).encode())
    assert not secrets.are_in(rsa_keys()[1].encode())


def test_a_secret_that_is_too_short_to_be_searched_for_is_refused() -> None:
    with pytest.raises(ValueError, match="use 12 or more"):
        Secrets().add("hunter2")
