"""WS-Discovery as ONVIF uses it: `discovery.py publish ADDRESS SECONDS` or `discovery.py search ADDRESS SECONDS`."""

import sys
import time

from wsdiscovery import QName, Scope
from wsdiscovery.discovery import ThreadedWSDiscovery
from wsdiscovery.publishing import ThreadedWSPublishing

what, address, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
CAMERA = QName("http://www.onvif.org/ver10/network/wsdl", "NetworkVideoTransmitter")
if what == "publish":
    node = ThreadedWSPublishing()
    node.start()
    node.publishService(types=[CAMERA], scopes=[Scope("onvif://www.onvif.org/name/gate")],
                        xAddrs=[f"http://{address}/onvif/device_service"])
    time.sleep(seconds)
    node.clearLocalServices()
else:
    node = ThreadedWSDiscovery()
    node.start()
    node.searchServices(types=[CAMERA], timeout=seconds)
node.stop()
