"""An imitation of Bybit's public WebSocket and of the REST a feeder needs, written from the venue's documents alone.

It shares no code with the feeder (import-linter holds that), so that both can be wrong independently.
"""
