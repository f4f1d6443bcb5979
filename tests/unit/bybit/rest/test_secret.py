"""A secret goes into signatures, and nowhere else by accident."""

import copy
import dataclasses
import json
import logging
import marshal
import pickle
import traceback

import msgspec
import pytest
import structlog
import yaml

from feeder.bybit.rest.secret import Secret
from feeder.log_redact import plain
from tests.helpers.secrets import known

TEXT = known("aRainyAfternoon4711")
SECRET = Secret(TEXT)


@dataclasses.dataclass
class Account:
    name: str
    secret: Secret


class Settings(msgspec.Struct):
    secret: Secret


@pytest.mark.parametrize(
    "shown",
    [
        repr(SECRET),
        str(SECRET),
        f"{SECRET} {SECRET!r} {SECRET!s} {SECRET!a} {SECRET:>30}",
        "%s %r %a %.60s" % (SECRET, SECRET, SECRET, SECRET),  # noqa: UP031 - as old loggers do
        repr({"secret": SECRET, "list": [SECRET], "tuple": (SECRET,)}),
        repr(Account("a", SECRET)),
        repr(Settings(SECRET)),
        repr(dataclasses.asdict(Account("a", SECRET))),
        repr(msgspec.structs.asdict(Settings(SECRET))),
        json.dumps({"secret": SECRET}, default=str),
        json.dumps({"secret": SECRET}, default=repr),
        msgspec.json.encode(Settings(SECRET), enc_hook=str).decode(),
        repr(plain("account", {"name": SECRET})),
        repr(dir(SECRET)),
    ],
)
def test_it_shows_itself_in_no_form_of_text(shown: str) -> None:
    assert TEXT not in shown


@pytest.mark.parametrize(
    "write",
    [
        json.dumps,
        msgspec.json.encode,
        msgspec.msgpack.encode,
        msgspec.to_builtins,
        pickle.dumps,
        marshal.dumps,
        yaml.dump,
        yaml.safe_dump,
        vars,
        iter,
        len,
        hash,
        Secret.__getstate__,
        lambda secret: json.dumps(secret, default=vars),
        lambda secret: secret.__reduce_ex__(4),
        *(lambda secret, protocol=protocol: pickle.dumps(Account("a", secret), protocol) for protocol in range(6)),
    ],
)
def test_nothing_that_serializes_gets_at_it(write) -> None:
    with pytest.raises((TypeError, ValueError, yaml.YAMLError)) as raised:
        write(SECRET)
    assert TEXT not in "".join(traceback.format_exception(raised.value))


def test_a_log_line_does_not_have_it(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("any").warning("client %s of %r", SECRET, {"secret": SECRET}, extra={"account": SECRET})
    structlog.get_logger("any").warning("client made", account=SECRET, all=[SECRET])
    structlog.wrap_logger(structlog.PrintLogger(), processors=[structlog.processors.JSONRenderer()]).info(
        "client made", account=SECRET
    )
    out, err = capsys.readouterr()
    assert "client made" in out
    assert TEXT not in caplog.text + out + err


def test_a_traceback_with_locals_does_not_have_it() -> None:
    def sign(secret: Secret) -> float:
        return 1 / len(str(secret).strip("*"))

    with pytest.raises(ZeroDivisionError) as raised:
        sign(SECRET)
    shown = "".join(traceback.TracebackException.from_exception(raised.value, capture_locals=True).format())
    assert "secret = Secret(***)" in shown
    assert TEXT not in shown


def test_a_copy_is_the_secret_itself() -> None:
    account = Account("a", SECRET)
    assert copy.copy(SECRET) is SECRET
    assert copy.deepcopy(account).secret is SECRET
    assert dataclasses.replace(account, name="b").secret is SECRET


def test_secrets_are_compared_by_their_text_and_with_secrets_alone() -> None:
    assert Secret(TEXT) == SECRET
    assert Secret(TEXT + "x") != SECRET
    assert Secret("g\u00fcltig") == Secret("g\u00fcltig")
    assert SECRET != TEXT
    assert f"{SECRET:>5}" == "  ***"
    with pytest.raises(TypeError, match="'<' not supported"):
        sorted([SECRET, Secret("b")])  # type: ignore[type-var]


def test_only_reveal_gives_it() -> None:
    assert SECRET.reveal() == TEXT
    assert SECRET
    assert not Secret("")


@pytest.mark.parametrize("value", [TEXT.encode(), None, 4711, [TEXT], Secret(TEXT), f"{TEXT}\udcff"])
def test_what_is_no_text_is_refused_and_not_shown(value) -> None:
    with pytest.raises((TypeError, ValueError), match="a Secret is made of text") as raised:
        Secret(value)
    assert TEXT not in "".join(traceback.format_exception(raised.value))
    frames = [frame for frame, _ in traceback.walk_tb(raised.value.__traceback__)][1:]  # the first is the test's
    assert TEXT not in str([frame.f_locals for frame in frames])
