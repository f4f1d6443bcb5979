"""The reference SBE tool (uk.co.real-logic:sbe-all) as a process: schema checks, decoders, generated code."""

import json
import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.helpers import values
from tests.helpers.require import missing, require

PROGRAMS = Path(__file__).parents[1] / "foreign"
TOOLS = Path(__file__).parents[2] / ".tools"

Decoded = tuple[str | None, dict[str, Any]]
"""Template, None if the schema has none of this id, and values as in tests.helpers.values."""


class SbeTool:
    """Needs a JDK and the jar that `make sbe-tool` fetches: `java` in FEEDER_REQUIRE."""

    def __init__(self) -> None:
        jars = sorted(TOOLS.glob("sbe-all-*.jar"))
        if not jars:
            missing("java", "the reference SBE tool is not here; `make sbe-tool` fetches it")
        self._jar = str(jars[-1])
        self._java = require("java")
        self._javac = shutil.which("javac") or missing("java", "there is no JDK, only a Java runtime")

    def generate(self, schema: Path, folder: Path) -> list[Path]:
        """Java decoders and encoders of a schema that the tool's XSD and own checks find nothing to say about."""
        with zipfile.ZipFile(self._jar) as jar:
            xsd = jar.extract("fpl/sbe.xsd", folder)
        options = {"output.dir": folder, "java.generate.interfaces": "true", "validation.warnings.fatal": "true"}
        options["validation.xsd"] = xsd
        said = self._run(*(f"-Dsbe.{name}={value}" for name, value in options.items()), "-jar", self._jar, str(schema))
        assert not said, said
        return sorted(folder.glob("feeder/*.java"))

    def compile(self, sources: Iterable[Path], folder: Path) -> None:
        """Java classes, of sources without anything to warn of."""
        options = ["-Xlint:all", "-Werror", "-cp", self._jar, "-d", str(folder)]
        subprocess.run([self._javac, *options, *map(str, sources)], check=True, timeout=120)

    def decode(self, schema: Path, messages: Iterable[bytes]) -> list[Decoded]:
        """SBE messages, by the tool's decoder that interprets a schema."""
        rows = map(json.loads, self._program(self._jar, "OtfJson", [str(schema)], messages))
        return [(row["template"], values.of_foreign(row.get("values", {}))) for row in rows]

    def decode_generated(self, classes: Path, names: Iterable[str], messages: Iterable[bytes]) -> list[dict[str, Any]]:
        """SBE messages, by compiled decoders: values as texts, groups as lists of the same, pads left out."""
        return [
            _fields(line.partition("):")[2])
            for line in self._program(f"{self._jar}:{classes}", "Generated", [*names], messages)
        ]

    def _program(self, path: str, name: str, arguments: list[str], messages: Iterable[bytes]) -> list[str]:
        lines = "".join(message.hex() + "\n" for message in messages)
        # The tool's buffers are built on what the JDK keeps to itself.
        exports = ["--add-exports", "java.base/jdk.internal.misc=ALL-UNNAMED"]
        return self._run(*exports, "-cp", path, str(PROGRAMS / f"{name}.java"), *arguments, given=lines).splitlines()

    def _run(self, *arguments: str, given: str = "") -> str:
        environment = {name: value for name, value in os.environ.items() if name != "JAVA_TOOL_OPTIONS"}  # it is echoed
        done = subprocess.run(
            [self._java, *arguments], input=given, capture_output=True, text=True, timeout=120, env=environment
        )
        assert done.returncode == 0, done.stderr
        assert not done.stderr, done.stderr
        return done.stdout


def _fields(text: str) -> dict[str, Any]:
    """A generated decoder's text: name=value|name=value|group=[(name=value|name=value),...]."""
    found: dict[str, Any] = {}
    for name, entries, value in re.findall(r"(\w+)=(?:\[(.*)\]|([^|)]*))", text):
        if name.startswith("pad"):
            continue
        is_group = f"{name}=[" in text
        found[name] = [_fields(entry) for entry in re.findall(r"\((.*?)\)", entries)] if is_group else value
    return found
