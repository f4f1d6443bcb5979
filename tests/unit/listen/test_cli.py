"""What is said before anything is opened."""

import logging
import sys

from feeder.errors import FeedError
from feeder.listen import cli
from feeder.listen.notices import Notices


class Terminal:
    """A standard stream that is a terminal."""

    def isatty(self) -> bool:
        return True


def test_without_textual_the_screens_name_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "textual", None)
    assert cli.main([]) == 1
    assert "pip install 'feeder[tui]'" in capsys.readouterr().err


def test_screens_need_a_terminal_and_say_what_does_not(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", Terminal())
    assert cli.main([]) == 2  # standard output is captured
    assert "use --json, --once or --stats" in capsys.readouterr().err


def test_an_interface_that_does_not_exist_is_wrong_usage_when_it_comes_from_a_flag(capsys):
    assert cli.main(["--once", "--line", "A=239.77.0.0@nosuch0"]) == 2
    assert "no interface 'nosuch0'" in capsys.readouterr().err


def test_the_same_from_a_file_is_a_bad_configuration_named_by_its_key(tmp_path, capsys):
    path = tmp_path / "feeder.yaml"
    path.write_text("multicast: {lines: {A: {group: 239.9.0.0, interface: nosuch0}}}")
    assert cli.main(["--once", "--config", str(path)]) == 78
    assert "multicast.lines.A.interface: no interface 'nosuch0'" in capsys.readouterr().err
    assert cli.main(["--once", "--config", str(tmp_path / "none.yaml")]) == 78
    capsys.readouterr()
    path.write_text("- a list")
    assert cli.main(["--once", "--config", str(path)]) == 78
    assert f"{path}: holds a list" in capsys.readouterr().err


def test_standard_output_that_is_closed_is_said_before_anything_is_opened(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", None)
    assert cli.main(["--once"]) == 1
    assert "standard output cannot be written: it is closed" in capsys.readouterr().err


def test_what_the_subscription_says_of_itself_is_left_to_the_listener():
    notices = Notices()
    notices.emit(logging.makeLogRecord({"msg": "%s", "args": (FeedError("give partitions="),)}))
    assert notices.texts == []


def test_each_warning_is_said_once_and_kept_for_the_screens(capsys):
    log = logging.getLogger("feeder.test_notices")
    notices = Notices()
    log.addHandler(notices)
    log.propagate = False
    try:
        log.warning("cut to %d", 1)
        log.warning("cut to %d", 1)
        notices.quiet = True
        log.warning("cut to %d", 2)
    finally:
        log.removeHandler(notices)
    assert notices.texts == ["cut to 1", "cut to 2"]
    assert capsys.readouterr().err == "feeder-listen: cut to 1\n"
