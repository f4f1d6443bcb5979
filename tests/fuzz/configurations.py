"""Configuration files, variables and flags as fuzz targets.

An input is a file's bytes, and perhaps after it a line `#!env` with lines `NAME=value`, and a line `#!set` with one
flag a line. Whatever it holds, the configuration is either one that reads back the same, or a list of ConfigErrors,
each with its key, its problem and a remedy, on one line and of bounded length; and `feeder check` ends with 0 or 78.
"""

import contextlib
import io
import json
import os
import tempfile
from pathlib import Path
from unittest import mock

import msgspec
import yaml

from feeder import cli, config
from feeder.errors import ConfigError
from feeder.listen import options

_LONGEST_ERROR = 2000
SECRET = "hunter2"  # stands for a password in addresses, and must not be shown


def run(data: bytes) -> None:
    """One configuration. Raises when something that must hold does not."""
    content, _, rest = data.partition(b"\n#!env\n")
    if not rest:
        content, _, flag_lines = data.partition(b"\n#!set\n")
        variables = b""
    else:
        variables, _, flag_lines = rest.partition(b"\n#!set\n")
    # As the operating system hands them over: no NUL, other bytes escaped.
    named = [os.fsdecode(line).partition("=") for line in variables.replace(b"\0", b"").splitlines()]
    environ = {name: value for name, _, value in named if name}
    flags = [os.fsdecode(line) for line in flag_lines.replace(b"\0", b"").splitlines()]
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "feeder.yaml"
        path.write_bytes(content)
        found, settings = _load(path, environ, flags)
        for error in found:
            assert error.path
            assert error.problem
            assert error.remedy
            text = str(error)
            assert len(text) < _LONGEST_ERROR + len(directory) + len(rest) + len(flag_lines), text
            assert "\n" not in text, text
            # As a value; who makes it a key's name has it named.
            assert SECRET not in text or "no such key" in text or f"@{SECRET}" not in content.decode("utf-8", "replace")
        if settings is not None and not found:
            _reads_back_the_same(settings, path)
            path.write_bytes(content)
        code, shown = _check(path, environ, flags)
        assert code == (78 if found else code), shown
        assert code in {0, 78}, shown
        assert code == 0 or "configuration: " in shown


def listen(data: bytes) -> None:
    """One command line of `feeder-listen`, an argument a line."""
    arguments = [os.fsdecode(line) for line in data.replace(b"\0", b"").split(b"\n")]
    arguments = [argument for argument in arguments if not argument.startswith("--config")]  # see `run`
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            asked = options.parse(arguments)
    except SystemExit as end:
        if end.code not in {0, 2} or not said.getvalue().strip():
            raise
        return
    assert asked.plan.channels
    assert asked.timeout > 0
    assert asked.levels is None or asked.levels > 0


def _load(path: Path, environ: dict[str, str], flags: list[str]) -> tuple[list[ConfigError], config.Config | None]:
    try:
        settings = config.parse_file(path, environ, flags)
    except ConfigError as error:
        return [error], None
    return list(config.problems(settings)), settings


def _reads_back_the_same(settings: config.Config, path: Path) -> None:
    plain = msgspec.to_builtins(settings)
    json.dumps(plain, allow_nan=False)
    path.write_text(yaml.safe_dump(plain, allow_unicode=True), "utf-8")
    assert config.load(path) == settings


def _check(path: Path, environ: dict[str, str], flags: list[str]) -> tuple[int, str]:
    said = io.StringIO()
    arguments = ["check", f"--config={path}", *(f"--set={flag}" for flag in flags)]
    with (
        contextlib.redirect_stderr(said),
        contextlib.redirect_stdout(io.StringIO()),
        mock.patch.dict(os.environ, environ),
    ):
        return cli.main(arguments), said.getvalue()
