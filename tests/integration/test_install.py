"""deploy/install.sh in a scratch root: once with the real feeder and pip's index, else with small ones made here."""

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.helpers.require import require, require_namespaces

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
        self.where = ["--root", str(self.root)]
        self.variables: dict[str, str] = {}

    def install(self, checkout: Path, *arguments: str, within: Sequence[str] = ("bash",)) -> tuple[int, str]:
        """(exit code, all that was said); `within` runs the script."""
        command = [*within, str(checkout / "deploy" / "install.sh"), *self.where, *arguments]
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
    said = host.done(first, "--version", "1")
    config = host.path("/etc/feeder/feeder.yaml")
    assert f"edit {config}:" in said
    assert f"{host.path('/opt/feeder/current/bin/feeder')} check --config={config}\n" in said
    config.write_text("log: mine\n")
    host.path("/etc/feeder/feeder.env").write_text("SHARDS=4\n")

    said = host.done(second, "--version", "2")
    assert "version 2 is current, 1 is kept. systemctl daemon-reload is needed where these files are used." in said
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
    assert "version 1 is current, 2 is kept. systemctl daemon-reload is needed" in said
    assert (host.link("current"), host.link("previous")) == ("releases/1", "releases/2")
    assert beside.read_text() == "log: {}\nlog: new\n", "an older default is news to nobody"
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
    for name in ("systemd/system/feeder.service", "systemd/system/feeder@.service", "sysctl.d/10-feeder.conf"):
        info = host.path(f"/etc/{name}").stat()
        assert (stat.S_IMODE(info.st_mode), info.st_uid) == (0o644, 0)
    writable = [path for path in host.root.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o022]
    assert not writable


def test_a_version_that_does_not_accept_the_configuration_changes_nothing(host, tmp_path):
    first, second = small(tmp_path, "first", known=("log", "old")), small(tmp_path, "second")
    host.done(first, "--version", "1")
    host.path("/etc/feeder/feeder.yaml").write_text("old: 1\n")
    for line in ("FEEDER_LOG__LEVEL=loud", 'FEEDER_LOG__LEVEL="loud"', "  FEEDER_LOG__LEVEL='loud' "):
        host.path("/etc/feeder/feeder.env").write_text(f"# of the unit\nSHARDS=2\n{line}\n")
        said = host.refused(second, "--version", "2")
        assert "feeder: configuration: old: no such key" in said
        assert "feeder: configuration: log.level: loud" in said, f"with the unit's variables: {line}"
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


# Cut short ------------------------------------------------------------------------------------------------------------

_PYTHON = r"""#!/bin/sh
case "$*" in
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    "-m pip "*) printf '#!/bin/sh\n' >"${0%python}feeder" && chmod +x "${0%python}feeder" ;;
esac
"""

# Sources a script, and dies before the $1st of its commands that leave something behind.
_KILLED = r"""
left=$1
shift
watch() {
    case $1 in
        install\ * | chown\ * | mv\ * | ln\ * | rm\ * | touch\ * | systemd-sysusers\ * | '"$python" -m'*)
            left=$((left - 1))
            [ "$left" -gt 0 ] || kill -9 $$
            ;;
    esac
}
set -o functrace
trap 'watch "$BASH_COMMAND"' DEBUG
source "$@"
"""


def quick(host: Host) -> None:
    """Install with a Python that takes no time, and makes a feeder that accepts everything."""
    python = host.folder / "python"
    python.write_text(_PYTHON)
    python.chmod(0o755)
    host.variables["PYTHON"] = str(python)


def content(host: Host) -> dict[str, tuple[object, ...]]:
    """Everything there is but the accounts, without what differs from one root to another."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(host.root.rglob("*")):
        name, info = str(path.relative_to(host.root)), path.lstat()
        if path.is_symlink():
            found[name] = (path.readlink(),)
        elif path.is_dir() or path.parent.name != "etc":
            found[name] = (info.st_mode, info.st_uid, info.st_gid, path.is_file() and path.read_bytes())
    return found


@pytest.mark.parametrize(
    ("before", "arguments"),
    [
        ([], ["--version", "1"]),
        (["1", "2", "3"], ["--version", "4"]),
        (["1", "2"], ["--rollback"]),
    ],
    ids=["install", "upgrade", "rollback"],
)
def test_killed_before_any_step_the_next_run_ends_as_the_first_was_to_end(host, tmp_path, before, arguments):
    quick(host)
    checkout, kept = small(tmp_path, "only"), tmp_path / "kept"
    unit = checkout / "deploy" / "systemd" / "feeder.service"
    for version in before:
        unit.write_text(f"# of version {version}\n")
        host.done(checkout, "--version", version)
    unit.write_text("# of version 4\n")
    host.root.mkdir(exist_ok=True)
    subprocess.run(["cp", "-a", host.root, kept], check=True)

    def again() -> None:
        shutil.rmtree(host.root)
        subprocess.run(["cp", "-a", kept, host.root], check=True)

    host.done(checkout, *arguments)
    wanted = content(host)
    steps = 0
    while True:
        again()
        code, said = host.install(checkout, *arguments, within=["bash", "-c", _KILLED, "-", str(steps + 1)])
        if code == 0:
            break
        steps += 1
        assert code == -signal.SIGKILL, said
        switched = bool(before) and host.link("current") != f"releases/{before[-1]}"
        if arguments == ["--rollback"] and switched and host.link("previous") == f"releases/{before[-1]}":
            continue  # all but done: the next one is the next, and goes to the version before again
        said = host.done(checkout, *arguments)
        found = content(host)
        if arguments == ["--rollback"] and switched:  # the one link that is not known any more
            assert host.link("previous") == host.link("current")
            for name in ("opt/feeder/previous", "opt/feeder/previous.partial"):
                found.pop(name, None)
            assert found == {name: each for name, each in wanted.items() if name != "opt/feeder/previous"}, said
        else:
            assert found == wanted, (steps, said)
    assert steps > 4
    assert content(host) == wanted


def test_what_a_run_that_was_cut_short_left_of_another_version_goes_with_the_next(host, tmp_path):
    quick(host)
    checkout = small(tmp_path, "only")
    host.done(checkout, "--version", "1")
    (host.path("/opt/feeder/releases/2/bin")).mkdir(parents=True)
    host.done(checkout, "--version", "3")
    assert host.releases() == {"1", "3"}


def test_a_rollback_to_a_version_without_a_file_of_today_works(host, tmp_path):
    quick(host)
    checkout = small(tmp_path, "only")
    host.done(checkout, "--version", "1")
    host.path("/opt/feeder/releases/1/share/feeder/deploy/sysctl/10-feeder.conf").unlink()
    host.done(checkout, "--version", "2")
    host.done(checkout, "--rollback")
    assert host.link("current") == "releases/1"


# Without --root, in a mount namespace of its own ----------------------------------------------------------------------

_TOOL = '#!/bin/sh\necho "$(basename "$0")" "$@" >>"$TOLD"\n'
_SYSCTL = _TOOL + 'case "$*" in *--values*rmem_max*) echo 67108864 ;; *--values*) echo 1000 ;; esac\n'


@pytest.fixture
def machine(tmp_path: Path) -> Host:
    """The machine as install.sh sees it: /opt, /etc and /run are copies, and who is told something writes it down."""
    require_namespaces()
    machine = Host(tmp_path)
    machine.where = []
    for name in ("opt", "run/systemd/system", "home"):
        (tmp_path / "root" / name).mkdir(parents=True)
    shutil.copytree("/etc", tmp_path / "root" / "etc", symlinks=True)
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in {"systemctl": _TOOL, "sysctl": _SYSCTL}.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    quick(machine)
    machine.variables |= {"PATH": f"{tools}:{os.environ['PATH']}", "TOLD": str(tmp_path / "told")}
    return machine


def really(machine: Host, checkout: Path, *arguments: str, python: str = "") -> tuple[int, str]:
    mounts = " && ".join(f"mount --bind '{machine.root}/{name}' /{name}" for name in ("opt", "etc", "run", "home"))
    homely = f'mkdir -p /home/me && mount --bind "{sys.base_prefix}" /home/me' if python else "true"
    if python:
        machine.variables["PYTHON"] = python
    shell = f'{mounts} && {homely} && exec bash "$@"'
    return machine.install(checkout, *arguments, within=["unshare", "--mount", "sh", "-c", shell, "-"])


def test_the_system_is_told_and_told_again_by_a_run_that_changes_nothing(machine, tmp_path):
    checkout = small(tmp_path, "only")
    for expected in ("version 1 is installed. Next", "nothing changed"):  # the first may have been cut short
        told = tmp_path / "told"
        told.unlink(missing_ok=True)
        code, said = really(machine, checkout, "--version", "1")
        assert (code, expected in said) == (0, True), said
        assert "systemctl daemon-reload" in told.read_text().splitlines()
        written = [line for line in told.read_text().splitlines() if "--write" in line]
        assert written == [
            "sysctl --quiet --write net.core.wmem_max=1048576",
            "sysctl --quiet --write net.core.netdev_max_backlog=8192",
        ], "what the machine has more of stays"
    code, said = really(machine, small(tmp_path, "newer"), "--version", "2")
    assert (code, "is kept. systemd has read the units (daemon-reload). Next" in said) == (0, True), said


def test_a_python_that_the_units_cannot_see_is_refused(machine, tmp_path):
    checkout = small(tmp_path, "only")
    python = f"/home/me/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    code, said = really(machine, checkout, "--version", "1", python=python)
    assert (code, "is in somebody's home" in said) == (1, True), said
    assert not list(machine.path("/opt").iterdir())


# Usage ---------------------------------------------------------------------------------------------------------------


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
