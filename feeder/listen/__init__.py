"""The multicast listener: a person's live view of the feed, and JSON for programs."""
