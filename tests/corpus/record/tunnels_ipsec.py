"""IPsec by strongSwan: IKE, and ESP in UDP, which its user-space IPsec carries; and single probes by ike-scan."""

import time

from lab import job
from tunnels import INNER_CAMERA, INNER_SERVER, traffic


def charon(lab, host, own_ports, secrets, connection):
    """A daemon with its own configuration and control socket."""
    conf = lab.text(f"strongswan-{host.role}.conf", f"""
        charon {{
            port = {own_ports[0]}
            port_nat_t = {own_ports[1]}
            i_dont_care_about_security_and_use_aggressive_mode_psk = yes
            retransmit_timeout = 1.0
            retransmit_tries = 4
            filelog {{ stderr {{ default = 1 }} }}
            load = random nonce drbg pem pkcs1 pkcs8 x509 pubkey hmac kdf sha1 sha2 aes ctr chapoly gmp curve25519 kernel-libipsec kernel-netlink socket-default vici
            plugins {{
                vici {{ socket = unix:///run/charon.vici }}
                kernel-libipsec {{ load = yes }}
                kernel-netlink {{ fwmark = !0x42 }}
                socket-default {{ fwmark = 0x42 }}
            }}
        }}
        swanctl {{ }}""")
    swan = lab.text(f"swanctl-{host.role}.conf", connection + secrets)
    script = (f"mkdir -p /run/dbus; mount -t tmpfs tmpfs /etc/swanctl; cp {swan} /etc/swanctl/swanctl.conf; "
              f"mkdir -p /etc/swanctl/{{x509,x509ca,private,rsa,ecdsa,pkcs8,pkcs12,pubkey,x509ac,x509crl,x509ocsp,x509aa,bliss,conf.d}}; "
              f"(sleep 2; swanctl --load-all; if [ -n \"$INITIATE\" ]; then swanctl --initiate --child net --timeout 15; fi) & "
              "exec /usr/lib/ipsec/charon")
    return script, {"STRONGSWAN_CONF": str(conf)}


def ike(lab, version=2, custom=False, encap=False, responder=False, silent=False, aggressive=False, proposals=None, inner=True):
    camera_ports = (lab.port(), lab.port()) if custom else (500, 4500)
    server_ports = (lab.port(), lab.port()) if custom else (500, 4500)
    secret = "corpus-secret-corpus-secret"
    local = lab.either("default", "aes128-sha256-modp2048")
    both = {lab.camera: (lab.here, camera_ports, INNER_CAMERA), lab.server: (lab.there, server_ports, INNER_SERVER)}
    dialer = lab.server if responder else lab.camera
    listener = lab.camera if responder else lab.server
    for host, other in ((listener, dialer), (dialer, listener)):
        if silent and host is lab.server:
            continue
        address, ports, inside = both[host]
        far, far_ports, far_inside = both[other]
        # Where a port other than 500 is dialled, charon sends its marker before IKE at once.
        remote_port = far_ports[1] if custom else far_ports[0]
        connection = f"""
            connections {{ gate {{
                version = {version}
                local_addrs = {address}
                remote_addrs = {far}
                local_port = {ports[1] if custom else ports[0]}
                remote_port = {remote_port}
                encap = {"yes" if encap or custom else "no"}
                aggressive = {"yes" if aggressive else "no"}
                proposals = {proposals or local}
                local {{ auth = psk
                    id = {host.role} }}
                remote {{ auth = psk
                    id = {other.role} }}
                children {{ net {{
                    local_ts = {inside}/32
                    remote_ts = {far_inside}/32
                    esp_proposals = {lab.either("aes128-sha256", "chacha20poly1305" if version == 2 else "aes256-sha256")}
                    start_action = none
                }} }}
            }} }}"""
        secrets = f"""
            secrets {{ ike-1 {{ secret = "{secret}" }} }}"""
        host.quiet(f"ip addr add {inside}/32 dev lo")
        script, env = charon(lab, host, ports, secrets, connection)
        if host is dialer:
            env["INITIATE"] = "1"
        what = "aggressive" if aggressive else ""
        lab.commands.insert(0, (host.role, f"charon (port = {ports[0]}, port_nat_t = {ports[1]}), swanctl: version = {version} {what}, "
                                f"remote_addrs = {far}, remote_port = {remote_port}"))
        dial = host.start(["bash", "-c", script], env=env, private_run=True, wait=3 if host is listener else 0)
    if silent:
        time.sleep(16)
        return
    dialer.wait_words(dial, "CHILD_SA net\\{\\d+\\} established")
    if inner:
        traffic(lab)
    time.sleep(1)


@job("ike", "strongswan", "v2", (4, 6), package="strongswan-charon", least=60)
def ike_v2(lab):
    ike(lab, encap=True)


@job("ike", "strongswan", "v2-random-ports", (4, 6), package="strongswan-charon", least=60)
def ike_v2_custom(lab):
    ike(lab, custom=True)


@job("ike", "strongswan", "v2-responder", package="strongswan-charon", least=40)
def ike_v2_responder(lab):
    ike(lab, encap=True, responder=True)


@job("ike", "strongswan", "v2-random-ports-responder", package="strongswan-charon", least=40)
def ike_v2_custom_responder(lab):
    ike(lab, custom=True, responder=True)


@job("ike", "strongswan", "v2-random-ports-unanswered", package="strongswan-charon", least=3)
def ike_v2_unanswered(lab):
    ike(lab, custom=True, silent=True)


@job("ike", "strongswan", "v1-main", (4, 6), package="strongswan-charon", least=60)
def ike_v1(lab):
    ike(lab, version=1, encap=True)


@job("ike", "strongswan", "v1-random-ports", package="strongswan-charon", least=60)
def ike_v1_custom(lab):
    ike(lab, version=1, custom=True)


@job("ike", "strongswan", "v1-aggressive", package="strongswan-charon", least=40)
def ike_v1_aggressive(lab):
    ike(lab, version=1, encap=True, aggressive=True)


@job("ike", "ike-scan", "v1", least=4)
def scan_v1(lab):
    """Phase 1 as other makers send it, on a random port and without a marker, to a server that does not answer."""
    for how in ([], ["--aggressive", "--id=camera"]):
        lab.camera.run(["ike-scan", *how, f"--sport={lab.port()}", f"--dport={lab.port()}", "--retry=4", "--timeout=500", lab.there],
                       timeout=20, check=False)


@job("ike", "ike-scan", "v2", least=4)
def scan_v2(lab):
    lab.camera.run(["ike-scan", "--ikev2", f"--sport={lab.port()}", f"--dport={lab.port()}", "--retry=4", "--timeout=500", lab.there],
                   timeout=20, check=False)


@job("ike", "ike-scan", "nat-t", least=4)
def scan_marker(lab):
    lab.camera.run(["ike-scan", "--nat-t", f"--sport={lab.port()}", f"--dport={lab.port()}", "--retry=4", "--timeout=500", lab.there],
                   timeout=20, check=False)
