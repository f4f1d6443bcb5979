"""Exit codes and what a person reads: 0 ok, 1 failure, 2 usage, 78 bad configuration."""

import json
import socket

import pytest

from feeder import __version__
from feeder.cli import main


def test_version_and_help(capsys):
    for flag in ("--version", "--help"):
        with pytest.raises(SystemExit) as caught:
            main([flag])
        assert caught.value.code == 0
    out = capsys.readouterr().out
    assert __version__ in out
    for command in ("run", "check", "demo", "sim"):
        assert command in out


@pytest.mark.parametrize("arguments", [[], ["fly"], ["run", "--nosuch"], ["sim", "--port=x"], ["sim", "--replay=x"]])
def test_wrong_usage_is_exit_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_check_prints_the_effective_configuration_and_every_channel(capsys):
    assert main(["check", "--json", "--set", "multicast.partitions=2"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["config"]["multicast"]["partitions"] == 2
    channels = printed["channels"]
    assert len(channels) == 2 * 5 * 2 + 2
    assert channels[19] == {
        "partition": 1,
        "channelId": 20,
        "kind": "definitions",
        "line": "B",
        "group": "239.78.0.20",
        "port": 20020,
        "interface": "127.0.0.1",
    }
    assert {c["kind"] for c in channels} == {"books", "trades", "bbo", "snapshots", "definitions", "retransmit"}


def test_check_prints_one_socket_for_the_requests_to_lines_of_one_address(capsys):
    assert main(["check", "--json"]) == 0
    channels = json.loads(capsys.readouterr().out)["channels"]
    requests = [channel for channel in channels if channel["kind"] == "retransmit"]
    assert [channel["port"] for channel in requests] == [20005, 20021, 20037, 20053]
    assert requests[1] == {
        "partition": 1,
        "channelId": 21,
        "kind": "retransmit",
        "line": "A",
        "group": "127.0.0.1",
        "port": 20021,
        "interface": "127.0.0.1",
    }


def test_an_interface_by_name_is_asked_at_its_address(capsys):
    assert main(["check", "--json", "--set", "multicast.lines.A.interface=lo"]) == 0
    channels = json.loads(capsys.readouterr().out)["channels"]
    (request,) = [each for each in channels if (each["channelId"], each["line"]) == (5, "A")]
    assert request["interface"] == "lo"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mine:
        mine.bind((request["group"], 0))  # whichever it is, it is this machine's


def test_check_prints_a_socket_for_the_requests_to_each_address(capsys):
    assert main(["check", "--json", "--set", "multicast.lines.B.interface=127.0.0.2"]) == 0
    channels = json.loads(capsys.readouterr().out)["channels"]
    requests = [(each["line"], each["group"]) for each in channels if each["channelId"] == 5]
    assert requests == [("A", "127.0.0.1"), ("B", "127.0.0.2")]


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_bad_configuration_is_exit_78_and_names_the_key(command, capsys):
    assert main([command, "--set", "multicast.lines.A.group=10.0.0.1"]) == 78
    assert "multicast.lines.A.group" in capsys.readouterr().err
    assert main([command, "--config", "nosuch.yaml"]) == 78
    assert "nosuch.yaml" in capsys.readouterr().err


@pytest.mark.parametrize("interface", ["nosuch0", "192.0.2.77"])
def test_an_interface_this_machine_does_not_have_is_exit_1_as_it_may_come(interface, capsys):
    for command in ("check", "run"):
        assert main([command, "--set", f"multicast.lines.B.interface={interface}"]) == 1
        assert "multicast.lines.B.interface" in capsys.readouterr().err


@pytest.mark.parametrize("interface", ["300.1.1.1", "eth 0", "eth0/24", "an-interface-with-a-long-name"])
def test_what_can_be_no_interface_is_exit_78(interface, capsys):
    for command in ("check", "run"):
        assert main([command, "--set", f"multicast.lines.B.interface={interface}"]) == 78
        assert "multicast.lines.B.interface" in capsys.readouterr().err


def test_a_mistake_is_exit_78_also_beside_an_interface_that_is_not_there(capsys):
    flags = ["--set=multicast.lines.A.interface=300.1.1.1", "--set=multicast.lines.B.interface=nosuch0"]
    assert main(["check", *flags]) == 78
    errors = capsys.readouterr().err
    assert "feeder: configuration: multicast.lines.A.interface: no interface '300.1.1.1'" in errors
    assert "feeder: this machine: multicast.lines.B.interface: no interface 'nosuch0'; wait until it is there" in errors


def test_check_names_every_mistake(capsys):
    assert main(["check", "--set", "queue.capacity=0", "--set", "multicast.ttl=999"]) == 78
    err = capsys.readouterr().err
    assert "queue.capacity" in err
    assert "multicast.ttl" in err
