"""QUIC by aioquic: `quic.py serve ADDRESS PORT CERT KEY` or `quic.py upload ADDRESS PORT TIMES BYTES`."""

import asyncio
import os
import ssl
import sys

from aioquic.asyncio import connect, serve
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import StreamDataReceived

what, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])


class Echo(QuicConnectionProtocol):
    def quic_event_received(self, event):
        if isinstance(event, StreamDataReceived) and event.end_stream:
            self._quic.send_stream_data(event.stream_id, b"stored", end_stream=True)
            self.transmit()


async def main():
    if what == "serve":
        configuration = QuicConfiguration(is_client=False, alpn_protocols=["camera"])
        configuration.load_cert_chain(sys.argv[4], sys.argv[5])
        await serve(address, port, configuration=configuration, create_protocol=Echo)
        await asyncio.sleep(3600)
        return
    times, size = int(sys.argv[4]), int(sys.argv[5])
    for n in range(times):
        configuration = QuicConfiguration(is_client=True, alpn_protocols=["camera"], verify_mode=ssl.CERT_NONE)
        async with connect(address, port, configuration=configuration) as client:
            reader, writer = await client.create_stream()
            writer.write(os.urandom(1 + (n * 7919) % size))
            writer.write_eof()
            await asyncio.wait_for(reader.read(), 5)


asyncio.run(main())
