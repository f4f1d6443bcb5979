"""Foreign clients in a venv of their own, asked through the tools that run them."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from tests.helpers.require import require_peers

SECONDS = 90.0  # ccxt takes some to import and to load the markets


async def told_by(tool: Path, *arguments: str, key: str, secret: str) -> dict[str, Any]:
    """What a tool prints, as JSON, with a key in its environment."""
    process = await asyncio.create_subprocess_exec(
        *(require_peers(), str(tool), *arguments),
        env=os.environ | {"BYBIT_API_KEY": key, "BYBIT_API_SECRET": secret},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(), SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert output, errors.decode(errors="replace")
    answer: dict[str, Any] = json.loads(output)
    return answer
