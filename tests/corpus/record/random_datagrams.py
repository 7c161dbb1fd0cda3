"""Datagrams of random length and content from one port: `random_datagrams.py ADDRESS PORT COUNT SEED`."""

import random
import socket
import sys
import time

address, port, count, seed = sys.argv[1], *map(int, sys.argv[2:])
rng = random.Random(seed)
sender = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
sender.connect((address, port))
for _ in range(count):
    try:
        sender.send(rng.randbytes(rng.randrange(1, 1400)))
    except ConnectionRefusedError:
        pass
    time.sleep(0.001)
