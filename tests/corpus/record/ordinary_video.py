"""Ordinary traffic that carries video: what a camera is for."""

import base64
import sys

from lab import job
from media import clip

# Clips are sent faster than life: as many packets in less time.
FAST = ["-readrate", "3"]


def ffmpeg(*words):
    return ["ffmpeg", "-v", "error", "-nostdin", *map(str, words)]


def rtsp_server(host, address, port, *words):
    host.start([sys.executable, "/record/rtsp_server.py", address, str(port), *map(str, words)],
               says="serving", tcp=port)


def sent(lab, sound=False):
    """The clip and its options; the late set sends another codec."""
    codec = lab.either("h264", "h265")
    return codec, clip(f"{codec}.mp4" if sound else f"{codec}-video.mp4")


def push(lab, transport):
    port = lab.either(554, lab.port())
    codec, file = sent(lab)
    rtsp_server(lab.server, lab.there, port, "record", codec)
    lab.camera.run(ffmpeg(*FAST, "-i", file, "-c", "copy", "-f", "rtsp", "-rtsp_transport", transport,
                          f"rtsp://{lab.url_there}:{port}/live"))


@job("ordinary", "ffmpeg", "rtsp-push-udp", (4, 6), least=500)
def push_udp(lab):
    push(lab, "udp")


@job("ordinary", "ffmpeg", "rtsp-push-tcp", (4, 6), least=500)
def push_tcp(lab):
    push(lab, "tcp")


@job("ordinary", "ffmpeg", "rtsp-push-tcp-gro", (4,), least=100, gro=True)
def push_tcp_aggregated(lab):
    push(lab, "tcp")


@job("ordinary", "ffmpeg", "rtsp-push-to-ffmpeg", least=500)
def push_listen(lab):
    port = lab.port()
    _, file = sent(lab)
    lab.server.start(ffmpeg("-rtsp_flags", "listen", "-i", f"rtsp://{lab.there}:{port}/live", "-f", "null", "-"),
                     tcp=port)
    lab.camera.run(ffmpeg(*FAST, "-i", file, "-c", "copy", "-f", "rtsp", f"rtsp://{lab.there}:{port}/live"),
                   check=False)


def pull(lab, transport):
    """The camera serves; the recorder beyond the gateway fetches."""
    port = lab.either(554, lab.port())
    codec, file = sent(lab)
    rtsp_server(lab.camera, lab.here, port, "play", file, codec)
    lab.server.run(ffmpeg("-rtsp_transport", transport, "-i", f"rtsp://{lab.url_here}:{port}/live",
                          "-t", 10, "-c", "copy", "-f", "null", "-"), check=False)


@job("ordinary", "gstreamer", "rtsp-pull-udp", (4, 6), package="libgstrtspserver-1.0-0", least=500)
def pull_udp(lab):
    pull(lab, "udp")


@job("ordinary", "gstreamer", "rtsp-pull-tcp", (4, 6), package="libgstrtspserver-1.0-0", least=500)
def pull_tcp(lab):
    pull(lab, "tcp")


@job("ordinary", "gstreamer", "rtsp-pull-http", package="libgstrtspserver-1.0-0", least=500)
def pull_http(lab):
    pull(lab, "http")


@job("ordinary", "ffmpeg", "rtsp-client", (4, 6), least=20)
def camera_fetches(lab):
    """The camera is the one that fetches: requests, receiver reports, acknowledgements."""
    port = lab.port()
    codec, file = sent(lab)
    rtsp_server(lab.server, lab.there, port, "play", file, codec)
    for transport in ("udp", "tcp"):
        lab.camera.run(ffmpeg("-rtsp_transport", transport, "-i", f"rtsp://{lab.url_there}:{port}/live",
                              "-t", 6, "-c", "copy", "-f", "null", "-"), check=False)


def rtp_to(lab, output, file=None, receiver=None, options=("-c", "copy")):
    """A stream without a session before it; an open port takes it."""
    port = int(output.rsplit(":", 1)[1].split("?")[0])
    lab.server.start(["nc", "-u", "-l", "-k", lab.there, str(port)], udp=port)
    _, video = sent(lab)
    kind = "rtp_mpegts" if receiver == "rtp_mpegts" else "rtp"
    lab.camera.run(ffmpeg(*FAST, "-i", file or video, *options, "-f", kind, output))


@job("ordinary", "ffmpeg", "rtp-h264", (4, 6), least=500)
def rtp(lab):
    port = lab.port() & ~1
    rtp_to(lab, f"rtp://{lab.url_there}:{port}?pkt_size={lab.either(1400, 1200)}")


@job("ordinary", "ffmpeg", "srtp-h264", (4, 6), least=500)
def srtp(lab):
    port = lab.port() & ~1
    key = base64.b64encode(lab.rng.randbytes(30)).decode()
    suite = lab.either("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32")
    rtp_to(lab, f"srtp://{lab.url_there}:{port}",
           options=("-c", "copy", "-srtp_out_suite", suite, "-srtp_out_params", key))


@job("ordinary", "ffmpeg", "rtp-mjpeg", least=500)
def rtp_mjpeg(lab):
    port = lab.port() & ~1
    rtp_to(lab, f"rtp://{lab.there}:{port}", clip("mjpeg.mkv"), options=("-an", "-c:v", "mjpeg", "-huffman", "default", "-q:v", "12"))


@job("ordinary", "ffmpeg", "rtp-mpegts", least=500)
def rtp_mpegts(lab):
    port = lab.port() & ~1
    rtp_to(lab, f"rtp://{lab.there}:{port}", receiver="rtp_mpegts")


@job("ordinary", "ffmpeg", "rtp-audio", least=60)
def rtp_audio(lab):
    port = lab.port() & ~1
    codec = lab.either("pcm_mulaw", "libopus")
    rtp_to(lab, f"rtp://{lab.there}:{port}", clip("mjpeg.mkv"), options=("-vn", "-c:a", codec, "-ar", "8000"))


@job("ordinary", "ffmpeg", "mpegts-udp", (4, 6), least=500)
def mpegts(lab):
    port = lab.port()
    lab.server.start(["nc", "-u", "-l", "-k", lab.there, str(port)], udp=port)
    _, file = sent(lab, sound=True)
    lab.camera.run(ffmpeg(*FAST, "-i", file, "-c", "copy", "-f", "mpegts",
                          f"udp://{lab.url_there}:{port}?pkt_size=1316"))


def srt(lab, more=""):
    port = lab.port()
    _, file = sent(lab)
    lab.server.start(ffmpeg("-i", f"srt://{lab.url_there}:{port}?mode=listener{more}", "-c", "copy", "-f", "null", "-"),
                     udp=port)
    lab.camera.run(ffmpeg(*FAST, "-i", file, "-c", "copy", "-f", "mpegts",
                          f"srt://{lab.url_there}:{port}?mode=caller{more}"))


@job("ordinary", "ffmpeg", "srt", (4, 6), least=500)
def srt_plain(lab):
    srt(lab)


@job("ordinary", "ffmpeg", "srt-encrypted", least=500)
def srt_encrypted(lab):
    srt(lab, f"&passphrase=corpus-passphrase&pbkeylen={lab.either(16, 32)}")


@job("ordinary", "srt-tools", "short-sessions", least=300)
def srt_many(lab):
    """Each session begins at a random sequence number, which is the first thing in its packets."""
    for _ in range(16):
        port = lab.port()
        file = lab.data("file", lab.rng.randrange(20_000, 90_000))
        lab.server.start(["srt-file-transmit", "-q", f"srt://:{port}", f"file://{lab.folder}/got/"], udp=port)
        lab.camera.run(["srt-file-transmit", "-q", f"file://{file}", f"srt://{lab.there}:{port}"], timeout=5, check=False)


@job("ordinary", "ffmpeg", "rtmp", least=500)
def rtmp(lab):
    port = lab.either(1935, lab.port())
    lab.server.start(ffmpeg("-listen", 1, "-i", f"rtmp://{lab.there}:{port}/live/cam", "-f", "null", "-"), tcp=port)
    lab.camera.run(ffmpeg(*FAST, "-i", clip("h264.mp4"), "-c:v", "copy", "-c:a", "aac", "-ar", "44100", "-f", "flv",
                          f"rtmp://{lab.there}:{port}/live/cam"), check=False)


@job("ordinary", "ffmpeg", "mjpeg-http", least=300)
def mjpeg_http(lab):
    """The camera's page serves a moving picture."""
    port = lab.either(80, lab.port())
    lab.camera.start(ffmpeg(*FAST, "-i", clip("mjpeg.mkv"), "-an", "-c", "copy", "-f", "mpjpeg", "-listen", 1,
                            f"http://{lab.here}:{port}/video.mjpg"), tcp=port)
    lab.server.run(["curl", "-sS", "-o", "/dev/null", f"http://{lab.here}:{port}/video.mjpg"], timeout=20, check=False)


@job("ordinary", "aiortc", "webrtc", (4,), package="python3-aiortc", least=500)
def webrtc(lab):
    """ICE, DTLS, SRTP and SCTP over DTLS on one flow."""
    file = clip(lab.either("h264-video.mp4", "h265-video.mp4"))
    answer = lab.server.start([sys.executable, "/record/webrtc.py", "answer", lab.folder, file, "12"])
    lab.camera.run([sys.executable, "/record/webrtc.py", "offer", lab.folder, file, "10"])
    answer.poll()
