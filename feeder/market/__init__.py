"""The words all parts share: exact numbers, instruments, neutral updates, book status. No venue, no wire."""
