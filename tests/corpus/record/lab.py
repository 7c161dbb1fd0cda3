"""A camera, a gateway and a server in network namespaces, and a recorder where the camera enters the gateway.

Only the camera's outward packets are recorded, from the IP header on: it is all that kordon is ever handed.
Everything here runs in a network, mount and process namespace that scripts/record-corpus made; addresses are
documentation space.
"""

import json
import os
import random
import re
import shlex
import signal
import struct
import subprocess
import threading
import time
from pathlib import Path

# Bytes kept of each packet: the longest copy that kordon asks the kernel for.
SNAP = 512
ETHERNET = 14
# A process that does not end by itself within this many seconds is ended.
PATIENCE = 60

CAMERA = {4: "192.0.2.10", 6: "2001:db8:1::10"}
SERVER = {4: "198.51.100.10", 6: "2001:db8:2::10"}
SECOND = {4: "198.51.100.11", 6: "2001:db8:2::11"}

_serial_lock = threading.Lock()
_serial = 0


def _next_serial():
    global _serial
    with _serial_lock:
        _serial += 1
        return _serial


class Host:
    """One namespace, and the programs started in it."""

    def __init__(self, lab, role):
        self.lab, self.role, self.netns = lab, role, f"{role[0]}{lab.serial}"
        self.processes = []

    def _command(self, command, private_run):
        words = shlex.split(command) if isinstance(command, str) else [str(word) for word in command]
        self.lab.commands.append((self.role, shlex.join(words)))
        inner = ["ip", "netns", "exec", self.netns]
        if private_run:
            inner += ["sh", "-c", 'mount -t tmpfs tmpfs /run && mkdir -p /run/dbus && exec "$@"', "sh"]
        return inner + words

    def start(self, command, wait=0.0, tcp=None, udp=None, says=None, env=None, private_run=False, stdin=None):
        """Starts a program; returns once it listens on the port, has said the words, or after the wait."""
        log = self.lab.folder / f"{self.role}-{len(self.processes)}.log"
        process = subprocess.Popen(
            self._command(command, private_run),
            stdin=stdin or subprocess.DEVNULL,
            stdout=log.open("wb"),
            stderr=subprocess.STDOUT,
            cwd=self.lab.folder,
            env=dict(os.environ, **(env or {})),
            start_new_session=True,
        )
        process.log = log
        self.processes.append(process)
        if tcp:
            self.wait_port("t", tcp, process)
        if udp:
            self.wait_port("u", udp, process)
        if says:
            self.wait_words(process, says)
        time.sleep(wait)
        return process

    def run(self, command, timeout=PATIENCE, env=None, private_run=False, stdin=None, check=True):
        """Runs a program to its end; one that has not ended after the timeout (seconds) is ended."""
        process = self.start(command, env=env, private_run=private_run, stdin=stdin)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.end(process)
            return ""
        text = process.log.read_text(errors="replace")
        if check and process.returncode != 0:
            raise RuntimeError(f"{self.role}: {command}: exit {process.returncode}: {text[-600:]}")
        return text

    def quiet(self, command):
        """A preparation: not a program of the recording."""
        subprocess.run(
            ["ip", "netns", "exec", self.netns, "sh", "-c", command],
            check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )

    def wait_port(self, kind, port, process, patience=15):
        for _ in range(patience * 10):
            out = subprocess.run(
                ["ip", "netns", "exec", self.netns, "ss", f"-Hln{kind}", f"sport = :{port}"],
                capture_output=True, text=True,
            ).stdout
            if out.strip():
                return
            if process.poll() is not None:
                break
            time.sleep(0.1)
        tail = process.log.read_text(errors="replace")[-600:]
        raise RuntimeError(f"{self.role}: nothing listens on {kind} port {port}: {tail}")

    def wait_words(self, process, pattern, patience=20):
        for _ in range(patience * 10):
            if re.search(pattern, process.log.read_text(errors="replace")):
                return
            if process.poll() is not None:
                break
            time.sleep(0.1)
        tail = process.log.read_text(errors="replace")[-600:]
        raise RuntimeError(f"{self.role}: never said {pattern!r}: {tail}")

    @staticmethod
    def end(process, how=signal.SIGTERM):
        """Ends a program and what it started."""
        for sent in (how, signal.SIGKILL):
            if process.poll() is not None:
                break
            try:
                os.killpg(process.pid, sent)
            except ProcessLookupError:
                break
            try:
                process.wait(3)
            except subprocess.TimeoutExpired:
                continue

    def end_all(self):
        for process in reversed(self.processes):
            self.end(process)


class Lab:
    """The three namespaces of one recording."""

    def __init__(self, job, family, which, seed, folder, gro=False):
        self.job, self.family, self.which, self.gro = job, family, which, gro
        self.serial = _next_serial()
        self.rng = random.Random(seed)
        self.folder = folder
        folder.mkdir(parents=True)
        self.commands, self.dropped = [], 0
        self.camera, self.gateway, self.server = (Host(self, role) for role in ("camera", "gateway", "server"))
        self._ports = set()

    # What a recording is made of.

    @property
    def here(self):
        """The camera's address."""
        return CAMERA[self.family]

    @property
    def there(self):
        """The server's address."""
        return SERVER[self.family]

    @property
    def url_there(self):
        return f"[{self.there}]" if self.family == 6 else self.there

    @property
    def url_here(self):
        return f"[{self.here}]" if self.family == 6 else self.here

    def either(self, early, late):
        """What differs between the sets besides the seed."""
        return late if self.which == "late" else early

    def port(self):
        """A random port that nothing else of this recording uses."""
        while True:
            port = self.rng.randrange(10240, 60000)
            if port not in self._ports:
                self._ports.add(port)
                return port

    def data(self, name, length):
        """A file of random bytes."""
        path = self.folder / name
        path.write_bytes(self.rng.randbytes(length))
        return path

    def text(self, name, text, mode=0o644):
        path = self.folder / name
        path.write_text(text)
        path.chmod(mode)
        return path

    # Namespaces.

    def __enter__(self):
        n = self.serial
        for host in (self.camera, self.gateway, self.server):
            subprocess.run(["ip", "netns", "add", host.netns], check=True)
            host.quiet("ip link set lo up; sysctl -q -w net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0")
        for name, peer, host in (("cam0", "eth0", self.camera), ("wan0", "eth0", self.server)):
            subprocess.run(
                ["ip", "-n", self.gateway.netns, "link", "add", name, "type", "veth",
                 "peer", "name", peer, "netns", host.netns], check=True)
        offload = "on" if self.gro else "off"
        knobs = " ".join(f"{knob} {offload}" for knob in ("tso", "gso", "gro", "tx-udp-segmentation"))
        knobs += f" tx {offload}"  # checksums in software, as a wire carries them
        self.camera.quiet(
            f"ethtool -K eth0 {knobs}; ip addr add {CAMERA[4]}/24 dev eth0; ip addr add {CAMERA[6]}/64 dev eth0;"
            "ip link set eth0 up; ip route add default via 192.0.2.1; ip -6 route add default via 2001:db8:1::1")
        self.server.quiet(
            f"ethtool -K eth0 {knobs}; ip addr add {SERVER[4]}/24 dev eth0; ip addr add {SERVER[6]}/64 dev eth0;"
            f"ip addr add {SECOND[4]}/24 dev eth0; ip addr add {SECOND[6]}/64 dev eth0 preferred_lft 0;"
            "ip link set eth0 up; ip route add default via 198.51.100.1; ip -6 route add default via 2001:db8:2::1")
        self.gateway.quiet(
            f"ethtool -K cam0 {knobs}; ethtool -K wan0 {knobs};"
            "ip addr add 192.0.2.1/24 dev cam0; ip addr add 2001:db8:1::1/64 dev cam0; ip link set cam0 up;"
            "ip addr add 198.51.100.1/24 dev wan0; ip addr add 2001:db8:2::1/64 dev wan0; ip link set wan0 up;"
            "sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
        self._raw = self.folder / "raw.pcap"
        self._tcpdump = self.gateway.start(
            ["tcpdump", "-i", "cam0", "-Q", "in", "-s", SNAP + ETHERNET, "-B", 32768, "--immediate-mode",
             "-Z", "root", "-w", self._raw, "ip or ip6"],
            says="listening on")
        self.commands.clear()
        return self

    def __exit__(self, kind, value, trace):
        self.camera.end_all()
        self.server.end_all()
        time.sleep(0.5)
        self.gateway.end_all()
        report = self._tcpdump.log.read_text(errors="replace")
        self.dropped = sum(int(n) for n in re.findall(r"(\d+) packets dropped by", report))
        for host in (self.camera, self.gateway, self.server):
            subprocess.run(["ip", "netns", "del", host.netns], check=False)

    def said(self):
        """The last words of the programs, for a recording that failed."""
        return "".join(
            f"\n    {log.name}: {log.read_text(errors='replace')[-600:].strip()}"
            for log in sorted(self.folder.glob("*-[0-9]*.log"))[:8])

    def unanswered(self):
        """The gateway lets nothing back to the camera."""
        self.gateway.quiet(
            "nft 'add table inet mute; add chain inet mute out { type filter hook forward priority 0; };"
            "add rule inet mute out oifname cam0 drop'")

    def save(self, target):
        """Writes what was recorded, from the IP header on; returns packets and bytes on the wire."""
        packets = total = 0
        writer = Pcap(target)
        for seconds, nanos, original, frame in read_pcap(self._raw):
            packet = frame[ETHERNET:]
            if not wanted(frame[:ETHERNET], packet, self.job.multicast):
                continue
            writer.add(packet, original - ETHERNET, seconds, nanos)
            packets += 1
            total += original - ETHERNET
        writer.close()
        return packets, total


def wanted(ethernet, packet, multicast):
    """Whether the gateway would be asked to forward it. Multicast is kept where a program's whole point is that."""
    kind = struct.unpack_from("!H", ethernet, 12)[0]
    if kind not in (0x0800, 0x86DD) or not packet:
        return False
    if ethernet[0] & 1 and not multicast:
        return False
    if kind == 0x86DD:
        protocol = packet[6]
        # Neighbours and multicast listeners speak to the gateway itself.
        if protocol == 0 or (protocol == 58 and 130 <= packet[40] <= 137 or protocol == 58 and packet[40] == 143):
            return False
    return packet[9] != 2 if kind == 0x0800 else True


def read_pcap(path):
    """Seconds, microseconds, length on the wire and bytes of each packet of a little-endian pcap file."""
    with open(path, "rb") as file:
        magic = struct.unpack("<I", file.read(24)[:4])[0]
        assert magic == 0xA1B2C3D4, path
        while True:
            head = file.read(16)
            if len(head) < 16:
                return
            seconds, micros, captured, original = struct.unpack("<IIII", head)
            yield seconds, micros, original, file.read(captured)


class Pcap:
    """Writes a pcap file of raw IP packets (LINKTYPE_RAW, 101), each cut to what kordon would be handed at most."""

    def __init__(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "wb")
        self._file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, SNAP, 101))
        self._clock = 0

    def add(self, packet, original=None, seconds=None, micros=0):
        if seconds is None:
            self._clock += 5000
            seconds, micros = divmod(self._clock, 1_000_000)
        kept = packet[:SNAP]
        self._file.write(struct.pack("<IIII", seconds, micros, len(kept), original or len(packet)))
        self._file.write(kept)

    def close(self):
        self._file.close()


class Job:
    """One recording to be made: a class, a program, a variant, and the function that drives it."""

    def __init__(self, kind, program, variant, function, families, package, least, multicast, gro, made):
        self.kind, self.program, self.variant, self.function = kind, program, variant, function
        self.families, self.package, self.least = families, package or program, least
        self.multicast, self.gro, self.made = multicast, gro, made

    def name(self, family):
        parts = [self.program] + ([self.variant] if self.variant else []) + (["v6"] if family == 6 else [])
        return "-".join(parts)


JOBS = []


def job(kind, program, variant="", families=(4,), package=None, least=20, multicast=False, gro=False):
    """Registers a recording; the function gets a Lab."""
    def register(function):
        JOBS.append(Job(kind, program, variant, function, families, package, least, multicast, gro, False))
        return function
    return register


def made(kind, variant, families=(4,), least=20):
    """Registers packets made by hand, for what no program here can send; the function gets (Random, family, which)
    and yields packets as bytes."""
    def register(function):
        JOBS.append(Job(kind, "made", variant, function, families, "python3-scapy", least, False, False, True))
        return function
    return register


def describe(job, family, which, packets, total, lab):
    """One line of the index that the README's table is made of."""
    return {
        "file": f"{job.kind}/{job.name(family)}", "set": which, "package": job.package,
        "packets": packets, "bytes": total, "made": job.made,
        "commands": [] if lab is None else [
            (role, command.replace(str(lab.folder) + "/", "")) for role, command in lab.commands],
    }


def write_index(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in sorted(lines, key=lambda l: l["file"])))


def package_version(package):
    tool = Path("/opt/tools") / package
    if tool.exists():
        return tool.read_text().strip()
    out = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True)
    return out.stdout.strip() or "?"
