"""config/bybit.yaml is what it says: every key there is, with its usual value."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from feeder.bybit.system import SystemSettings
from feeder.bybit.system.settings_sections import SECTIONS

FILE = Path(__file__).parents[4] / "config" / "bybit.yaml"
DOCUMENT: dict[str, Any] = yaml.safe_load(FILE.read_text("utf-8"))


def test_the_file_loads_as_what_is_usual() -> None:
    loaded = SystemSettings.load(FILE, environ={})
    assert loaded.client == SystemSettings().client
    assert [getattr(loaded, section) == getattr(SystemSettings(), section) for section in SECTIONS] == [True] * 9


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_of_a_section_is_in_the_file_with_its_usual_value(section: str) -> None:
    assert msgspec.to_builtins(getattr(SystemSettings(), section)) == DOCUMENT[section]
