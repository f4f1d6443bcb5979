"""The venue: everything that knows Bybit's JSON, rules and limits, and nothing else."""
