"""Between venue and wire: a router, a bounded queue per symbol, a task per symbol."""
