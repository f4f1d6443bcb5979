"""The words for an order that nothing can come of any more. Source: Bybit v5, enum, orderStatus."""

GONE = "Gone"
"""The status, no word of the venue's, of an order that was open and that neither its lists nor its history know."""

FINAL_STATUSES = frozenset(("Filled", "Cancelled", "PartiallyFilledCanceled", "Rejected", "Deactivated", GONE))
