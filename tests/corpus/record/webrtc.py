"""One end of a WebRTC session: `webrtc.py offer|answer FOLDER CLIP SECONDS`; the descriptions go through files."""

import asyncio
import sys
import time
from pathlib import Path

from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaBlackhole, MediaPlayer

role, folder, clip, seconds = sys.argv[1], Path(sys.argv[2]), sys.argv[3], float(sys.argv[4])


async def read(name):
    for _ in range(300):
        path = folder / name
        if path.exists():
            return path.read_text()
        await asyncio.sleep(0.1)
    raise SystemExit(f"no {name}")


def write(name, text):
    (folder / f"{name}.new").write_text(text)
    (folder / f"{name}.new").rename(folder / name)


async def main():
    peer = RTCPeerConnection()
    sink = MediaBlackhole()

    @peer.on("track")
    def track(track):
        sink.addTrack(track)

    if role == "offer":
        player = MediaPlayer(clip)
        peer.addTrack(player.video)
        channel = peer.createDataChannel("events")

        @channel.on("open")
        def opened():
            for n in range(20):
                channel.send(f'{{"event":"motion","n":{n},"at":{time.time()}}}')

        await peer.setLocalDescription(await peer.createOffer())
        write("offer", peer.localDescription.sdp)
        await peer.setRemoteDescription(RTCSessionDescription(await read("answer"), "answer"))
    else:
        await peer.setRemoteDescription(RTCSessionDescription(await read("offer"), "offer"))
        await peer.setLocalDescription(await peer.createAnswer())
        write("answer", peer.localDescription.sdp)
        await sink.start()
    await asyncio.sleep(seconds)
    await peer.close()


asyncio.run(main())
