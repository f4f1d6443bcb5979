"""What `make audit` makes of pip-audit's words: a version that nobody looked up is never taken for a sound one."""

import json
from pathlib import Path

import pytest
from audit import NOT_AUDITED, OK, VULNERABLE, judge, main, pins


def told(*dependencies: dict[str, object]) -> str:
    return json.dumps({"dependencies": dependencies, "fixes": []})


SOUND: dict[str, object] = {"name": "idna", "version": "3.20", "vulns": []}
SKIPPED: dict[str, object] = {"name": "yarl", "skip_reason": "Dependency not found on PyPI and could not be audited"}
BAD: dict[str, object] = {
    "name": "urllib3",
    "version": "1.26.4",
    "vulns": [{"id": "PYSEC-2021-108", "fix_versions": ["1.26.5"]}, {"id": "PYSEC-1", "fix_versions": []}],
}


def test_all_looked_up_and_sound():
    assert judge(told(SOUND), "", 1) == (OK, "1 pinned versions, none with a known vulnerability")


def test_each_vulnerability_is_named_with_the_version_that_mends_it():
    code, text = judge(told(SOUND, BAD), "", 2)
    assert code == VULNERABLE
    assert text.splitlines() == [
        "urllib3 1.26.4: PYSEC-2021-108, mended in 1.26.5",
        "urllib3 1.26.4: PYSEC-1, no version without it yet",
    ]


def test_a_version_the_service_does_not_know_is_not_audited_though_pip_audit_is_content():
    code, text = judge(told(SOUND, SKIPPED), "No known vulnerabilities found", 2)
    assert (code, text) == (NOT_AUDITED, "NOT AUDITED: the service knows nothing of 1 of 2 versions (yarl)")


def test_versions_that_are_not_even_mentioned_are_not_audited():
    assert judge(told(SOUND), "", 3)[0] == NOT_AUDITED


def test_a_vulnerability_beside_unknown_versions_is_the_graver_news_and_both_are_said():
    code, text = judge(told(BAD, SKIPPED), "", 2)
    assert code == VULNERABLE
    assert "NOT AUDITED" in text


@pytest.mark.parametrize("stdout", ["", "{}", "null", "<html>"])
def test_a_service_that_cannot_be_asked_is_said_with_its_cause(stdout):
    stderr = "Traceback\n  File x\nrequests.exceptions.ProxyError: cannot connect to proxy\n"
    code, text = judge(stdout, stderr, 2)
    assert code == NOT_AUDITED
    assert "could not be asked: requests.exceptions.ProxyError: cannot connect to proxy" in text


def test_pip_audit_that_is_not_there_is_no_audit(tmp_path, capsys):
    path = tmp_path / "constraints.txt"
    path.write_text("idna==3.20\n")
    assert main([str(path)]) == NOT_AUDITED  # the tests' venv has no pip-audit
    assert "No module named pip_audit" in capsys.readouterr().out


def test_every_pin_of_ours_is_exact():
    for name in ("constraints.txt", "constraints-peers.txt", "constraints-audit.txt"):
        for pin in pins((Path(__file__).parents[3] / "deploy" / name).read_text("utf-8")):
            assert pin.count("==") == 1, pin
            assert not set(pin) & set("*<>~;@ "), pin
