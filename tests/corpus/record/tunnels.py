"""Tunnels by real programs: WireGuard, OpenVPN, L2TP, Teredo, and the encapsulations of the kernel and Open vSwitch."""

import json
import shlex
import subprocess
import time

from lab import CAMERA, SECOND, SERVER, job

# Addresses inside of the tunnels.
INNER_CAMERA, INNER_SERVER = "203.0.113.10", "203.0.113.20"


def traffic(lab, camera=None, to=INNER_SERVER, seconds=4):
    """What goes through a tunnel: pings of several sizes and an upload."""
    camera = camera or lab.camera
    for size in (10, 200, 1000):
        camera.run(["ping", "-q", "-c", "25", "-i", "0.03", "-W", "1", "-s", size, to], check=False, timeout=10)
    port = lab.port()
    lab.server.start(["sh", "-c", f"nc -l -k {port} >/dev/null"], tcp=port)
    data = lab.data("upload", lab.rng.randrange(100_000, 300_000))
    camera.run(["sh", "-c", f"nc -N -w {seconds} {to} {port} <{data}"], check=False, timeout=seconds + 2)


# WireGuard.

def key_pair():
    private = subprocess.run(["wg", "genkey"], capture_output=True, text=True, check=True).stdout.strip()
    public = subprocess.run(["wg", "pubkey"], input=private, capture_output=True, text=True, check=True).stdout.strip()
    return private, public


def wireguard(lab, program, psk=False, keepalive=0, responder=False, silent=False, alone=False):
    """Two ends; the camera's dials, unless it is the responder. Alone: no traffic but keepalives."""
    ends = {lab.camera: (lab.here, key_pair(), lab.port(), INNER_CAMERA), lab.server: (lab.there, key_pair(), lab.port(), INNER_SERVER)}
    shared = lab.text("psk", subprocess.run(["wg", "genpsk"], capture_output=True, text=True, check=True).stdout)
    for host, other in ((lab.camera, lab.server), (lab.server, lab.camera)):
        if silent and host is lab.server:
            continue
        _, (private, _), port, inner = ends[host]
        address, (_, public), far_port, far_inner = ends[other]
        device = f"w{lab.serial}{host.role[0]}"
        if program == "boringtun":
            host.start(["/opt/boringtun/bin/boringtun-cli", "-f", "--disable-drop-privileges", "-v", "error", device], wait=0.8)
        else:
            host.start(["wireguard-go", "-f", device], wait=0.8)
        at = f"[{address}]" if lab.family == 6 else address
        peer = ["peer", public, "allowed-ips", f"{far_inner}/32"]
        dials = host is (lab.server if responder else lab.camera)
        if dials:
            peer += ["endpoint", f"{at}:{far_port}"]
            if keepalive:
                peer += ["persistent-keepalive", str(keepalive)]
        if psk:
            peer += ["preshared-key", str(shared)]
        host.quiet(f"echo {private} >{lab.folder}/key; " + shlex.join(
            ["wg", "set", device, "listen-port", str(port), "private-key", f"{lab.folder}/key", *peer]))
        host.quiet(f"ip addr add {inner}/32 dev {device}; ip link set {device} mtu 1420 up; ip route add {far_inner}/32 dev {device}")
    if silent:
        lab.camera.run(["ping", "-q", "-c", "14", "-i", "1", "-W", "1", INNER_SERVER], check=False)
    elif alone:
        lab.camera.run(["sleep", "12"])
    elif responder:
        lab.server.run(["ping", "-q", "-c", "60", "-i", "0.05", "-s", "600", INNER_CAMERA], check=False)
        traffic(lab)
    else:
        traffic(lab)


for _program, _package in (("boringtun", "boringtun"), ("wireguard-go", "wireguard-go")):
    @job("wireguard", _program, "", (4, 6), package=_package, least=100)
    def wireguard_plain(lab, program=_program):
        wireguard(lab, program)

    @job("wireguard", _program, "psk", package=_package, least=100)
    def wireguard_psk(lab, program=_program):
        wireguard(lab, program, psk=True)

    @job("wireguard", _program, "responder", package=_package, least=60)
    def wireguard_responder(lab, program=_program):
        wireguard(lab, program, responder=True)

    @job("wireguard", _program, "unanswered", package=_package, least=2)
    def wireguard_unanswered(lab, program=_program):
        wireguard(lab, program, silent=True)

    @job("wireguard", _program, "keepalive", package=_package, least=5)
    def wireguard_alone(lab, program=_program):
        wireguard(lab, program, keepalive=lab.either(2, 1), alone=True)


# OpenVPN.

def authority(lab):
    """A certificate authority with one certificate for each end."""
    def openssl(*words):
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, cwd=lab.folder)
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if lab.which == "early" else ["-newkey", "rsa:2048"]
    openssl("req", "-x509", *curve, "-nodes", "-days", 30, "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem")
    for name in ("camera", "server"):
        openssl("req", *curve, "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        lab.text("ext", f"extendedKeyUsage=clientAuth,serverAuth\nkeyUsage=digitalSignature,keyEncipherment\n")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", 30,
                "-extfile", "ext", "-out", f"{name}.pem")


def openvpn(lab, transport="udp", protect="", responder=False, silent=False, more=()):
    authority(lab)
    f = lab.folder
    protocol = transport + ("6" if lab.family == 6 else "4")
    port = lab.port()
    cipher = lab.either("AES-256-GCM", lab.rng.choice(["CHACHA20-POLY1305", "AES-128-GCM", "AES-256-CBC"]))
    common = ["openvpn", "--dev-type", "tun", "--disable-dco", "--verb", "3", "--ca", f / "ca.pem", "--cipher", cipher,
              "--data-ciphers", cipher, "--auth", lab.either("SHA256", lab.rng.choice(["SHA1", "SHA512", "SHA256"])), *more]
    guard = {name: [] for name in ("camera", "server")}
    if protect == "tls-crypt-v2":
        def genkey(*words):
            subprocess.run(["openvpn", *map(str, words)], check=True, capture_output=True)
        genkey("--genkey", "tls-crypt-v2-server", f / "v2.server")
        genkey("--tls-crypt-v2", f / "v2.server", "--genkey", "tls-crypt-v2-client", f / "v2.client")
        guard = {"camera": ["--tls-crypt-v2", f / "v2.client"], "server": ["--tls-crypt-v2", f / "v2.server"]}
        if responder:
            guard = {"camera": guard["server"], "server": guard["camera"]}
    elif protect:
        subprocess.run(["openvpn", "--genkey", "secret", f / "static.key"], check=True, capture_output=True)
        guard = {name: [f"--{protect}", f / "static.key"] for name in guard}
        if protect == "tls-auth":
            guard = {"camera": guard["camera"] + ["1"], "server": guard["server"] + ["0"]}
    listener, dialer = (lab.camera, lab.server) if responder else (lab.server, lab.camera)
    addresses = {lab.camera: lab.here, lab.server: lab.there}

    def end(host, words):
        name = host.role
        return [*common, "--dev", f"o{lab.serial}{name[0]}", "--cert", f / f"{name}.pem", "--key", f / f"{name}.key",
                *guard[name], *words]

    if not silent:
        listener.start(end(listener, [
            "--server", "203.0.113.0", "255.255.255.0", "--topology", "subnet", "--dh", "none",
            "--proto", protocol + ("-server" if transport == "tcp" else ""), "--local", addresses[listener], "--port", port,
            "--keepalive", "3", "20"]),
            says="Initialization Sequence Completed")
    client = dialer.start(end(dialer, [
        "--client", "--nobind", "--proto", protocol + ("-client" if transport == "tcp" else ""), "--remote", addresses[listener], port,
        "--connect-retry", "1", "--connect-retry-max", "9", "--hand-window", "12"]))
    if silent:
        time.sleep(20)
        return
    dialer.wait_words(client, "Initialization Sequence Completed")
    time.sleep(0.5)
    traffic(lab, to="203.0.113.2" if responder else "203.0.113.1")
    time.sleep(4)  # a keepalive


for _transport in ("udp", "tcp"):
    for _protect in ("", "tls-auth", "tls-crypt", "tls-crypt-v2"):
        _name = f"{_transport}-{_protect or 'plain'}"

        @job("openvpn", "openvpn", _name, (4, 6), least=100)
        def openvpn_dialled(lab, transport=_transport, protect=_protect):
            openvpn(lab, transport, protect)

        @job("openvpn", "openvpn", f"{_name}-responder", least=60)
        def openvpn_responder(lab, transport=_transport, protect=_protect):
            openvpn(lab, transport, protect, responder=True)

        if _transport == "udp":
            @job("openvpn", "openvpn", f"{_name}-unanswered", least=3)
            def openvpn_unanswered(lab, protect=_protect):
                openvpn(lab, "udp", protect, silent=True)


@job("openvpn", "openvpn", "udp-renegotiation", least=100)
def openvpn_renegotiates(lab):
    openvpn(lab, more=("--reneg-sec", "3"))


def openvpn_static(lab, transport):
    """A shared key and no handshake: not one byte of it can be told from noise."""
    key = lab.folder / "static.key"
    subprocess.run(["openvpn", "--genkey", "secret", str(key)], check=True, capture_output=True)
    port = lab.port()
    protocol = transport + ("6" if lab.family == 6 else "4")
    for host, own, far, remote, role in (
            (lab.server, INNER_SERVER, INNER_CAMERA, None, "-server"), (lab.camera, INNER_CAMERA, INNER_SERVER, lab.there, "-client")):
        words = ["openvpn", "--dev", f"o{lab.serial}{host.role[0]}", "--dev-type", "tun", "--ifconfig", own, far, "--secret", key,
                 "--cipher", "AES-256-CBC", "--verb", "3", "--disable-dco", "--port", port,
                 "--proto", protocol + (role if transport == "tcp" else ""), "--ping", "2"]
        process = host.start(words + (["--remote", remote, port] if remote else ["--local", lab.there]), wait=1)
    lab.camera.wait_words(process, "Initialization Sequence Completed")
    traffic(lab)


@job("openvpn", "openvpn", "static-key-udp", least=100)
def openvpn_static_udp(lab):
    openvpn_static(lab, "udp")


@job("openvpn", "openvpn", "static-key-tcp", least=100)
def openvpn_static_tcp(lab):
    openvpn_static(lab, "tcp")


# L2TP. The kernel here has no PPP, so calls fail after the control connection stands; that is tried again.

def l2tp(lab, port):
    for host in (lab.server, lab.camera):
        lns = host is lab.server
        section = ("[lns default]\nip range = 203.0.113.100-203.0.113.110\nlocal ip = 203.0.113.1\nrequire authentication = no\n"
                   if lns else f"[lac gate]\nlns = {lab.there}:{port}\nautodial = yes\nredial = yes\nredial timeout = 1\nmax redials = 20\n")
        conf = lab.text(f"xl2tpd-{host.role}.conf", f"[global]\nport = {port if lns else lab.either(1701, port)}\n{section}")
        command = ["xl2tpd", "-D", "-c", conf, "-p", lab.folder / f"{host.role}.pid", "-C", f"/run/xl2tpd-{host.role}"]
        if lns:
            host.start(command, udp=port, private_run=True)
        else:
            host.run(command, timeout=20, private_run=True, check=False)


@job("l2tp", "xl2tpd", "", least=8)
def l2tp_default(lab):
    l2tp(lab, 1701)


@job("l2tp", "xl2tpd", "random-port", least=8)
def l2tp_random(lab):
    l2tp(lab, lab.port())


# Teredo: the client asks the server, whose two addresses tell the kinds of NAT apart.

@job("teredo", "miredo", "", least=5)
def teredo(lab):
    lab.server.quiet("sysctl -q -w net.ipv6.conf.all.forwarding=1")
    server = lab.text("server.conf", f"ServerBindAddress {SERVER[4]}\nServerBindAddress2 {SECOND[4]}\nPrefix 2001:0::\nSyslogFacility user\n")
    lab.server.start(["miredo-server", "-f", "-c", server, "-p", lab.folder / "server.pid", "-u", "nobody"], wait=1, private_run=True)
    client = lab.text("client.conf", f"InterfaceName t{lab.serial}\nServerAddress {SERVER[4]}\nServerAddress2 {SECOND[4]}\n"
                      f"BindPort {lab.port()}\n")
    lab.camera.quiet("ip -6 route del default; sysctl -q -w net.ipv6.conf.default.disable_ipv6=0")
    lab.camera.start(["miredo", "-f", "-c", client, "-p", lab.folder / "client.pid", "-u", "nobody"], wait=9, private_run=True)
    lab.camera.quiet(f"ip -6 route replace default dev t{lab.serial}")
    for host in range(4):
        lab.camera.run(["ping", "-q", "-6", "-c", "5", "-i", "0.2", "-W", "1", f"2001:db8:77::{host + 1}"], check=False, timeout=5)


# The kernel's VXLAN.

@job("vxlan", "kernel", "", (4, 6), package="iproute2", least=60)
def vxlan_kernel(lab):
    port = lab.port()
    vxlan_devices(lab, port)
    traffic(lab)


@job("vxlan", "kernel", "default-port", package="iproute2", least=60)
def vxlan_default(lab):
    vxlan_devices(lab, 4789)
    traffic(lab)


def vxlan_devices(lab, port):
    identity = lab.rng.randrange(1, 1 << 24)
    for host, own, far, inner in ((lab.camera, CAMERA, SERVER, INNER_CAMERA), (lab.server, SERVER, CAMERA, INNER_SERVER)):
        command = (f"ip link add vx0 type vxlan id {identity} local {own[lab.family]} remote {far[lab.family]} dstport {port}")
        lab.commands.append((host.role, command))
        host.quiet(f"{command} {lab.either('', 'gbp')}; ip addr add {inner}/24 dev vx0; ip link set vx0 up")


# Open vSwitch's user-space datapath makes what this kernel cannot.

def vswitch(lab, kind, options, layer3=False):
    """A switch in each of both namespaces: the wire's device becomes a port of one bridge, the tunnel one of another."""
    for host, own, far, gateway, inner, mac in (
            (lab.camera, CAMERA, SERVER, {4: "192.0.2.1", 6: "2001:db8:1::1"}, INNER_CAMERA, "02:00:00:00:00:10"),
            (lab.server, SERVER, CAMERA, {4: "198.51.100.1", 6: "2001:db8:2::1"}, INNER_SERVER, "02:00:00:00:00:20")):
        run = lab.folder / f"ovs-{host.role}"
        run.mkdir()
        env = {"OVS_RUNDIR": str(run), "OVS_DBDIR": str(run), "OVS_LOGDIR": str(run), "OVS_SYSCONFDIR": str(run)}
        db = f"unix:{run}/db.sock"
        subprocess.run(["ovsdb-tool", "create", f"{run}/conf.db", "/usr/share/openvswitch/vswitch.ovsschema"], check=True)
        host.start(["ovsdb-server", f"{run}/conf.db", f"--remote=p{db}", f"--unixctl={run}/db.ctl"], wait=0.5, env=env)
        host.start(["ovs-vswitchd", db, f"--unixctl={run}/switch.ctl", "--disable-system"], wait=1, env=env)
        set_ = " ".join(f"options:{key}={value}" for key, value in options.items())
        physical, inside = f"p{lab.serial}{host.role[0]}", f"i{lab.serial}{host.role[0]}"
        length = {4: 24, 6: 64}[lab.family]
        tap_mac = host_mac(host)
        command = f"ovs-vsctl add-port {inside} tun0 -- set interface tun0 type={kind} options:remote_ip={far[lab.family]} {set_}"
        lab.commands.insert(0, (host.role, command))
        prefix = "-6 " if lab.family == 6 else ""
        script = f"""
            set -e
            vsctl() {{ timeout 10 ovs-vsctl --db={db} "$@"; }}
            vsctl --no-wait init
            vsctl add-br {physical} -- set bridge {physical} datapath_type=netdev other-config:hwaddr={tap_mac}
            vsctl add-br {inside} -- set bridge {inside} datapath_type=netdev other-config:hwaddr={mac}
            ip addr flush dev eth0
            vsctl add-port {physical} eth0
            ip addr add {own[lab.family]}/{length} dev {physical}; ip link set {physical} up
            ip {prefix}route replace default via {gateway[lab.family]} dev {physical}
            ip addr add {inner}/24 dev {inside}; ip link set {inside} up
            vsctl add-port {inside} tun0 -- set interface tun0 type={kind} options:remote_ip={far[lab.family]} {set_}
            ip link set {inside} mtu 1350
        """
        subprocess.run(["ip", "netns", "exec", host.netns, "sh", "-c", script], check=True, cwd=run)
        if layer3:  # nothing that could carry a question for the neighbour's address
            far_inner, far_mac = (INNER_SERVER, "02:00:00:00:00:20") if host is lab.camera else (INNER_CAMERA, "02:00:00:00:00:10")
            host.quiet(f"ip neigh replace {far_inner} lladdr {far_mac} dev {inside}")
            ofctl = f"ovs-ofctl add-flow unix:{run}/{inside}.mgmt"
            host.quiet(f"{ofctl} in_port=LOCAL,actions=output:tun0; {ofctl} in_port=tun0,actions=mod_dl_dst:{mac},LOCAL")
        gateway_mac = gateway_macs(lab)[host.role]
        host.quiet(f"ovs-appctl -t {run}/switch.ctl tnl/neigh/set {physical} {gateway[lab.family]} {gateway_mac}; "
                   f"ip {prefix}neigh replace {gateway[lab.family]} lladdr {gateway_mac} dev {physical}; sleep 1; "
                   f"ovs-appctl -t {run}/switch.ctl ovs/route/show >&2 || true")
    traffic(lab)


def host_mac(host):
    out = subprocess.run(["ip", "-j", "-n", host.netns, "link", "show", "eth0"], capture_output=True, text=True, check=True).stdout
    return json.loads(out)[0]["address"]


def gateway_macs(lab):
    def mac(device):
        out = subprocess.run(["ip", "-j", "-n", lab.gateway.netns, "link", "show", device], capture_output=True, text=True, check=True).stdout
        return json.loads(out)[0]["address"]
    return {"camera": mac("cam0"), "server": mac("wan0")}


def switch_job(kind, variant, families, tunnel, options):
    @job(kind, "openvswitch", variant, families, package="openvswitch-switch", least=60)
    def run(lab):
        vswitch(lab, tunnel, options(lab), layer3=variant == "layer3" or kind == "gtp_u")


switch_job("vxlan", "", (4, 6), "vxlan", lambda lab: {"key": lab.rng.randrange(1 << 24), "dst_port": lab.port()})
switch_job("geneve", "", (4, 6), "geneve", lambda lab: {"key": lab.rng.randrange(1 << 24), "dst_port": lab.port()})
switch_job("geneve", "default-port", (4,), "geneve", lambda lab: {"key": lab.rng.randrange(1 << 24)})
switch_job("gre", "teb", (4, 6), "gre", lambda lab: {})
switch_job("gre", "teb-key", (4, 6), "gre", lambda lab: {"key": lab.rng.randrange(1 << 32)})
switch_job("gre", "teb-key-checksum", (4,), "gre", lambda lab: {"key": lab.rng.randrange(1 << 32), "csum": "true"})
switch_job("gre", "teb-sequence", (4,), "gre", lambda lab: {"seq": "true"})
switch_job("gre", "layer3", (4,), "gre", lambda lab: {"packet_type": "legacy_l3"})
switch_job("gre", "erspan", (4,), "erspan", lambda lab: {"key": 7, "erspan_ver": lab.either(1, 2), "erspan_idx": 3, "erspan_dir": 0, "erspan_hwid": 4})
switch_job("gtp_u", "", (4, 6), "gtpu", lambda lab: {"key": lab.rng.randrange(1 << 32)})
