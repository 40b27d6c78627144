# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The websocket server: says back what it hears."""

from __future__ import annotations

import asyncio
import logging.config
import signal
from pathlib import Path

from websockets.asyncio.server import ServerConnection, unix_serve

from .config import read_config
from .logs import logging_config

# product-facts 1.3 [S:SAAGIE]
SOCKET = Path("/app/run/api-toucan-websocket.sock")


async def echo(connection: ServerConnection) -> None:
    """Serve one connection."""
    # product-facts 2.2 [S:FE57]: `/ws` exists; what is said on it is [UNKNOWN]
    async for message in connection:
        await connection.send(message)


async def serve() -> None:
    """Serve until the process is told to stop."""
    SOCKET.unlink(missing_ok=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with unix_serve(echo, str(SOCKET)):
        await stop.wait()


if __name__ == "__main__":
    # product-facts 1.6 [S:HELM]
    logging.config.dictConfig(logging_config(read_config().text("TOUCAN_LOG_LEVEL", "INFO")))
    asyncio.run(serve())
