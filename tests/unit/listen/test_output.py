"""Standard output never holds up the feed, however its reader behaves."""

import os
import threading

from feeder.listen.output import LineWriter


def said(count: int) -> bytes:
    return f"{count} dropped\n".encode()


def test_lines_arrive_whole_and_in_order():
    read, write = os.pipe()
    writer = LineWriter(write, said, lambda: None)
    for number in range(1000):
        writer.write(f"{number}\n".encode())
    writer.close()
    os.close(write)
    with os.fdopen(read) as stream:
        assert stream.read().split() == [str(number) for number in range(1000)]


def test_a_reader_that_is_too_slow_loses_lines_and_is_told_how_many():
    read, write = os.pipe()
    writer = LineWriter(write, said, lambda: None, capacity=10)
    long = b"x" * 70_000 + b"\n"  # more than the pipe holds: the thread is stuck in it
    for _ in range(50):
        writer.write(long)
    lines = []
    with os.fdopen(read, "rb") as stream:
        lines += [stream.readline() for _ in range(5)]
        writer.write(b"after\n")
        closing = threading.Thread(target=writer.close, args=(5,))
        closing.start()
        while lines[-1] != b"after\n":
            lines.append(stream.readline())
        closing.join()
    os.close(write)
    kept = lines.count(long)
    assert 10 <= kept <= 12
    assert lines[-2:] == [said(50 - kept), b"after\n"]


def test_a_reader_that_leaves_ends_it_without_an_error():
    read, write = os.pipe()
    ended = threading.Event()
    writer = LineWriter(write, said, ended.set)
    os.close(read)
    writer.write(b"anybody?\n")
    assert ended.wait(5)
    assert writer.error is None
    writer.write(b"nobody\n")
    writer.close(0.01)
    os.close(write)


def test_an_output_that_fails_is_an_error():
    ended = threading.Event()
    with open("/dev/full", "wb", buffering=0) as full:  # noqa: PTH123
        writer = LineWriter(full.fileno(), said, ended.set)
        writer.write(b"x\n")
        assert ended.wait(5)
    assert writer.error is not None
    assert "space" in str(writer.error)


def test_closing_does_not_wait_for_ever_for_a_reader_that_does_not_read():
    read, write = os.pipe()
    writer = LineWriter(write, said, lambda: None)
    writer.write(b"x" * 200_000)
    writer.close(0.05)
    with os.fdopen(read, "rb") as stream:
        stream.read(200_000)
    os.close(write)
