"""Every way in which a file's content changes is told, once; nothing else is. On real files."""

import asyncio
import contextlib
import logging
import os
import shutil
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from feeder import watch
from tests.helpers.processes import until

SECONDS = 20.0  # until something is noticed


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Looks every 0.2 s, not every 2."""
    monkeypatch.setattr(watch, "_STEP_MS", 50)
    monkeypatch.setattr(watch, "_LOOK_MS", 200)
    monkeypatch.setattr(watch, "_RETRY_FIRST", 0.1)


class Watching:
    """A file being watched: what was told, and how often it was looked at."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self.told: list[str | None] = []
        self.looks = 0
        read = watch._read

        def counted(path: Path) -> tuple[bytes | None, OSError | None]:
            try:
                return read(path)
            finally:
                self.looks += 1

        monkeypatch.setattr(watch, "_read", counted)

    async def follow(self) -> None:
        async for _ in watch.changes(self.path):
            self.told.append(self.path.read_text("utf-8") if self.path.exists() else None)

    async def tells(self, content: str) -> None:
        """It tells, and then has nothing more to tell."""
        await until(lambda: content in self.told, SECONDS, f"{content!r} to be told")
        await self.looked()
        assert self.told == [content]
        self.told.clear()

    async def tells_nothing(self) -> None:
        await self.looked()
        assert self.told == []

    async def looked(self) -> None:
        """It has begun and ended to look since this was called."""
        before = self.looks
        await until(lambda: self.looks >= before + 2, SECONDS, "a look at the file")
        await asyncio.sleep(0)


@pytest.fixture
def watching(monkeypatch) -> Callable[[Path], contextlib.AbstractAsyncContextManager[Watching]]:
    @asynccontextmanager
    async def begin(path: Path) -> AsyncIterator[Watching]:
        watched = Watching(path, monkeypatch)
        task = asyncio.create_task(watched.follow())
        await until(lambda: watched.looks > 0, SECONDS, "the first look")
        yield watched
        task.cancel()
        await asyncio.wait([task], timeout=5)
        assert task.cancelled()
        assert not threads()

    return begin


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("watch ")]


def tasks_of_the_system() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "etc" / "feeder.yaml"
    path.parent.mkdir()
    path.write_text("1", "utf-8")
    return path


async def test_a_file_written_in_place_is_told_once(file, watching):
    async with watching(file) as watched:
        file.write_text("2", "utf-8")
        await watched.tells("2")
        file.write_text("3", "utf-8")
        await watched.tells("3")


async def test_a_change_is_reported_and_need_not_be_looked_for(file, watching, monkeypatch):
    monkeypatch.setattr(watch, "_LOOK_MS", 600_000)
    async with watching(file) as watched:
        number = 1
        while not watched.told:  # the directory is watched from some time after the first look
            number += 1
            file.write_text(str(number), "utf-8")
            await asyncio.sleep(0.5)
            assert number < 2 * SECONDS


async def test_a_file_replaced_by_a_rename_is_told(file, watching):
    async with watching(file) as watched:
        for content in ("2", "3"):
            new = file.with_suffix(".new")
            new.write_text(content, "utf-8")
            new.replace(file)
            await watched.tells(content)


async def test_a_file_moved_away_and_written_anew_as_editors_do_is_told_once(file, watching):
    async with watching(file) as watched:
        file.rename(file.with_suffix(".yaml~"))
        file.write_text("2", "utf-8")
        await watched.tells("2")


async def test_a_mounted_configuration_map_is_told_when_its_link_is_switched(tmp_path, watching):
    mount = tmp_path / "etc"
    for version in ("1", "2", "3"):
        (mount / f"..{version}").mkdir(parents=True)
        (mount / f"..{version}" / "feeder.yaml").write_text(version, "utf-8")
    (mount / "..data").symlink_to("..1")
    (mount / "feeder.yaml").symlink_to("..data/feeder.yaml")
    async with watching(mount / "feeder.yaml") as watched:
        for before, version in (("1", "2"), ("2", "3")):
            (mount / "..new").symlink_to(f"..{version}")
            (mount / "..new").replace(mount / "..data")
            shutil.rmtree(mount / f"..{before}")
            await watched.tells(version)


async def test_a_file_behind_a_link_is_told_when_it_is_written_where_it_is(file, tmp_path, watching):
    link = tmp_path / "link" / "feeder.yaml"
    link.parent.mkdir()
    link.symlink_to(file)
    async with watching(link) as watched:
        file.write_text("2", "utf-8")
        await watched.tells("2")


async def test_a_release_switched_by_a_link_further_up_is_told(tmp_path, watching):
    for version in ("1", "2"):
        (tmp_path / version / "etc").mkdir(parents=True)
        (tmp_path / version / "etc" / "feeder.yaml").write_text(version, "utf-8")
    (tmp_path / "current").symlink_to("1")
    async with watching(tmp_path / "current" / "etc" / "feeder.yaml") as watched:
        (tmp_path / "new").symlink_to("2")
        (tmp_path / "new").replace(tmp_path / "current")
        await watched.tells("2")
        (tmp_path / "2" / "etc" / "feeder.yaml").write_text("3", "utf-8")
        await watched.tells("3")


async def test_what_leaves_the_bytes_as_they_are_is_not_told(file, watching):
    async with watching(file) as watched:
        os.utime(file, (1, 1))
        await watched.tells_nothing()
        file.chmod(0o600)
        file.write_text("1", "utf-8")
        (file.parent / "another.yaml").write_text("2", "utf-8")
        await watched.tells_nothing()
        same = file.with_suffix(".new")
        same.write_text("1", "utf-8")
        same.replace(file)
        await watched.tells_nothing()


async def test_a_log_beside_the_file_is_not_fed_by_its_own_lines(file, watching):
    lines: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = lines.append  # type: ignore[method-assign]
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        async with watching(file) as watched:
            file.write_text("2", "utf-8")
            await watched.tells("2")
    finally:
        root.removeHandler(handler)
    assert not [line for line in lines if line.name.startswith("watchfiles")]


async def test_a_file_that_is_written_for_a_while_is_read_when_it_is_whole(file, watching, monkeypatch):
    monkeypatch.setattr(watch, "_QUIET_SECONDS", 1.0)
    async with watching(file) as watched:
        with file.open("w", encoding="utf-8") as writing:
            for _ in range(50):  # more than half a second
                writing.write("x")
                writing.flush()
                await asyncio.sleep(0.01)
        await watched.tells("x" * 50)


async def test_a_file_that_went_is_no_change_and_is_told_when_it_is_back_with_other_bytes(file, watching):
    with capture_logs() as logs:
        async with watching(file) as watched:
            file.unlink()
            await watched.tells_nothing()
            await watched.looked()
            file.write_text("1", "utf-8")
            await watched.tells_nothing()
            file.unlink()
            await watched.tells_nothing()
            file.write_text("2", "utf-8")
            await watched.tells("2")
    assert [line["event"] for line in logs] == ["file not watched", "file watched again"] * 2
    assert "No such file" in logs[0]["error"]


async def test_a_directory_that_went_and_came_back_is_watched_again(file, watching):
    with capture_logs() as logs:
        async with watching(file) as watched:
            shutil.rmtree(file.parent)
            await watched.tells_nothing()
            await watched.looked()
            file.parent.mkdir()
            file.write_text("2", "utf-8")
            await watched.tells("2")
            file.write_text("3", "utf-8")
            await watched.tells("3")
    assert [line["event"] for line in logs] == ["file not watched", "file watched again"]


async def test_where_nothing_can_be_watched_the_file_is_looked_at_all_the_same(file, watching, monkeypatch):
    def limited(*_: object, **__: object) -> None:
        raise OSError(28, "OS file watch limit reached")

    monkeypatch.setattr(watch, "watch", limited)
    with capture_logs() as logs:
        async with watching(file) as watched:
            file.write_text("2", "utf-8")
            await watched.tells("2")
    assert [(line["event"], line["error"]) for line in logs] == [
        ("file not watched", "[Errno 28] OS file watch limit reached")
    ]


async def test_what_is_no_file_is_not_waited_for(tmp_path, watching):
    os.mkfifo(tmp_path / "pipe")
    with capture_logs() as logs:
        async with watching(tmp_path / "pipe") as watched:
            await watched.tells_nothing()
    assert "no regular file" in logs[0]["error"]
    assert len(logs) == 1


@pytest.mark.parametrize("where", ["etc", "nowhere"])
async def test_it_leaves_no_thread_of_python_or_of_the_system(file, tmp_path, watching, where):
    before = tasks_of_the_system()
    async with watching(tmp_path / where / "feeder.yaml") as watched:
        await watched.tells_nothing()
    await until(lambda: tasks_of_the_system() <= before, SECONDS, "its threads to end")
