"""Every broken build can be made of today's source, and a change that no longer fits it is no broken build."""

import compileall

import pytest
from broken_builds import BUILDS, ROOT, BuildError, Change, Verdict, make, table
from soak_scripts import SCRIPTS


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.name)
def test_a_broken_build_is_what_it_says_and_still_a_program(tmp_path, build):
    make(tmp_path, build.changes)
    changed = {
        str(path.relative_to(tmp_path))
        for path in (tmp_path / "feeder").rglob("*.py")
        if path.read_text("utf-8") != (ROOT / path.relative_to(tmp_path)).read_text("utf-8")
    }
    assert changed == {change.path for change in build.changes} != set()
    assert all(compileall.compile_file(tmp_path / path, quiet=2) for path in changed)
    assert build.script in {script.name for script in SCRIPTS}


@pytest.mark.parametrize("old", ["nothing of the kind", "self"])
def test_a_change_that_does_not_fit_exactly_once_is_refused(tmp_path, old):
    with pytest.raises(BuildError, match="not once"):
        make(tmp_path, [Change("feeder/book/sync.py", old, "")])


def test_the_table_says_which_build_got_away():
    caught = Verdict("one", "a script", True, 1_000, 3, "book 1 was LIVE and wrong")
    missed = Verdict("another", "a script", False, 1_000, 0, "")
    first, second = table([caught, missed]).splitlines()[2:]
    assert first.endswith("| 3 | book 1 was LIVE and wrong | good |")
    assert second.endswith("| 0 |  | NOT GOOD |")
