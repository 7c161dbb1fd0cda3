"""An RTSP server of GStreamer's: `rtsp_server.py ADDRESS PORT play FILE [h264|h265]` or `... record`."""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

address, port, what = sys.argv[1:4]
Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address(address)
server.set_service(port)
factory = GstRtspServer.RTSPMediaFactory()
if what == "record":
    codec = sys.argv[4] if len(sys.argv) > 4 else "h264"
    factory.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
    factory.set_launch(f"( rtp{codec}depay name=depay0 ! fakesink )")
else:
    codec = sys.argv[5]
    factory.set_launch(
        f"( filesrc location={sys.argv[4]} ! qtdemux name=demux demux.video_0 ! queue ! {codec}parse "
        f"! rtp{codec}pay name=pay0 config-interval=1 pt=96 )")
server.get_mount_points().add_factory("/live", factory)
server.attach(None)
print("serving", flush=True)
GLib.MainLoop().run()
