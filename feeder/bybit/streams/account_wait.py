"""Waiting for what an account needs: that its stream is up, or that anything else happened."""

import asyncio

from feeder.errors import TopicError

from .private import PrivateStream

_FOR_EVER = 1e9  # seconds


async def until_up(stream: PrivateStream, news: asyncio.Event) -> None:
    """Until the stream is up, or there is news, or a topic is refused, which the account may not need.

    Raises StreamAuthError when the key is refused, StreamError when the stream is closed or was never started.
    """
    happened = asyncio.create_task(news.wait(), name="account's news")
    up = asyncio.create_task(stream.ready(_FOR_EVER), name="account's stream")
    try:
        await asyncio.wait((happened, up), return_when=asyncio.FIRST_COMPLETED)
    finally:
        happened.cancel()
        up.cancel()
        _, ended = await asyncio.gather(happened, up, return_exceptions=True)
    if isinstance(ended, Exception) and not isinstance(ended, TopicError):  # nor a CancelledError
        raise ended
