"""Bybit's REST API, v5, as a library: endpoints, signing, limits, a shared session pool, a cache of clients."""
