"""Settings of file and environment; each mistake by its name, and no error with the value of anything."""

import inspect
import json
import logging
import pydoc
import traceback
from pathlib import Path

import msgspec
import pytest

from feeder.bybit.rest.pool import SessionPool
from feeder.bybit.rest.secret import Secret
from feeder.bybit.rest.settings import Settings, client_from
from feeder.errors import ConfigError
from tests.helpers.secrets import (
    API_KEY,
    API_SECRET,
    OTHER_API_KEY,
    OTHER_API_SECRET,
    known,
    left_behind,
    rsa_keys,
    secret_file,
)

BOTH = f"api_key: {API_KEY}\napi_secret: {API_SECRET}\n"
ODD_SECRET = known("8aQ;*&!%@#zXw5vLk\u00fc")
KEY = {"BYBIT_API_KEY": API_KEY}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "bybit.yaml"


def refused(path: Path | None = None, environ: dict[str, str] | None = None) -> ConfigError:
    """The error, in which no value stands: not even with all that is chained to it."""
    with pytest.raises(ConfigError) as raised:
        Settings.load(path, environ or {})
    error: BaseException | None = raised.value
    shown = "".join(traceback.format_exception(raised.value))
    while error is not None:
        shown += repr(error)
        error = error.__cause__ or error.__context__
    for value in (API_KEY, API_SECRET, OTHER_API_SECRET, ODD_SECRET):
        assert value not in shown
        assert value[:12] not in shown
    left_behind(shown, "an error of the settings")
    return raised.value


# What there is


def test_nothing_given_is_the_public_mainnet() -> None:
    assert Settings.load(environ={}) == Settings(
        api_key=None, api_secret=None, environment="mainnet", base_url=None, recv_window=5000
    )


def test_a_file_has_all_there_is(file: Path) -> None:
    secret_file(file, BOTH + "environment: testnet\nbase_url: http://127.0.0.1:9444/\nrecv_window: 10000\n")
    assert Settings.load(file, {}) == Settings(
        api_key=API_KEY,
        api_secret=Secret(API_SECRET),
        environment="testnet",
        base_url="http://127.0.0.1:9444",
        recv_window=10_000,
    )


def test_json_says_the_same(file: Path, tmp_path: Path) -> None:
    secret_file(file, BOTH + "environment: demo\nbase_url:\n")
    document = {"api_key": API_KEY, "api_secret": API_SECRET, "environment": "demo", "base_url": None}
    as_json = secret_file(tmp_path / "bybit.json", json.dumps(document, indent="\t"))
    assert Settings.load(str(as_json), {}) == Settings.load(file, {})


def test_a_key_of_digits_is_text_where_yaml_would_count_otherwise(file: Path) -> None:
    secret_file(file, f"api_key: 01234567\napi_secret: {API_SECRET}\n")
    assert Settings.load(file, {}).api_key == "01234567"


@pytest.mark.parametrize("content", ["", "# nothing yet\n", "environment:\n"])
def test_an_empty_file_says_nothing(file: Path, content: str) -> None:
    file.write_text(content)
    assert Settings.load(file, {}) == Settings()


def test_the_environment_stands_over_the_file(file: Path) -> None:
    secret_file(file, BOTH + "environment: testnet\nrecv_window: 7000\n")
    environ = {
        "BYBIT_API_KEY": OTHER_API_KEY,
        "BYBIT_API_SECRET": OTHER_API_SECRET,
        "BYBIT_ENVIRONMENT": "demo",
        "BYBIT_OF_ANOTHER_PROGRAM": "x",
    }
    assert Settings.load(file, environ) == Settings(
        api_key=OTHER_API_KEY, api_secret=Secret(OTHER_API_SECRET), environment="demo", recv_window=7000
    )


def test_the_process_environment_counts_where_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BYBIT_API_KEY", API_KEY)
    monkeypatch.setenv("BYBIT_API_SECRET", API_SECRET)
    assert Settings.load().api_secret == Secret(API_SECRET)


def test_a_secret_of_the_environment_replaces_the_one_of_the_file_however_it_is_given(
    file: Path, tmp_path: Path
) -> None:
    own = secret_file(tmp_path / "secret with space", f"{OTHER_API_SECRET}\n")
    secret_file(file, BOTH)
    assert Settings.load(file, {"BYBIT_API_SECRET_FILE": str(own)}).api_secret == Secret(OTHER_API_SECRET)
    file.write_text(f"api_key: {API_KEY}\napi_secret_file: {own}\n")
    assert Settings.load(file, {"BYBIT_API_SECRET": API_SECRET}).api_secret == Secret(API_SECRET)


def test_a_private_key_may_stand_in_a_file_or_in_the_environment(file: Path, tmp_path: Path) -> None:
    private, _ = rsa_keys()
    own = secret_file(tmp_path / "bybit.pem", private)
    secret_file(file, f"api_key: {API_KEY}\napi_secret_file: {own}\n")
    for settings in (Settings.load(file, {}), Settings.load(environ={**KEY, "BYBIT_API_SECRET": private})):
        assert settings.api_secret is not None
        assert settings.api_secret.reveal().strip() == private.strip()


def test_what_systemd_guards_by_an_acl_is_taken(tmp_path: Path) -> None:
    own = secret_file(tmp_path / "bybit", API_SECRET, 0o440)
    environ = {**KEY, "BYBIT_API_SECRET_FILE": str(own)}
    assert Settings.load(environ={**environ, "CREDENTIALS_DIRECTORY": str(tmp_path)}).api_secret == Secret(API_SECRET)
    assert refused(environ=environ).path == "BYBIT_API_SECRET_FILE"
    assert refused(environ={**environ, "CREDENTIALS_DIRECTORY": ""}).path == "BYBIT_API_SECRET_FILE"


# Clients


@pytest.mark.parametrize(
    ("changed", "address"),
    [
        ({}, "https://api.bybit.com"),
        ({"environment": "testnet"}, "https://api-testnet.bybit.com"),
        ({"environment": "demo"}, "https://api-demo.bybit.com"),
        ({"environment": "demo", "base_url": "http://127.0.0.1:9444"}, "http://127.0.0.1:9444"),
    ],
)
async def test_a_client_is_made_of_them(changed: dict[str, str], address: str) -> None:
    settings = Settings(api_key=API_KEY, api_secret=Secret(API_SECRET), recv_window=7000)
    async with SessionPool() as pool:
        client = client_from(msgspec.structs.replace(settings, **changed), pool)
        assert (client.base_url, client.recv_window) == (address, 7000)
        assert client._pool is pool
        assert (client._key, client._secret) == (API_KEY, Secret(API_SECRET))


def test_settings_show_no_key_and_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(api_key=API_KEY, api_secret=Secret(API_SECRET), environment="testnet")
    logging.getLogger("any").warning("%s %r %s", settings, settings, {"settings": settings})
    assert repr(settings) == "Settings(testnet, with a key)"
    assert repr(Settings()) == "Settings(mainnet, public)"
    assert API_KEY not in caplog.text
    with pytest.raises(TypeError):
        msgspec.json.encode(settings)


# Mistakes


@pytest.mark.parametrize(
    ("line", "path", "told"),
    [
        ("api_kye: x", "api_kye", "no such key; did you mean api_key?"),
        ("apiSecret: x", "apiSecret", "did you mean api_secret?"),
        ("enviroment: testnet", "enviroment", "did you mean environment?"),
        ("zzz: 1", "zzz", "the keys are api_key, api_secret, api_secret_file, environment, base_url, recv_window"),
        (f"{API_SECRET}: 1", "a key of 36 characters", "no such key"),
        (f"{{api_secret:{API_SECRET}}}", "a key of 47 characters", "no such key"),
        ("5: 1", "a key of 1 characters", "no such key"),
        ("api_key: 4711", "api_key", "is read as int, not as text; copy it again, and write it in quotes"),
        ("api_key: 1e5", "api_secret", "missing beside the key; give it, or BYBIT_API_SECRET, or neither"),
        ("api_key: 2026-11-21", "api_key", "is read as date"),
        ("api_key: ''", "api_key", "is empty"),
        ("api_key: 'with space'", "api_key", "has a space"),
        ("api_secret: [1]", "api_secret", "is read as list"),
        (f"api_secret: '{ODD_SECRET}'", "api_secret", "other character that belongs to none"),
        ("api_secret: x\napi_secret_file: y", "api_secret_file", "beside api_secret; give one of the two"),
        (f"api_key: {API_KEY}", "api_secret", "missing beside the key; give it, or BYBIT_API_SECRET, or neither"),
        (f"api_secret: {API_SECRET}", "api_key", "missing beside the secret; give it, or BYBIT_API_KEY, or neither"),
        ("api_key: a\napi_key: b", "api_key", "stands twice in"),
        ("environment: live", "environment", "is none that there is; use mainnet, testnet or demo"),
        ("environment: true", "environment", "is read as bool"),
        ("base_url: api.bybit.com", "base_url", "is no address of a host; write https://host"),
        (f"base_url: https://user:{API_SECRET}@host", "base_url", "without user, password and path"),
        ("base_url: https://host/v5", "base_url", "is no address of a host"),
        ("recv_window: 0", "recv_window", "is no such number; use 1 to 60000, in milliseconds"),
        ("recv_window: 60001", "recv_window", "is no such number"),
        ("recv_window: '5000'", "recv_window", "is no such number"),
        ("recv_window: true", "recv_window", "is no such number"),
        ("recv_window: 5e3", "recv_window", "is no such number"),
    ],
)
def test_a_mistake_in_the_file_is_named_by_its_key(file: Path, line: str, path: str, told: str) -> None:
    error = refused(secret_file(file, line))
    assert error.path == path
    assert told in str(error)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (f"api_secret: *{API_SECRET}", "is not YAML: see line 1, column 13; mend it"),
        (f"api_secret: !{API_SECRET} x", "is not YAML: see line 1, column 13"),
        (f"environment: demo\napi_secret: '{API_SECRET}", "is not YAML: see line 2, column"),
        (f"api_key: x\napi_secret:{API_SECRET}\n", "is not YAML: see line 3, column 1"),
        ("api_key: 2001-99-99", "is not YAML: a value or character in it cannot be"),
        ("\0", "is not YAML: a value or character in it cannot be"),
        ("[" * 10_000, "is not YAML"),
        ("? [a]\n: b", "is not YAML"),
        (f"api_secret:{API_SECRET}", "holds a str and no keys with values; the keys are"),
        ("- a", "holds a list"),
        ("x" * 70_000, "is larger than 65536 bytes"),
    ],
)
def test_what_is_no_mapping_is_refused_without_showing_it(file: Path, content: str, told: str) -> None:
    error = refused(secret_file(file, content))
    assert error.path == str(file)
    assert told in str(error)


@pytest.mark.parametrize(
    ("content", "path", "told"),
    [
        (f'{{"api_secret": {API_SECRET}}}', "", "is not JSON: see line 1, column 16"),
        ('{"api_key": "a", "api_key": "b"}', "api_key", "stands twice in"),
        ("[]", "", "holds a list"),
        ("[" * 100_000, "", "is larger"),
        ("[" * 60_000, "", "is not JSON"),
        ("", "", "is not JSON"),
    ],
)
def test_json_has_its_own_mistakes(tmp_path: Path, content: str, path: str, told: str) -> None:
    file = secret_file(tmp_path / "bybit.json", content)
    error = refused(file)
    assert error.path == (path or str(file))
    assert told in str(error)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_file_with_a_secret_that_others_may_read_is_refused(file: Path, tmp_path: Path, mode: int) -> None:
    error = refused(secret_file(file, BOTH, mode))
    assert error.path == str(file)
    assert str(error).endswith(f"with mode {mode:04o} others may read it; chmod 600 {file}")
    own = secret_file(tmp_path / "secret", API_SECRET, mode)
    file.write_text(f"api_key: {API_KEY}\napi_secret_file: {own}\n")
    assert refused(file).path == "api_secret_file"
    file.write_text("environment: demo\n")
    assert Settings.load(file, {}).environment == "demo", "there is no secret in it"


@pytest.mark.parametrize(
    ("environ", "path", "told"),
    [
        ({"BYBIT_API_KEY": ""}, "BYBIT_API_KEY", "is empty"),
        ({"BYBIT_API_KEY": API_KEY}, "api_secret", "give it, or BYBIT_API_SECRET, or neither"),
        ({"BYBIT_API_SECRET": API_SECRET}, "api_key", "give it, or BYBIT_API_KEY, or neither"),
        ({**KEY, "BYBIT_API_SECRET": f"{API_SECRET}\n"}, "BYBIT_API_SECRET", "has a space, line end"),
        ({**KEY, "BYBIT_API_SECRET": f"{API_SECRET}\udcff"}, "BYBIT_API_SECRET", "other character"),
        ({**KEY, "BYBIT_API_SECRET": "-----BEGIN PRIVATE KEY-----\udcff"}, "BYBIT_API_SECRET", "other character"),
        ({**KEY, "BYBIT_API_SECRET": "-----BEGIN PRIVATE KEY-----\\nMIIE"}, "BYBIT_API_SECRET", "no PEM private key"),
        ({**KEY, "BYBIT_API_SECRET_FILE": "/nowhere/at all"}, "BYBIT_API_SECRET_FILE", "'/nowhere/at all' cannot be"),
        ({**KEY, "BYBIT_API_SECRET_FILE": "/"}, "BYBIT_API_SECRET_FILE", "cannot be read: Is a directory"),
        ({**KEY, "BYBIT_API_SECRET_FILE": "a\0b"}, "BYBIT_API_SECRET_FILE", "cannot be read: no such path"),
        (
            {**KEY, "BYBIT_API_SECRET": "x", "BYBIT_API_SECRET_FILE": "y"},
            "BYBIT_API_SECRET_FILE",
            "beside BYBIT_API_SECRET; give one of the two",
        ),
        ({"BYBIT_ENVIRONMENT": "Testnet"}, "BYBIT_ENVIRONMENT", "use mainnet, testnet or demo"),
        ({"BYBIT_ENVIROMENT": "testnet"}, "BYBIT_ENVIROMENT", "no such variable; did you mean BYBIT_ENVIRONMENT?"),
        ({"BYBIT_ENV": "testnet"}, "BYBIT_ENV", "did you mean BYBIT_ENVIRONMENT?"),
        ({"BYBIT_TESTNET": "1"}, "BYBIT_TESTNET", "no such variable; did you mean BYBIT_ENVIRONMENT?"),
        ({"BYBIT_DEMO": "true"}, "BYBIT_DEMO", "no such variable; did you mean BYBIT_ENVIRONMENT?"),
        ({"BYBIT_APIKEY": "k", "BYBIT_API_SECRET": "s"}, "BYBIT_APIKEY", "did you mean BYBIT_API_KEY?"),
        ({"BYBIT_APISECRET": "s"}, "BYBIT_APISECRET", "no such variable; did you mean BYBIT_API_SECRET?"),
        ({"BYBIT_BASEURL": "x"}, "BYBIT_BASEURL", "no such variable; did you mean BYBIT_BASE_URL?"),
        ({"BYBIT_API_SECRETFILE": "x"}, "BYBIT_API_SECRETFILE", "did you mean BYBIT_API_SECRET_FILE?"),
    ],
)
def test_a_mistake_in_the_environment_is_named_by_its_variable(environ: dict[str, str], path: str, told: str) -> None:
    error = refused(environ=environ)
    assert error.path == path
    assert told in str(error)


def test_a_key_without_a_value_is_as_if_it_were_not_there(file: Path, tmp_path: Path) -> None:
    file.write_text("environment:\n")
    assert refused(file, {"BYBIT_ENV": "demo"}).path == "BYBIT_ENV"
    own = secret_file(tmp_path / "secret", API_SECRET)
    secret_file(file, f"api_key: {API_KEY}\napi_secret:\napi_secret_file: {own}\n")
    assert Settings.load(file, {}).api_secret == Secret(API_SECRET)


def test_who_wants_the_testnet_by_another_name_does_not_get_the_mainnet_of_the_file(file: Path) -> None:
    file.write_text("environment: mainnet\n")
    assert refused(file, {"BYBIT_TESTNET": "1"}).path == "BYBIT_TESTNET"
    assert Settings.load(file, {"BYBIT_TESTNET": "1", "BYBIT_ENVIRONMENT": "mainnet"}).environment == "mainnet"
    file.write_text("environment: testnet\n")
    assert Settings.load(file, {"BYBIT_TESTNET": "1"}).environment == "testnet"


def test_the_remedy_for_a_file_that_others_may_read_is_a_command_that_works(tmp_path: Path) -> None:
    own = secret_file(tmp_path / "a secret", API_SECRET, 0o640)
    assert f"; chmod 600 '{own}'" in str(refused(environ={**KEY, "BYBIT_API_SECRET_FILE": str(own)}))


def test_a_variable_of_another_program_does_no_harm() -> None:
    given = {**KEY, "BYBIT_API_SECRET": API_SECRET, "BYBIT_APIKEY": "theirs", "BYBIT_APISECRET": "theirs"}
    assert Settings.load(environ=given).api_key == KEY["BYBIT_API_KEY"]
    theirs = {"BYBIT_API_KEY2": "k", "BYBIT_API_SECRET_2": "s", "BYBIT_SYMBOL": "BTCUSDT", "BYBIT_API": "v5"}
    assert Settings.load(environ=theirs).api_key is None


def test_a_variable_that_looks_like_the_environment_does_no_harm_where_one_is_named() -> None:
    assert Settings.load(environ={"BYBIT_ENV": "x", "BYBIT_ENVIRONMENT": "demo"}).environment == "demo"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "is empty"),
        ("\n", "is empty"),
        (f"{API_SECRET}\n{API_SECRET}\n", "has a space, line end"),
        ("public", "is no PEM private key that can be read"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n", "is no PEM private key that can be read"),
    ],
)
def test_a_secret_file_that_holds_no_secret_is_refused(tmp_path: Path, content: str, told: str) -> None:
    own = secret_file(tmp_path / "secret", rsa_keys()[1] if content == "public" else content)
    error = refused(environ={**KEY, "BYBIT_API_SECRET_FILE": str(own)})
    assert error.path == "BYBIT_API_SECRET_FILE"
    assert told in str(error)


@pytest.mark.parametrize(
    "secret", [API_SECRET, "private", f"{API_SECRET}/x.y" + "z" * 300], ids=["secret", "private key", "long"]
)
def test_a_secret_that_stands_where_its_file_should_be_named_is_not_shown(file: Path, secret: str) -> None:
    text = rsa_keys()[0] if secret == "private" else secret
    told = f"a path of {len(str(Path(text)))} characters cannot be read: "
    error = refused(environ={**KEY, "BYBIT_API_SECRET_FILE": text})
    assert error.path == "BYBIT_API_SECRET_FILE"
    assert told in str(error)
    secret_file(file, f"api_key: x\napi_secret_file: {json.dumps(text)}\n")
    assert told in str(refused(file))


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    own = secret_file(tmp_path / "secret", f"\ufeff{API_SECRET}\r\n")
    document = {"api_key": API_KEY, "api_secret_file": str(own)}
    for name in ("bybit.json", "bybit.yaml"):
        file = secret_file(tmp_path / name, f"\ufeff{json.dumps(document)}")
        assert Settings.load(file, {}).api_secret == Secret(API_SECRET)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "cannot be read: No such file or directory; name the file with the settings" in str(
        refused(tmp_path / "none.yaml")
    )


def test_no_signature_shows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BYBIT_API_SECRET", API_SECRET)
    assert API_SECRET not in pydoc.render_doc(Settings)
    assert API_SECRET not in str(inspect.signature(Settings.load))


def test_address_and_window_may_stand_in_the_environment() -> None:
    settings = Settings.load(environ={"BYBIT_BASE_URL": "http://127.0.0.1:9444", "BYBIT_RECV_WINDOW": "8000"})
    assert (settings.base_url, settings.recv_window) == ("http://127.0.0.1:9444", 8000)
    for wrong in ("abc", "0", "-5", "9" * 30, "1.5"):
        assert refused(environ={"BYBIT_RECV_WINDOW": wrong}).path == "BYBIT_RECV_WINDOW"


def test_a_key_of_the_environment_does_not_take_the_secret_of_another(file: Path) -> None:
    secret_file(file, BOTH)
    error = refused(file, {"BYBIT_API_KEY": OTHER_API_KEY})
    assert (error.path, error.remedy) == ("BYBIT_API_KEY", "give both in the environment, or neither")
    secret_file(file, f"api_secret: {API_SECRET}\n")
    assert Settings.load(file, KEY).api_key == API_KEY, "a file may have just the secret"


def test_settings_made_by_hand_are_no_less_careful() -> None:
    with pytest.raises(ConfigError, match="environment: is none that there is; use mainnet, testnet or demo"):
        Settings(environment="tesnet")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"api_secret: is no Secret") as caught:
        Settings(api_key=API_KEY, api_secret=API_SECRET)  # type: ignore[arg-type]
    assert API_SECRET not in str(caught.value)
