"""deploy/install.sh in a scratch root: once with the real feeder and pip's index, else with small ones made here."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.require import require

PROJECT = Path(__file__).parents[2]
DEPLOY = PROJECT / "deploy"

Listing = dict[str, tuple[object, ...]]


@pytest.fixture(autouse=True)
def _systemd() -> None:
    require("systemd-sysusers")
    if os.geteuid() != 0:
        pytest.skip("owners are root's to set")


class Host:
    """A scratch root, and what install.sh says of it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.folder = folder
        self.variables: dict[str, str] = {}

    def install(self, checkout: Path, *arguments: str) -> tuple[int, str]:
        """(exit code, all that was said)."""
        command = ["bash", str(checkout / "deploy" / "install.sh"), "--root", str(self.root), *arguments]
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHON": sys.executable, **self.variables},
            check=False,
            cwd=self.folder,
        )
        return done.returncode, done.stdout

    def done(self, checkout: Path, *arguments: str) -> str:
        code, said = self.install(checkout, *arguments)
        assert code == 0, said
        return said

    def refused(self, checkout: Path, *arguments: str) -> str:
        """What is said of an attempt that must change nothing."""
        before = self.listing(times=False)
        code, said = self.install(checkout, *arguments)
        assert code == 1, said
        assert self.listing(times=False) == before
        return said

    def path(self, name: str) -> Path:
        return self.root / name.removeprefix("/")

    def link(self, name: str) -> str:
        return str(self.path(f"/opt/feeder/{name}").readlink())

    def releases(self) -> set[str]:
        return {each.name for each in self.path("/opt/feeder/releases").iterdir()}

    def listing(self, *, times: bool = True) -> Listing:
        """Everything there is: mode, owner, inode, target; with `times` when it was changed, else of files only."""
        found: Listing = {}
        for path in sorted(self.root.rglob("*")):
            info = path.lstat()
            when = info.st_mtime_ns if times or stat.S_ISREG(info.st_mode) else 0
            target = path.readlink() if path.is_symlink() else None
            found[str(path)] = (info.st_mode, info.st_uid, info.st_gid, info.st_ino, when, target)
        return found


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


# The real one ---------------------------------------------------------------------------------------------------------


def test_feeder_is_installed_from_the_index_once_and_accepts_its_configuration(host):
    config = host.path("/etc/feeder/feeder.yaml")
    said = host.done(PROJECT, "--version", "1.0")
    assert "systemctl enable --now feeder" in said
    feeder = host.path("/opt/feeder/current/bin/feeder")
    checked = subprocess.run(
        [feeder, "check", "--json", f"--config={config}"], capture_output=True, text=True, check=True, cwd=host.folder
    )
    assert json.loads(checked.stdout)["config"]["telemetry"]["listen"] == "127.0.0.1:9480"
    assert config.read_text() == (PROJECT / "config" / "feeder.yaml").read_text()
    pins = dict(line.split("==") for line in (DEPLOY / "constraints.txt").read_text().splitlines())
    listed = subprocess.run(
        [feeder.with_name("python"), "-m", "pip", "list", "--format=json", "--disable-pip-version-check"],
        capture_output=True,
        check=True,
    )
    installed = {each["name"].lower().replace("_", "-"): each["version"] for each in json.loads(listed.stdout)}
    tested = {name.lower().replace("_", "-"): version for name, version in pins.items()}
    assert {"uvloop", "picows", "aiohttp", "msgspec"} <= installed.keys()
    unpinned = {name for name, version in installed.items() if tested.get(name) != version}
    assert unpinned <= {"feeder", "pip", "setuptools"}, "pip and setuptools are those of the venv"

    before = host.listing()
    said = host.done(PROJECT, "--version", "1.0")
    assert said == "version 1.0 is installed already; nothing changed\n"
    assert host.listing() == before

    config.write_text("multicast: {prot: 20000}\n")
    said = host.refused(PROJECT, "--version", "1.0")
    assert "multicast.prot: no such key" in said
    assert "Nothing has changed, 1.0 is current" in said


# Small ones -----------------------------------------------------------------------------------------------------------

_BACKEND = """
import pathlib, zipfile

def build_wheel(directory, config_settings=None, metadata_directory=None):
    name = "feeder-1.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(directory) / name, "w") as wheel:
        for each in ("__init__.py", "cli.py"):
            wheel.write(pathlib.Path("feeder") / each, f"feeder/{each}")
        info = "feeder-1.0.dist-info/"
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: feeder\\nVersion: 1.0\\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "entry_points.txt", "[console_scripts]\\nfeeder = feeder.cli:main\\n")
        wheel.writestr(info + "RECORD", "")
    return name
"""

_CLI = """
import os, sys

KNOWN = {known!r}

def main():
    assert sys.argv[1] == "check"
    keys = [line.split(":")[0] for line in open(sys.argv[2].removeprefix("--config="))]
    problems = [key + ": no such key" for key in keys if key not in KNOWN]
    if os.environ.get("FEEDER_LOG__LEVEL") == "loud":
        problems.append("log.level: loud")
    for problem in problems:
        print("feeder: configuration:", problem, file=sys.stderr)
    return 78 if problems else 0
"""


def small(folder: Path, name: str, *, known: tuple[str, ...] = ("log",), default: str = "log: {}\n") -> Path:
    """A checkout with the real deploy/ and a feeder whose `check` knows these keys."""
    checkout = folder / name
    for each in ("systemd", "sysctl"):
        shutil.copytree(DEPLOY / each, checkout / "deploy" / each)
    shutil.copy(DEPLOY / "install.sh", checkout / "deploy")
    for path, text in {
        "deploy/constraints.txt": "",
        "config/feeder.yaml": default,
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["feeder"]\n'
        '[project]\nname = "feeder"\nversion = "1.0"\n',
        "README.md": "",
        "feeder/__init__.py": "",
        "feeder/backend.py": _BACKEND,
        "feeder/cli.py": _CLI.format(known=known),
    }.items():
        (checkout / path).parent.mkdir(parents=True, exist_ok=True)
        (checkout / path).write_text(text)
    return checkout


def test_an_upgrade_keeps_the_configuration_and_a_rollback_brings_everything_else_back(host, tmp_path):
    first, second = small(tmp_path, "first"), small(tmp_path, "second", default="log: {}\nlog: new\n")
    unit = second / "deploy" / "systemd" / "feeder.service"
    unit.write_text(unit.read_text().replace("WatchdogSec=10", "WatchdogSec=20"))
    host.done(first, "--version", "1")
    config = host.path("/etc/feeder/feeder.yaml")
    config.write_text("log: mine\n")
    host.path("/etc/feeder/feeder.env").write_text("SHARDS=4\n")

    said = host.done(second, "--version", "2")
    assert "version 2 is current, 1 is kept" in said
    assert "systemctl restart feeder" in said
    assert (host.link("current"), host.link("previous")) == ("releases/2", "releases/1")
    assert config.read_text() == "log: mine\n"
    assert host.path("/etc/feeder/feeder.env").read_text() == "SHARDS=4\n"
    beside = host.path("/etc/feeder/feeder.yaml.new")
    assert beside.read_text() == "log: {}\nlog: new\n"
    assert "feeder.yaml.new" in said
    installed = host.path("/etc/systemd/system/feeder.service")
    assert "WatchdogSec=20" in installed.read_text()
    before = host.listing()
    assert "nothing changed" in host.done(second, "--version", "2")
    assert host.listing() == before

    said = host.done(first, "--rollback")
    assert "version 1 is current, 2 is kept" in said
    assert (host.link("current"), host.link("previous")) == ("releases/1", "releases/2")
    assert "WatchdogSec=10" in installed.read_text()
    assert config.read_text() == "log: mine\n"

    again = host.path("/opt/feeder/current/share/feeder")  # the checkout may be gone by then
    host.done(again, "--rollback")
    assert host.link("current") == "releases/2"
    assert "only --rollback works from here" in host.refused(again, "--version", "3")


def test_files_are_roots_and_the_configuration_is_for_feeders_group_alone(host, tmp_path):
    host.done(small(tmp_path, "first"), "--version", "1")
    group = re.search(r"^feeder:x:(\d+):", host.path("/etc/group").read_text(), re.MULTILINE)
    assert group is not None
    for name in ("feeder.yaml", "feeder.env"):
        info = host.path(f"/etc/feeder/{name}").stat()
        assert (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid) == (0o640, 0, int(group[1]))
    for name in ("systemd/system/feeder.service", "systemd/system/feeder@.service", "sysctl.d/60-feeder.conf"):
        info = host.path(f"/etc/{name}").stat()
        assert (stat.S_IMODE(info.st_mode), info.st_uid) == (0o644, 0)
    writable = [path for path in host.root.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o022]
    assert not writable


def test_a_version_that_does_not_accept_the_configuration_changes_nothing(host, tmp_path):
    first, second = small(tmp_path, "first", known=("log", "old")), small(tmp_path, "second")
    host.done(first, "--version", "1")
    host.path("/etc/feeder/feeder.yaml").write_text("old: 1\n")
    host.path("/etc/feeder/feeder.env").write_text('# of the unit\nSHARDS=2\nFEEDER_LOG__LEVEL="loud"\n')
    said = host.refused(second, "--version", "2")
    assert "feeder: configuration: old: no such key" in said
    assert "feeder: configuration: log.level: loud" in said, "with the unit's variables"
    assert "version 2 does not accept the configuration" in said
    assert "1 is current" in said
    assert host.releases() == {"1"}


def test_a_rollback_to_a_version_that_does_not_know_the_configuration_changes_nothing(host, tmp_path):
    first, second = small(tmp_path, "first"), small(tmp_path, "second", known=("log", "new"))
    host.done(first, "--version", "1")
    assert "no version before this one" in host.refused(first, "--rollback")
    host.done(second, "--version", "2")
    host.path("/etc/feeder/feeder.yaml").write_text("new: 1\n")
    assert "new: no such key" in host.refused(second, "--rollback")
    assert host.link("current") == "releases/2"


def test_the_last_three_versions_are_kept_and_always_current_and_previous(host, tmp_path):
    checkout = small(tmp_path, "only")
    for version in ("1", "2", "3", "4"):
        said = host.done(checkout, "--version", version)
    assert "removed version 1" in said
    assert host.releases() == {"2", "3", "4"}
    host.done(checkout, "--version", "2")  # an old one by name: there still, so it is switched to, not built
    assert (host.link("current"), host.link("previous")) == ("releases/2", "releases/4")


def test_a_run_that_was_cut_short_is_done_again(host, tmp_path):
    checkout = small(tmp_path, "only")
    left = host.path("/opt/feeder/releases/1/bin")
    left.mkdir(parents=True)
    (left / "feeder").write_text("half a file")
    host.done(checkout, "--version", "1")
    assert subprocess.run([left / "feeder", "check", "--config=/dev/null"], check=False).returncode == 0


def test_the_version_is_the_projects_and_the_commit_of_a_clean_checkout(host, tmp_path):
    checkout = small(tmp_path, "only")
    git = [require("git"), "-C", str(checkout), "-c", "user.name=x", "-c", "user.email=x"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *arguments], check=True)
    commit = subprocess.run([*git, "rev-parse", "--short=9", "HEAD"], check=True, capture_output=True, text=True)
    host.done(checkout)
    assert host.link("current") == f"releases/1.0+g{commit.stdout.strip()}"
    (checkout / "feeder" / "more.py").write_text("")
    assert "differs from its commit" in host.refused(checkout)


def test_the_backoff_comes_with_a_systemd_that_knows_it(host, tmp_path):
    checkout, systemctl = small(tmp_path, "only"), tmp_path / "bin" / "systemctl"
    systemctl.parent.mkdir()
    host.variables["PATH"] = f"{systemctl.parent}:{os.environ['PATH']}"
    for version, installed in (("252 (252.38)", False), ("255 (255.4-1)", True)):
        systemctl.write_text(f"#!/bin/sh\necho systemd '{version}'\necho +PAM\n")
        systemctl.chmod(0o755)
        host.done(checkout, "--version", "1")
        for unit in ("feeder", "feeder@"):
            path = host.path(f"/etc/systemd/system/{unit}.service.d/restart-backoff.conf")
            assert path.exists() is installed


def test_an_index_that_cannot_be_reached_leaves_nothing_behind(host):
    host.variables |= {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    said = host.refused(PROJECT, "--version", "1")
    assert "is the package index reachable? Nothing has changed." in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--frobnicate"], "unknown argument --frobnicate"),
        (["--version"], "--version needs a value"),
        (["--version", "../1"], "use letters, digits"),
    ],
)
def test_wrong_usage_is_said(host, tmp_path, arguments, said):
    code, output = host.install(small(tmp_path, "only"), *arguments)
    assert code != 0
    assert said in output


def test_two_at_once_are_one_too_many(host, tmp_path):
    host.root.mkdir()
    holding = subprocess.Popen([require("flock"), str(host.root), "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holding.stdin is not None
    assert holding.stdout is not None
    try:
        holding.stdin.write(b"held\n")
        holding.stdin.flush()
        holding.stdout.readline()  # it has the lock
        assert "another install.sh is at work" in host.refused(small(tmp_path, "only"), "--version", "1")
    finally:
        holding.communicate()
