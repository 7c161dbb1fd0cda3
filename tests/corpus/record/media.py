"""The clips that the video programs send: made once per set, of a noisy test picture, so that they fill packets."""

import subprocess
from pathlib import Path

FOLDER = Path("/tmp/media")


def clip(name):
    return FOLDER / name


def prepare(which):
    """h264.mp4 with sound, h265.mp4, and mjpeg.mkv: ten seconds each, 8 Mbit/s or less."""
    FOLDER.mkdir(exist_ok=True)
    seed, size, rate = (1, "1280x720", 25) if which == "early" else (2, "960x544", 20)
    source = ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate},noise=alls=40:all_seed={seed}:allf=t",
              "-f", "lavfi", "-i", f"sine=frequency={300 + 100 * seed}:sample_rate=8000"]
    length = ["-t", "10"]
    video = {
        "h264.mp4": ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-profile:v", "baseline",
                     "-b:v", "6M", "-maxrate", "6M", "-bufsize", "3M", "-g", "50", "-c:a", "aac"],
        "h265.mp4": ["-c:v", "libx265", "-preset", "ultrafast", "-b:v", "4M", "-x265-params", "log-level=error",
                     "-tag:v", "hvc1", "-c:a", "aac"],
        "mjpeg.mkv": ["-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-q:v", "12", "-s", "640x360", "-c:a", "pcm_mulaw"],
    }
    for name, options in video.items():
        if not clip(name).exists():
            subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", *source, *length, *options, str(clip(name))],
                           check=True)
    # The clips again without sound, for programs that take one stream.
    for name in ("h264", "h265"):
        bare = clip(f"{name}-video.mp4")
        if not bare.exists():
            subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", "-i", str(clip(f"{name}.mp4")),
                            "-an", "-c", "copy", str(bare)], check=True)
