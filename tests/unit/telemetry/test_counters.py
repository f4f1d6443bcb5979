"""The counters file: what is read is what was stored, whatever the writer is at, and whatever else the file may be."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from feeder import __version__
from feeder.errors import CountersError
from feeder.telemetry import counters, process
from feeder.telemetry.counters import CountersWriter, Record, read

SCHEMA = 77


def writer(path: Path, session: int = 5) -> CountersWriter:
    return CountersWriter(path, schema=SCHEMA, session_id=session, start_ns=1_700_000_000 * 10**9)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "counters.dat"


def test_what_is_stored_is_read(path):
    file = writer(path)
    first, second = file.add(1, "linear|BTCUSDT", 3), file.add(2, "", 1)
    file.store(first, [1, -2, (1 << 63) - 1])
    file.store(second, [True])
    file.beat(123, 456)
    found = read(path, SCHEMA)
    assert found.records == [Record(1, "linear|BTCUSDT", [1, -2, (1 << 63) - 1]), Record(2, "", [1])]
    assert (found.heartbeat_monotonic_ns, found.heartbeat_wall_ns) == (123, 456)
    assert (found.pid, found.session_id, found.version, found.ended) == (os.getpid(), 5, __version__, False)
    assert found.process_start == process.find(os.getpid()).start
    assert read(path, SCHEMA, records=False).records == []
    file.close()
    assert read(path, SCHEMA).ended


def test_the_layout_is_pinned(path):
    file = writer(path)
    position = file.add(3, "AB", 2)
    file.store(position, [10, 20])
    file.beat(8, 9)
    words = memoryview(path.read_bytes()).cast("q")
    assert bytes(words[:1]) == b"feeder\0c"
    assert words[1:4].tolist() == [1, SCHEMA, 16 + 14]
    assert words[4:11].tolist() == [os.getpid(), process.find(os.getpid()).start, 1_700_000_000 * 10**9, 5, 8, 9, 0]
    assert position == 16
    assert words[16:20].tolist() == [14, 0, 3, 2]
    assert bytes(words[20:28]) == b"AB".ljust(64, b"\0")
    assert words[28:30].tolist() == [10, 20]


def test_records_come_and_go_in_their_places(path):
    file = writer(path)
    first, second = file.add(1, "first", 2), file.add(1, "second", 2)
    file.store(first, [1, 1])
    file.store(second, [2, 2])
    file.remove(first)
    assert read(path, SCHEMA).records == [Record(1, "second", [2, 2])]
    assert file.add(1, "other size", 3) != first
    assert file.add(2, "other kind", 2) != first
    assert file.add(1, "third", 2) == first
    assert read(path, SCHEMA).records[0] == Record(1, "third", [0, 0])


def test_the_file_grows_and_what_was_there_stays(path):
    file = writer(path)
    positions = [file.add(1, f"linear|S{number}", 8) for number in range(3000)]
    for number, position in enumerate(positions):
        file.store(position, [number] * 8)
    found = read(path, SCHEMA).records
    assert [(record.label, record.values) for record in found] == [(f"linear|S{n}", [n] * 8) for n in range(3000)]


def test_growing_while_it_is_read_is_no_damage(path, monkeypatch):
    file = writer(path)
    file.add(1, "first", 8)
    real, sizes = os.pread, []

    def pread(fd: int, count: int, offset: int) -> bytes:
        data = real(fd, count, offset)
        sizes.append(os.fstat(fd).st_size)
        for _ in range(1000):  # behind the reader's back
            file.add(1, "later", 8)
        return data

    monkeypatch.setattr(counters.os, "pread", pread)
    assert read(path, SCHEMA).records == [Record(1, "first", [0] * 8)]
    assert sizes[-1] > sizes[0]


def test_a_full_disk_refuses_a_record_and_nothing_else(path, monkeypatch):
    file = writer(path)
    kept = file.add(1, "kept", 1)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(counters.os, "posix_fallocate", full)
        with pytest.raises(OSError, match="No space"):
            file.add(1, "large", 10_000)
        file.store(kept, [7])
    assert read(path, SCHEMA).records == [Record(1, "kept", [7])]
    file.add(1, "large", 10_000)
    assert len(read(path, SCHEMA).records) == 2


def test_a_full_disk_at_the_start_leaves_nothing_behind(path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(counters.os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space"):
        writer(path)
    assert list(path.parent.iterdir()) == []


def test_a_label_that_is_too_long_is_refused(path):
    with pytest.raises(ValueError, match="longer than 64 bytes"):
        writer(path).add(1, "x" * 65, 1)


def test_a_new_feeder_takes_the_place_and_the_old_one_disturbs_nobody(path):
    old = writer(path, session=1)
    position = old.add(1, "old", 1)
    new = writer(path, session=2)
    new.add(1, "new", 1)
    old.store(position, [99])
    old.add(1, "late", 1)
    found = read(path, SCHEMA)
    assert (found.session_id, [record.label for record in found.records]) == (2, ["new"])
    assert list(path.parent.iterdir()) == [path]


# Torn reads -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize("word", range(14))
@pytest.mark.parametrize("copy", [1, 2, 3])
def test_a_record_that_is_replaced_while_it_is_read_is_old_or_new_as_a_whole(path, monkeypatch, copy, word, ascending):
    file = writer(path)
    position = file.add(1, "old", 2)
    file.store(position, [1, 1])
    real, copies = os.pread, []

    def pread(fd: int, count: int, offset: int) -> bytes:
        """A copy that is made word by word, and is at `word` when the record changes."""
        copies.append(offset)
        if len(copies) != copy + 1:  # the first is of the header
            return real(fd, count, offset)
        halves = [(0, word * 8), (word * 8, count - word * 8)]
        done = {}
        for start, size in halves if ascending else reversed(halves):
            if done:
                file.remove(position)
                assert file.add(1, "new", 2) == position
                file.store(position, [2, 2])
            done[start] = done.get(start, b"") + real(fd, size, offset + start)
        return b"".join(done[start] for start in sorted(done))

    monkeypatch.setattr(counters.os, "pread", pread)
    (found,) = read(path, SCHEMA).records
    assert found in (Record(1, "old", [1, 1]), Record(1, "new", [2, 2]))
    assert file.add(1, "third", 2) != position, "it was replaced"


def test_a_record_whose_writer_died_while_changing_it_is_left_out(path):
    file = writer(path)
    first, second = file.add(1, "first", 1), file.add(1, "second", 1)
    file._words[first + 1] += 1
    assert [record.label for record in read(path, SCHEMA).records] == ["second"]
    assert second > first


WRITER = """
import sys, time
from pathlib import Path
from feeder.telemetry.counters import CountersWriter
file = CountersWriter(Path(sys.argv[1]), schema=77, session_id=1, start_ns=0)
names = ["a" * 60, "b" * 60]
position, turn = file.add(1, names[0], 8), 0
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    for _ in range(100):
        number = turn << 32 | turn
        file.store(position, [number] * 8)
        turn += 1
    file.remove(position)
    file.add(1, names[turn // 100 % 2], 8)
file.close()
"""


def test_another_process_reads_no_torn_value_and_no_mixed_label(path):
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path), "1.0"])
    try:
        deadline = time.monotonic() + 20
        while not path.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        reads = values = 0
        while not (found := read(path, SCHEMA)).ended:
            reads += 1
            for record in found.records:
                assert record.label in {"a" * 60, "b" * 60}
                for value in record.values:
                    values += 1
                    assert value >> 32 == value & 0xFFFF_FFFF, hex(value)
    finally:
        assert process.wait(20) == 0
    assert reads > 10
    assert values > 10


# What else may be there -----------------------------------------------------------------------------------------------


def words_changed(path: Path, **changes: int) -> None:
    data = bytearray(path.read_bytes())
    words = memoryview(data).cast("q")
    for name, value in changes.items():
        words[int(name.removeprefix("w"))] = value
    path.write_bytes(data)


def test_every_length_a_file_may_be_cut_to_is_an_error_or_whole(path):
    file = writer(path)
    for number in range(3):
        file.add(1, str(number), 2)
    whole = path.read_bytes()
    used = (16 + 3 * 14) * 8
    for length in [0, 1, 8, 127, 128, 129, 240, used - 8, used - 1]:
        path.write_bytes(whole[:length])
        for records in (True, False):
            with pytest.raises(CountersError, match="cut short"):
                read(path, SCHEMA, records=records)
    path.write_bytes(whole[:used])
    assert len(read(path, SCHEMA).records) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"w0": 0}, "not a counters file"),
        ({"w1": 0}, "another version"),
        ({"w1": 2}, "another version"),
        ({"w2": SCHEMA + 1}, "another version"),
        ({"w3": -1}, "damaged"),
        ({"w3": 0}, "damaged"),
        ({"w3": 1 << 40}, "cut short"),
        ({"w16": 0}, "damaged at word 16"),
        ({"w16": -5}, "damaged at word 16"),
        ({"w16": 1 << 50}, "damaged at word 16"),
        ({"w30": 11}, "damaged at word 30"),
    ],
)
def test_a_file_that_is_no_counters_file_of_this_version_says_so(path, changes, message):
    file = writer(path)
    file.add(1, "first", 2)
    file.add(1, "second", 2)
    words_changed(path, **changes)
    with pytest.raises(CountersError, match=message):
        read(path, SCHEMA)


TRUNCATED = """
import os, sys
from pathlib import Path
from feeder.errors import CountersError
from feeder.telemetry.counters import CountersWriter
path = Path(sys.argv[1])
file = CountersWriter(path, schema=77, session_id=1, start_ns=0)
position = file.add(1, "kept", 1)
os.truncate(path, int(sys.argv[2]))
for attempt in (
    lambda: file.beat(1, 2),
    lambda: file.add(1, "late", 1),
    lambda: file.store(position, [1]),
    lambda: file.remove(position),
):
    try:
        attempt()
    except CountersError as error:
        print(error)
file.close()
"""


@pytest.mark.parametrize("length", [0, 130, 4096])
def test_a_file_that_is_cut_short_under_its_writer_is_an_error_and_no_fatal_signal(path, length):
    done = subprocess.run([sys.executable, "-c", TRUNCATED, str(path), str(length)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count(f"{path}: somebody has cut it short; feeder makes a new one") == 4


READER = """
import sys, time
from pathlib import Path
from feeder.errors import CountersError
from feeder.telemetry.counters import read
print("reads", flush=True)
end, good, bad = time.monotonic() + 1, 0, 0
while time.monotonic() < end:
    try:
        read(Path(sys.argv[1]), 77)
        good += 1
    except CountersError:
        bad += 1
print(good > 10 and bad > 10)
"""


def test_a_file_that_is_cut_short_and_made_whole_while_it_is_read_is_no_fatal_signal(path):
    file = writer(path)
    for number in range(1000):
        file.add(1, str(number), 8)
    whole = path.read_bytes()
    reader = subprocess.Popen([sys.executable, "-c", READER, str(path)], stdout=subprocess.PIPE, text=True)
    assert reader.stdout.readline() == "reads\n"
    while reader.poll() is None:
        os.truncate(path, 0)
        with path.open("r+b") as damaged:
            damaged.write(whole)
        time.sleep(0.002)
    assert (reader.communicate()[0], reader.returncode) == ("True\n", 0)


def test_a_label_that_is_no_text_is_no_error(path):
    file = writer(path)
    position = file.add(1, "name", 1)
    file._words[position + 3] = 1 << 40
    file._words[position + 4] = -1
    assert read(path, SCHEMA).records[0].label.startswith("�")


def test_foreign_files_are_errors(path, tmp_path):
    with pytest.raises(CountersError, match=r"No such file.*is a feeder"):
        read(path, SCHEMA)
    (tmp_path / "text").write_text("a,b\n" * 1000)
    with pytest.raises(CountersError, match="not a counters file"):
        read(tmp_path / "text", SCHEMA)
    with pytest.raises(CountersError, match="no counters file"):
        read(tmp_path, SCHEMA)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(CountersError, match="no counters file"):
        read(tmp_path / "fifo", SCHEMA)


def test_processes_that_are_not_there(path):
    assert process.find(1 << 22) is None
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert process.find(child.pid) is None, "only its exit code is left"
    child.wait()
    found = process.find(os.getpid())
    assert found.resident_bytes > 1 << 20
    assert process.open_files(os.getpid()) > 2
    assert process.open_files(1 << 22) is None
