"""The soak's rows as a table fit for a README, and as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

import hostile
import loss_counts
from soak_row import Row

_COLUMNS = (
    "script", "seed", "consumers", "packets", "lost", "holes", "requests", "filled", "p50 / p99 ms", "compared",
    "wrong", "unflagged", "verdict",
)  # fmt: skip


_OTHERS: Final = {"loss_counts": loss_counts.table, "hostile": hostile.table}


def table(rows: Sequence[Row], others: Mapping[str, dict[str, Any]]) -> str:
    """Markdown: a row a script; under it what it waited for, and why it failed; then what other tools found."""
    lines = ["| " + " | ".join(_COLUMNS) + " |", "|---" * len(_COLUMNS) + "|"]
    for row in rows:
        fill = f"{row.fill_ms['p50']:.1f} / {row.fill_ms['p99']:.1f}" if row.fill_ms else ""
        counts = (row.packets, row.lost, row.holes, row.requests, row.filled)
        cells = [
            row.script,
            str(row.seed),
            str(row.consumers),
            *(f"{count:,}" for count in counts),
            fill,
            f"{row.compared + row.compared_with_exchange:,}",
            str(row.wrong),
            str(row.unflagged),
            "holds" if row.good else "FAILS",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", *(line for row in rows for line in notes(row))]
    for name, result in others.items():
        verdict = "holds" if result["good"] else "FAILS"
        lines += ["", f"{name}: {verdict}", "", result["problem"] if "problem" in result else _OTHERS[name](result)]
    return "\n".join(lines)


def notes(row: Row) -> list[str]:
    """What has no column: recovery times, and every reason why the script does not hold."""
    told = []
    if row.joined_seconds:
        told.append("all LIVE " + ", ".join(f"{s:.2f} s" for s in row.joined_seconds.values()) + " after joining")
    if row.noticed_seconds:
        told.append(f"the feeder's death noticed within {max(row.noticed_seconds):.2f} s")
    if row.back_seconds:
        told.append(f"all LIVE {max(row.back_seconds):.2f} s after it was heard again")
    if row.excused:
        told.append(
            f"{row.excused} LIVE books wrong for a while after {row.altered} altered packets, "
            f"{row.checksum_mismatches} taken down by a checksum"
        )
    if row.dropped_here:
        told.append(f"{row.dropped_here} packets dropped by the consumer's own host, and told apart")
    if row.conflated:
        told.append(f"{row.conflated} updates folded")
    lines = [f"- {row.script}: {'; '.join(told)}"] if told else []
    return lines + [f"- {row.script} FAILS: {problem}" for problem in row.problems]


def as_json(rows: Sequence[Row], **others: Any) -> dict[str, Any]:
    """Everything, for `--json`."""
    return {"rows": [{**asdict(row), "good": row.good} for row in rows], **others}
