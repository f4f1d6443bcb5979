"""Ages and rates as every screen and table shows them to a person."""

NOTHING = "-"
"""What stands where there is nothing to show."""


def age_text(seconds: float | None) -> str:
    """At most four characters: "0.2s", "45s", "12m", "30h", "12d"."""
    if seconds is None:
        return NOTHING
    if seconds < 9.95:
        return f"{max(seconds, 0.0):.1f}s"
    for limit, unit, name in ((99.5, 1, "s"), (99.5 * 60, 60, "m"), (99.5 * 3600, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f}{name}"
    return f"{seconds / 86400:.0f}d"


def rate_text(per_second: float) -> str:
    """One decimal below ten, thousands apart above."""
    return f"{per_second:.1f}" if 0 < per_second < 9.95 else f"{per_second:,.0f}"
