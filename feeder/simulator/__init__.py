"""An imitation of the exchange's public WebSocket and REST, written from the venue's documents alone."""
