"""Events over a web socket: `websocket.py serve ADDRESS PORT` or `websocket.py send ADDRESS PORT COUNT`."""

import asyncio
import json
import os
import sys

import websockets

what, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])


async def swallow(socket):
    async for _ in socket:
        pass


async def main():
    if what == "serve":
        async with websockets.serve(swallow, address, port):
            await asyncio.Future()
    async with websockets.connect(f"ws://{address}:{port}/events") as socket:
        for n in range(int(sys.argv[4])):
            await socket.send(os.urandom(n * 3 % 900) if n % 2 else json.dumps({"event": "motion", "n": n}))
            await asyncio.sleep(0.005)


asyncio.run(main())
