"""One system over REST and streams: the market, and what is around it."""
