"""Packets made by hand with scapy, for what neither this kernel nor a packaged program can send.

Each function yields packets as bytes, from the IP header on, as a camera would send them outward.
"""

import struct

from scapy.contrib.geneve import GENEVE
from scapy.contrib.gtp import GTP_U_Header, GTPEchoRequest
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6, IPv6ExtHdrDestOpt
from scapy.layers.ipsec import AH, ESP, SecurityAssociation
from scapy.layers.l2 import GRE, GRE_PPTP, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

from lab import CAMERA, SERVER, made


def outer(family, protocol=None, options=False):
    """The camera's header toward the server."""
    if family == 4:
        return IP(src=CAMERA[4], dst=SERVER[4], ttl=64, **({} if protocol is None else {"proto": protocol}))
    header = IPv6(src=CAMERA[6], dst=SERVER[6], hlim=64)
    if options:
        return header / IPv6ExtHdrDestOpt(**({} if protocol is None else {"nh": protocol}))
    if protocol is not None:
        header.nh = protocol
    return header


def inner(rng, family, count=60):
    """What is carried: pings, questions for names, and an upload."""
    source, target = ("203.0.113.10", "203.0.113.20") if family == 4 else ("2001:db8:a::10", "2001:db8:b::20")
    layer = (lambda: IP(src=source, dst=target, id=rng.randrange(1 << 16))) if family == 4 else (lambda: IPv6(src=source, dst=target))
    port, sequence = rng.randrange(20000, 60000), rng.randrange(1 << 32)
    for n in range(count):
        kind = n % 3
        if kind == 0:
            echo = ICMP(id=7, seq=n) if family == 4 else ICMPv6EchoRequest(id=7, seq=n)
            yield layer() / echo / Raw(rng.randbytes(rng.randrange(8, 900)))
        elif kind == 1:
            yield layer() / UDP(sport=rng.randrange(20000, 60000), dport=53) / Raw(rng.randbytes(rng.randrange(20, 70)))
        else:
            data = rng.randbytes(rng.randrange(0, 1300))
            yield layer() / TCP(sport=port, dport=443, flags="PA", seq=sequence) / Raw(data)
            sequence = (sequence + len(data)) % (1 << 32)


def carried(kind, variant, families, protocol, wrap, inside=4, options=False):
    """Registers an encapsulation directly over IP: `wrap` puts its header before the inner packet."""
    @made(kind, variant, families)
    def packets(rng, family, which):
        for n, packet in enumerate(inner(rng, inside)):
            yield bytes(outer(family, protocol, options) / wrap(rng, packet, n, which))


def over_udp(kind, variant, families, port, wrap, inside=4):
    """Registers an encapsulation over UDP, on its own port or on a random one."""
    @made(kind, variant, families)
    def packets(rng, family, which):
        ports = {"sport": rng.randrange(20000, 60000), "dport": port or rng.randrange(10240, 60000)}
        for n, packet in enumerate(inner(rng, inside)):
            yield bytes(outer(family) / UDP(**ports) / wrap(rng, packet, n, which))


def as_is(rng, packet, n, which):
    return packet


def raw(*parts):
    return Raw(b"".join(bytes(part) for part in parts))


carried("ipip", "4in4", (4,), 4, as_is)
carried("ipip", "4in6", (6,), 4, as_is)
carried("ipip", "4in6-after-options", (6,), 4, as_is, options=True)
carried("6in4", "6in4", (4,), 41, as_is, inside=6)
carried("6in4", "6in6", (6,), 41, as_is, inside=6)
carried("6in4", "6in6-after-options", (6,), 41, as_is, inside=6, options=True)

carried("gre", "plain", (4, 6), 47, lambda rng, p, n, w: GRE(proto=0x0800) / p)
carried("gre", "carrying-6", (4, 6), 47, lambda rng, p, n, w: GRE(proto=0x86DD) / p, inside=6)
carried("gre", "key", (4, 6), 47, lambda rng, p, n, w: GRE(proto=0x0800, key_present=1, key=0x0ADD if w == "early" else 0x1CE) / p)
carried("gre", "checksum", (4, 6), 47, lambda rng, p, n, w: GRE(proto=0x0800, chksum_present=1) / p)
carried("gre", "key-checksum-sequence", (4,), 47, lambda rng, p, n, w: GRE(
    proto=0x0800, key_present=1, key=9, chksum_present=1, seqnum_present=1, sequence_number=n) / p)
carried("gre", "teb", (4, 6), 47, lambda rng, p, n, w: GRE(proto=0x6558) / Ether(src="02:00:00:00:00:10", dst="02:00:00:00:00:20") / p)
carried("gre", "pptp", (4,), 47, lambda rng, p, n, w: raw(
    GRE_PPTP(seqnum_present=1, seqence_number=n, call_id=77, payload_len=len(p) + 4, proto=0x880B), b"\xff\x03\x00\x21", p))
carried("gre", "after-options", (6,), 47, lambda rng, p, n, w: GRE(proto=0x0800) / p, options=True)


def protect(kind, variant, families, algorithm, key, tunnel):
    """Registers real ESP or AH: encrypted or authenticated with keys from the seed."""
    @made(kind, variant, families)
    def packets(rng, family, which):
        spi = rng.randrange(256, 1 << 32)
        words = {"spi": spi, "seq_num": 1}
        if kind == "esp":
            words.update(crypt_algo=algorithm, crypt_key=rng.randbytes(key))
            if algorithm in ("AES-CBC", "NULL"):
                words.update(auth_algo="HMAC-SHA1-96", auth_key=rng.randbytes(20))
        else:
            words.update(auth_algo=algorithm, auth_key=rng.randbytes(key))
        if tunnel:
            words["tunnel_header"] = outer(family)
        association = SecurityAssociation(ESP if kind == "esp" else AH, **words)
        for packet in inner(rng, family):
            if not tunnel:
                header = outer(family)
                body = packet.payload
                packet = header / body
            yield bytes(association.encrypt(type(packet)(bytes(packet)), seq_num=None))


protect("esp", "tunnel-gcm", (4, 6), "AES-GCM", 20, True)
protect("esp", "tunnel-cbc", (4, 6), "AES-CBC", 16, True)
protect("esp", "transport-gcm", (4, 6), "AES-GCM", 20, False)
protect("esp", "null", (4,), "NULL", 0, True)
protect("ah", "tunnel", (4, 6), "HMAC-SHA1-96", 20, True)
protect("ah", "transport", (4, 6), "SHA2-256-128", 32, False)


def esp_in_udp(variant, port, keepalives):
    @made("esp", variant, (4,))
    def packets(rng, family, which):
        """Nothing of the exchange of keys before it: as if kordon had begun in the middle, at sequence 1."""
        association = SecurityAssociation(ESP, spi=rng.randrange(256, 1 << 32), seq_num=1, crypt_algo="AES-GCM",
                                          crypt_key=rng.randbytes(20), tunnel_header=outer(4))
        ports = {"sport": rng.randrange(20000, 60000), "dport": port or rng.randrange(10240, 60000)}
        for n, packet in enumerate(inner(rng, 4)):
            if keepalives and n % 20 == 0:
                yield bytes(outer(4) / UDP(**ports) / Raw(b"\xff"))
            sealed = association.encrypt(IP(bytes(packet)))
            yield bytes(outer(4) / UDP(**ports) / Raw(bytes(sealed.payload)))


esp_in_udp("in-udp", 4500, True)
esp_in_udp("in-udp-random-port", None, True)

carried("l2tp", "v3-over-ip", (4, 6), 115, lambda rng, p, n, w: raw(struct.pack("!I", 0x1234), Ether() / p))
over_udp("l2tp", "v2-data", (4, 6), 1701, lambda rng, p, n, w: raw(struct.pack("!HHH", 0x0002, 31, 77), b"\xff\x03\x00\x21", p))
over_udp("l2tp", "v2-data-length", (4,), 1701, lambda rng, p, n, w: raw(
    struct.pack("!HHHH", 0x4002, len(p) + 12, 31, 77), b"\xff\x03\x00\x21", p))
over_udp("l2tp", "v3-data", (4,), 1701, lambda rng, p, n, w: raw(struct.pack("!HHI", 0x0003, 0, 0x99), Ether() / p))

carried("etherip", "", (4, 6), 97, lambda rng, p, n, w: raw(b"\x30\x00", Ether(src="02:00:00:00:00:10", dst="02:00:00:00:00:20") / p))
carried("ipcomp", "", (4, 6), 108, lambda rng, p, n, w: raw(struct.pack("!BBH", 4, 0, 2), rng.randbytes(len(p) * 3 // 4)))
carried("mpls", "", (4, 6), 137, lambda rng, p, n, w: MPLS(label=1000, s=1, ttl=64) / p)
carried("mpls", "stack", (4,), 137, lambda rng, p, n, w: MPLS(label=16, s=0, ttl=64) / MPLS(label=2000, s=1, ttl=64) / p)

over_udp("vxlan", "random-port", (4, 6), None, lambda rng, p, n, w: VXLAN(vni=42, flags=8) / Ether() / p)
over_udp("vxlan", "gpe", (4,), 4790, lambda rng, p, n, w: raw(struct.pack("!BBBBI", 0x0C, 0, 0, 1, 42 << 8), p))
over_udp("geneve", "options", (4, 6), None, lambda rng, p, n, w: raw(
    struct.pack("!BBHI", 2, 0, 0x6558, 42 << 8), struct.pack("!HBBI", 0x0102, 0x80, 1, n), Ether() / p))
over_udp("geneve", "layer3", (4,), None, lambda rng, p, n, w: GENEVE(vni=9, proto=0x0800) / p)
over_udp("gtp_u", "random-port", (4, 6), None, lambda rng, p, n, w: GTP_U_Header(teid=0x01020304, gtp_type=255) / p)
over_udp("gtp_u", "sequence", (4,), 2152, lambda rng, p, n, w: GTP_U_Header(teid=7, gtp_type=255, S=1, seq=n) / p if n else
         GTP_U_Header(teid=0, gtp_type=1, S=1, seq=1) / GTPEchoRequest())


def teredo_inner(rng, count=60):
    """Inner packets of a Teredo client: its own address holds server and mapped port and address, inverted."""
    own = "2001:0:c633:640a:8000:63bf:3fff:fdf5"
    for packet in inner(rng, 6, count):
        packet[IPv6].src = own
        packet[IPv6].dst = "2001:db8:b::20"
        yield IPv6(bytes(packet))


def teredo(variant, port, before):
    @made("teredo", variant, (4,))
    def packets(rng, family, which):
        ports = {"sport": rng.randrange(20000, 60000), "dport": port or rng.randrange(10240, 60000)}
        for packet in teredo_inner(rng):
            yield bytes(outer(4) / UDP(**ports) / raw(before(rng), packet))


teredo("random-port", None, lambda rng: b"")
teredo("authentication", 3544, lambda rng: b"\x00\x01\x00\x00" + rng.randbytes(8) + b"\x00")
teredo("origin", None, lambda rng: b"\x00\x00" + struct.pack("!HI", 40000 ^ 0xFFFF, 0xC000020A ^ 0xFFFFFFFF))


@made("wireguard", "cookies", (4,), least=3)
def wireguard_cookies(rng, family, which):
    """A responder under load answers with cookies: 64 bytes of type 3."""
    ports = {"sport": rng.randrange(10240, 60000), "dport": rng.randrange(20000, 60000)}
    for _ in range(8):
        yield bytes(outer(4) / UDP(**ports) / Raw(b"\x03\x00\x00\x00" + rng.randbytes(60)))


def question(rng, number, flags, length=None):
    """A question for a name; padded by its own labels to a length where one is asked for."""
    def label(size):
        return bytes([size]) + bytes(rng.choices(b"abcdefghijklmnopqrstuvwxyz0123456789-", k=size))
    tail = struct.pack("!HH", 1, 1)
    name = b"\x07example\x00"
    if length is None:
        name = label(rng.randrange(1, 30)) + label(rng.randrange(1, 40)) + name
    else:
        missing = length - 12 - len(name) - len(tail)
        while missing > 0:
            size = min(missing - 1, 40) if missing != 42 else 38
            name, missing = label(size) + name, missing - size - 1
    return struct.pack("!HHHHHH", number, flags, 1, 0, 0, 0) + name + tail


# First bytes of tunnels: WireGuard's types with reserved bytes 0, IKE's zero marker, Geneve's, VXLAN's, ESP's,
# Teredo's and L2TP's.
BEGINNINGS = [0x0100, 0x0200, 0x0300, 0x0400, 0x0000, 0x0001, 0x0800, 0x0C00, 0x6000, 0x4500, 0xC802, 0x0002, 0x0240, 0x3001]


@made("ordinary", "dns-lookalikes", (4, 6), least=2000)
def dns_lookalikes(rng, family, which):
    """Questions for names whose random number is the first bytes of a tunnel's: rare in life, so made here."""
    numbers = BEGINNINGS + [opcode << 11 | rng.randrange(256) for opcode in range(1, 12) for _ in range(12)]
    for number in numbers:
        sport = rng.randrange(20000, 60000)
        for _ in range(8):
            for port in (53, rng.randrange(10240, 60000)):
                flags = rng.choice([0x0000, 0x0100, 0x0120, 0x0010])
                yield bytes(outer(family) / UDP(sport=sport, dport=port) / Raw(question(rng, number, flags)))


@made("ordinary", "dns-lookalikes-in-length", (4, 6), least=100)
def dns_lookalikes_in_length(rng, family, which):
    """The same, as long as WireGuard's and OpenVPN's first messages are."""
    for number in BEGINNINGS + [0x3800 | rng.randrange(256) for _ in range(8)]:
        for length in (42, 54, 64, 86, 92, 148):
            for port in (53, rng.randrange(10240, 60000)):
                yield bytes(outer(family) / UDP(sport=rng.randrange(20000, 60000), dport=port)
                            / Raw(question(rng, number, rng.choice([0, 0x0100]), length)))
