"""Ordinary traffic beside the video: names, time, web, discovery, files, telephony, management."""

import shlex
import sys
from pathlib import Path

from lab import job
from media import clip


def certificate(lab, kind=None):
    """A self-signed certificate for the server's addresses: paths of certificate and key."""
    cert, key = lab.folder / "cert.pem", lab.folder / "key.pem"
    algorithm = kind or lab.either("ec", "rsa")
    options = ["-newkey", "rsa:2048"] if algorithm == "rsa" else ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    lab.server.quiet(shlex.join(
        ["openssl", "req", "-x509", *options, "-nodes", "-days", "30", "-subj", "/CN=recorder.example",
         "-addext", f"subjectAltName=DNS:recorder.example,IP:{lab.there}",
         "-keyout", str(key), "-out", str(cert)]))
    return cert, key


# Web.

def nginx(lab, host, address, tls=None):
    """A web server that also takes uploads; plain, or with a certificate. Returns its port."""
    port = lab.either(443 if tls else 80, lab.port())
    root = lab.folder / "www"
    root.mkdir(exist_ok=True)
    for n in range(6):
        (root / f"{n}.bin").write_bytes(lab.rng.randbytes(lab.rng.randrange(500, 400_000)))
    secure = ""
    if tls:
        secure = f"ssl_certificate {tls[0]}; ssl_certificate_key {tls[1]}; ssl_protocols {tls[2]};"
    listen = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    conf = lab.text("nginx.conf", f"""
        daemon off; user root; pid {lab.folder}/nginx.pid; error_log stderr; worker_processes 1;
        events {{}}
        http {{
            access_log off; client_max_body_size 100m; client_body_temp_path {lab.folder}/body;
            server {{
                listen {listen} {"ssl http2" if tls else ""}; root {root}; {secure}
                location / {{ dav_methods PUT DELETE; create_full_put_path on; }}
            }}
        }}""")
    host.start(["nginx", "-e", "stderr", "-c", conf], tcp=port)
    return port


def fetch_and_upload(lab, scheme, port, *options, times=12):
    url = f"{scheme}://{lab.url_there}:{port}"
    for n in range(times):
        lab.camera.run(["curl", "-sS", "-k", *options, "-o", "/dev/null", f"{url}/{n % 6}.bin"])
        snapshot = lab.data("snapshot.jpg", lab.rng.randrange(2_000, 250_000))
        lab.camera.run(["curl", "-sS", "-k", *options, "-T", snapshot, f"{url}/up/{n}.jpg"])


@job("ordinary", "curl", "http", (4, 6), least=500)
def http(lab):
    fetch_and_upload(lab, "http", nginx(lab, lab.server, lab.there))


@job("ordinary", "curl", "http-gro", gro=True, least=200)
def http_aggregated(lab):
    fetch_and_upload(lab, "http", nginx(lab, lab.server, lab.there))


@job("ordinary", "curl", "https", (4, 6), least=500)
def https(lab):
    port = nginx(lab, lab.server, lab.there, (*certificate(lab), "TLSv1.2 TLSv1.3"))
    for options in (["--tls-max", "1.2"], ["--tlsv1.3"], ["--http1.1"]):
        fetch_and_upload(lab, "https", port, *options, times=5)


@job("ordinary", "nginx", "camera-page", (4, 6), package="nginx-light", least=100)
def camera_page(lab):
    """The camera's own pages, fetched from beyond the gateway, plain and secured."""
    port = nginx(lab, lab.camera, lab.here)
    for n in range(18):
        lab.server.run(["curl", "-sS", "-o", "/dev/null", f"http://{lab.url_here}:{port}/{n % 6}.bin"])


@job("ordinary", "nginx", "camera-page-secured", package="nginx-light", least=100)
def camera_page_secured(lab):
    port = nginx(lab, lab.camera, lab.here, (*certificate(lab), "TLSv1.2 TLSv1.3"))
    for n in range(18):
        lab.server.run(["curl", "-sSk", "-o", "/dev/null", f"https://{lab.here}:{port}/{n % 6}.bin"])


def secure_server(lab, port, *options):
    """Its standard input stays open, else it would end each session at once."""
    words = ["openssl", "s_server", "-quiet", *map(str, options), "-accept", f"{lab.url_there}:{port}"]
    lab.server.start(["sh", "-c", f"sleep 100 | {shlex.join(words)}"],
                     **{"udp" if "-dtls1_2" in options else "tcp": port})


@job("ordinary", "openssl", "tls", (4, 6), least=150)
def tls(lab):
    cert, key = certificate(lab)
    port = lab.port()
    secure_server(lab, port, "-cert", cert, "-key", key)
    for version in ("-tls1_2", "-tls1_3") * 8:
        data = lab.data("data", lab.rng.randrange(100, 60_000))
        lab.camera.run(["sh", "-c", f"openssl s_client -quiet -no_ign_eof {version} -connect {lab.url_there}:{port} <{data}"],
                       timeout=5, check=False)


@job("ordinary", "openssl", "dtls", (4, 6), least=100)
def dtls(lab):
    """Datagram TLS 1.2; the server of each session listens on a port of its own."""
    cert, key = certificate(lab)
    for _ in range(6):
        port = lab.port()
        secure_server(lab, port, "-dtls1_2", "-cert", cert, "-key", key)
        lines = lab.rng.randrange(20, 60)
        lab.camera.run(["sh", "-c", f"for n in $(seq {lines}); do echo measurement $n $n $n; sleep 0.02; done | "
                        f"openssl s_client -quiet -no_ign_eof -dtls1_2 -mtu 1400 -connect {lab.url_there}:{port}"],
                       timeout=6, check=False)


@job("ordinary", "ngtcp2", "quic", (4, 6), package="ngtcp2-client", least=300)
def quic(lab):
    """HTTP/3: requests and uploads, each connection on a port of its own."""
    cert, key = certificate(lab)
    root = lab.folder / "www"
    root.mkdir()
    (root / "clip.bin").write_bytes(lab.rng.randbytes(300_000))
    port = lab.either(443, lab.port())
    lab.server.start(["gtlsserver", "-q", "-d", root, lab.there, port, key, cert], udp=port)
    for n in range(40):
        upload = lab.data("upload", lab.rng.randrange(200, 120_000))
        how = ["-d", upload, "-m", "POST"] if n % 2 else []
        lab.camera.run(["gtlsclient", "-q", "--exit-on-all-streams-close", *how, lab.there, port,
                        f"https://recorder.example:{port}/clip.bin"], timeout=4, check=False)


@job("ordinary", "aioquic", "quic", (4, 6), least=300)
def quic_python(lab):
    cert, key = certificate(lab)
    port = lab.either(4433, lab.port())
    python = {"PYTHONPATH": "/opt/aioquic:/record"}
    lab.server.start([sys.executable, "/record/quic.py", "serve", lab.there, port, cert, key], udp=port, env=python)
    lab.camera.run([sys.executable, "/record/quic.py", "upload", lab.there, port, 25,
                    lab.either(80_000, 140_000)], env=python)


@job("ordinary", "websockets", "", package="python3-websockets", least=100)
def websockets(lab):
    port = lab.port()
    lab.server.start([sys.executable, "/record/websocket.py", "serve", lab.there, port], tcp=port)
    lab.camera.run([sys.executable, "/record/websocket.py", "send", lab.there, port, lab.either(300, 500)])


# Names.

ZONE = f"""
            local-zone: "example." redirect
            local-data: "example. 60 IN A 203.0.113.5"
            local-data: "example. 60 IN AAAA 2001:db8:3::5"
            local-data: "example. 60 IN TXT \\"{'x' * 200}\\""
"""


def unbound(lab, host, address, more="", clause="", port=None):
    port = port or lab.either(53, lab.port())
    conf = lab.text(f"unbound-{host.role}.conf", f"""
        server:
            interface: {address}@{port}
            {more}
            access-control: 0.0.0.0/0 allow
            access-control: ::/0 allow
            do-daemonize: no
            chroot: ""
            username: ""
            directory: "{lab.folder}"
            pidfile: ""
            use-syslog: no
            module-config: "iterator"
            {ZONE if not clause else ""}
        {clause}""")
    host.start(["unbound", "-d", "-c", conf], udp=port)
    return port


def names(lab, count):
    """Distinct names of cameras and services, one per line with a type."""
    words = ["ntp", "cloud", "update", "relay", "events", "stun", "api", "cdn", "time", "log"]
    return [f"{lab.rng.choice(words)}{lab.rng.randrange(9999)}.{lab.rng.choice(words)}.example"
            for _ in range(count)]


def questions(lab, count, options):
    """A file of dig's questions: types and flags as they come."""
    kinds = ["A", "AAAA", "TXT", "SRV", "PTR", "HTTPS"]
    return lab.text("questions", "".join(
        f"{name} {lab.rng.choice(kinds)} {lab.rng.choice(options)}\n" for name in names(lab, count)))


FLAGS = ["", "+dnssec", "+norec", "+noedns", "+noedns +norec", "+cd", "+bufsize=4096", "+nsid", "+nocookie",
         "+nocookie +noad", "+noedns +norec +noad", "+subnet=192.0.2.0/24", "+padding=128", "+opcode=status"]


@job("ordinary", "dig", "udp", (4, 6), package="bind9-dnsutils", least=3000)
def dig(lab):
    """Thousands of questions, so that their random numbers begin with every byte there is."""
    port = unbound(lab, lab.server, lab.there)
    file = questions(lab, lab.either(4000, 6000), FLAGS)
    lab.camera.run(["dig", f"@{lab.there}", "-p", port, "+tries=1", "+time=1", "+short", "-f", file], timeout=90, check=False)


@job("ordinary", "dig", "tcp", (4, 6), package="bind9-dnsutils", least=3000)
def dig_tcp(lab):
    port = unbound(lab, lab.server, lab.there)
    file = questions(lab, 900, FLAGS)
    lab.camera.run(["dig", f"@{lab.there}", "-p", port, "+tcp", "+tries=1", "+short", "-f", file], timeout=90, check=False)


@job("ordinary", "dig", "tcp-keepopen", package="bind9-dnsutils", least=300)
def dig_tcp_kept(lab):
    port = unbound(lab, lab.server, lab.there)
    file = questions(lab, 300, FLAGS)
    lab.camera.run(["dig", f"@{lab.there}", "-p", port, "+tcp", "+keepopen", "+short", "-f", file], check=False)


@job("ordinary", "dig", "tls", package="bind9-dnsutils", least=300)
def dig_tls(lab):
    cert, key = certificate(lab)
    port = lab.port()
    unbound(lab, lab.server, lab.there, f"tls-port: {port}\n tls-service-pem: {cert}\n tls-service-key: {key}", port=port)
    file = questions(lab, 120, FLAGS)
    lab.camera.run(["dig", f"@{lab.there}", "-p", port, "+tls", "+short", "-f", file], check=False)


@job("ordinary", "dig", "unanswered", package="bind9-dnsutils", least=30)
def dig_unanswered(lab):
    """Asked again and again from the same port."""
    lab.unanswered()
    file = questions(lab, 12, FLAGS)
    lab.camera.run(["dig", f"@{lab.there}", "-p", lab.either(53, lab.port()), "+tries=3", "+time=1", "-f", file],
                   timeout=40, check=False)


@job("ordinary", "unbound", "forwarder", least=500)
def forwarder(lab):
    """The camera's side resolves for itself: random ports and numbers."""
    port = unbound(lab, lab.server, lab.there)
    own = lab.port()
    unbound(lab, lab.camera, "127.0.0.1", "do-not-query-localhost: no",
            f"forward-zone:\n name: \"example.\"\n forward-addr: {lab.there}@{port}", own)
    asked = "".join(f"{name} A\n" for name in names(lab, 700))
    lab.camera.run(["dig", "@127.0.0.1", "-p", own, "+tries=1", "+time=2", "+short", "-f", lab.text("asked", asked)],
                   check=False)


@job("ordinary", "dnsmasq", "forwarder", package="dnsmasq-base", least=500)
def dnsmasq(lab):
    port = unbound(lab, lab.server, lab.there)
    own = lab.port()
    lab.camera.start(["dnsmasq", "-k", "-C", "/dev/null", "-u", "root", "--no-resolv", "--cache-size=0", "-x", "",
                      f"--server={lab.there}#{port}", f"--port={own}", "--listen-address=127.0.0.1", "--bind-interfaces"],
                     udp=own)
    asked = "".join(f"{name} A\n" for name in names(lab, 900))
    lab.camera.run(["dig", "@127.0.0.1", "-p", own, "+tries=1", "+time=2", "+short", "-f", lab.text("asked", asked)],
                   check=False)


# Time. No program here may set a clock.

def time_server(lab, port=123, more=""):
    conf = lab.text("chrony-server.conf", f"local stratum 3\nallow all\nport {port}\ncmdport 0\nbindaddress {lab.there}\n"
                    f"pidfile {lab.folder}/server.pid\n{more}\n")
    lab.server.start(["chronyd", "-x", "-d", "-u", "root", "-f", conf], udp=port)


@job("ordinary", "chrony", "ntp", (4, 6), least=150)
def chrony(lab):
    port = lab.either(123, lab.port())
    time_server(lab, port)
    extra = lab.either("xleave", "presend 1")
    conf = lab.text("client.conf", f"server {lab.there} port {port} minpoll -5 maxpoll -5 iburst {extra}\ncmdport 0\n"
                    f"pidfile {lab.folder}/client.pid\nport {lab.either(0, 123)}\n")
    lab.camera.run(["chronyd", "-x", "-d", "-u", "root", "-f", conf], timeout=10, check=False)


@job("ordinary", "chrony", "nts", package="chrony", least=20)
def chrony_nts(lab):
    cert, key = certificate(lab)
    time_server(lab, 123, f"ntsserverkey {key}\nntsservercert {cert}\nntsdumpdir {lab.folder}")
    conf = lab.text("client.conf", f"server {lab.there} nts minpoll -4 maxpoll -4 iburst\nntstrustedcerts {cert}\n"
                    f"cmdport 0\nnocerttimecheck 1\npidfile {lab.folder}/client.pid\n")
    lab.camera.run(["chronyd", "-x", "-d", "-u", "root", "-f", conf], timeout=8, check=False)


@job("ordinary", "ntpdig", "", (4, 6), package="ntpsec-ntpdig", least=60)
def ntpdig(lab):
    time_server(lab)
    for _ in range(25):
        lab.camera.run(["ntpdig", "-t", "1", "-p", lab.either("3", "5"), lab.there], timeout=5, check=False)


# Discovery and management.

@job("ordinary", "wsdiscovery", "probe", least=10, multicast=True)
def ws_discovery(lab):
    """ONVIF's way of finding cameras: the camera says hello and answers probes."""
    python = {"PYTHONPATH": "/opt/wsdiscovery:/record"}
    lab.camera.start([sys.executable, "/record/discovery.py", "publish", lab.here, "8"], env=python, wait=1)
    for _ in range(4):
        lab.camera.run([sys.executable, "/record/discovery.py", "search", lab.here, "1"], env=python, check=False)


@job("ordinary", "curl", "onvif-soap", (4, 6), least=200)
def onvif(lab):
    """The camera tells a recorder its events, and answers the recorder's requests."""
    port = lab.either(80, lab.port())
    for host, address in ((lab.server, lab.there), (lab.camera, lab.here)):
        host.start([sys.executable, "/record/onvif_device.py", address, port], tcp=port)
    for client, address in ((lab.camera, lab.url_there), (lab.server, lab.url_here)):
        for n in range(15):
            body = lab.text("request.xml", soap(lab))
            client.run(["curl", "-sS", "-o", "/dev/null", "-H", "Content-Type: application/soap+xml; charset=utf-8",
                        "--data-binary", f"@{body}", f"http://{address}:{port}/onvif/device_service"])


def soap(lab):
    import base64
    action = lab.rng.choice([
        '<tds:GetDeviceInformation xmlns:tds="http://www.onvif.org/ver10/device/wsdl"/>',
        '<trt:GetProfiles xmlns:trt="http://www.onvif.org/ver10/media/wsdl"/>',
        '<tev:PullMessages xmlns:tev="http://www.onvif.org/ver10/events/wsdl"><tev:Timeout>PT5S</tev:Timeout>'
        '<tev:MessageLimit>100</tev:MessageLimit></tev:PullMessages>',
        '<tptz:ContinuousMove xmlns:tptz="http://www.onvif.org/ver20/ptz/wsdl"><tptz:ProfileToken>Profile_1'
        '</tptz:ProfileToken></tptz:ContinuousMove>'])
    nonce = base64.b64encode(lab.rng.randbytes(16)).decode()
    digest = base64.b64encode(lab.rng.randbytes(20)).decode()
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header>
<Security s:mustUnderstand="1" xmlns="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd">
<UsernameToken><Username>admin</Username><Password Type="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest">{digest}</Password>
<Nonce>{nonce}</Nonce><Created>2026-01-01T00:00:00Z</Created></UsernameToken></Security></s:Header>
<s:Body>{action}</s:Body></s:Envelope>"""


@job("ordinary", "avahi", "mdns", package="avahi-daemon", least=5, multicast=True)
def avahi(lab):
    lab.text("_rtsp.service", '<?xml version="1.0"?><!DOCTYPE service-group SYSTEM "avahi-service.dtd">'
             "<service-group><name>camera</name><service><type>_rtsp._tcp</type><port>554</port></service></service-group>")
    conf = lab.text("avahi.conf", "[server]\nhost-name=camera\nenable-dbus=no\nallow-interfaces=eth0\n[rlimits]\n")
    service = f"cp {lab.folder}/_rtsp.service /run/avahi-services/ 2>/dev/null"
    lab.camera.run(["sh", "-c", f"mkdir -p /run/avahi-daemon; mount -t tmpfs t /etc/avahi/services; "
                    f"cp {lab.folder}/_rtsp.service /etc/avahi/services/; "
                    f"exec avahi-daemon --no-drop-root --no-chroot --no-rlimits -f {conf}"],
                   timeout=8, private_run=True, check=False)
    del service


@job("ordinary", "gssdp", "ssdp", package="gupnp-tools", least=3, multicast=True)
def ssdp(lab):
    lab.camera.run(["gssdp-discover", "-i", "eth0", "-n", "3"], timeout=8, check=False)


@job("ordinary", "miniupnpc", "ssdp", least=3, multicast=True)
def upnpc(lab):
    for _ in range(3):
        lab.camera.run(["upnpc", "-m", "eth0", "-l"], timeout=8, check=False)


def snmp_agent(lab, host, address, port):
    prefix = "udp6:" if lab.family == 6 else "udp:"
    at = f"[{address}]" if lab.family == 6 else address
    conf = lab.text("snmpd.conf", "rocommunity public\nrocommunity6 public\ncreateUser viewer SHA authpassword AES "
                    "privpassword\nrouser viewer priv\nsysLocation gate\n")
    host.start(["snmpd", "-f", "-Lo", "-C", "-c", conf, f"{prefix}{at}:{port}"], udp=port, env={"SNMP_PERSISTENT_DIR": str(lab.folder)})
    return f"{prefix}{at}:{port}"


@job("ordinary", "snmp", "manager", (4, 6), package="snmp", least=100)
def snmp(lab):
    where = snmp_agent(lab, lab.server, lab.there, lab.either(161, lab.port()))
    snmp_questions(lab, lab.camera, where)


@job("ordinary", "snmp", "agent", (4, 6), package="snmpd", least=100)
def snmp_camera(lab):
    """The camera answers a manager."""
    where = snmp_agent(lab, lab.camera, lab.here, lab.either(161, lab.port()))
    snmp_questions(lab, lab.server, where)


def snmp_questions(lab, host, where):
    private = ["-v3", "-u", "viewer", "-l", "authPriv", "-a", "SHA", "-A", "authpassword", "-x", "AES", "-X", "privpassword"]
    for how in (["-v1", "-c", "public"], ["-v2c", "-c", "public"], private):
        host.run(["snmpwalk", "-t", "2", *how, where, "1.3.6.1.2.1.1"], check=False)
        for _ in range(15):
            host.run(["snmpget", "-t", "2", *how, where, f"1.3.6.1.2.1.1.{lab.rng.randrange(1, 9)}.0"], check=False)
    host.run(["snmptrap", "-v2c", "-c", "public", where, "", "1.3.6.1.6.3.1.1.5.3"], check=False)


@job("ordinary", "logger", "syslog", (4, 6), package="bsdutils", least=200)
def syslog(lab):
    port = lab.either(514, lab.port())
    conf = lab.text("rsyslog.conf", f'module(load="imudp") module(load="imtcp")\ninput(type="imudp" port="{port}")\n'
                    f'input(type="imtcp" port="{port}")\n*.* {lab.folder}/messages\n')
    lab.server.start(["rsyslogd", "-n", "-i", lab.folder / "pid", "-f", conf], udp=port)
    lines = "".join(f"camera: {word} at {lab.rng.random()}\n" for word in names(lab, 250))
    for how in (["-d"], ["-T"], ["-d", "--rfc3164"]):
        lab.camera.run(["sh", "-c", shlex.join(["logger", *how, "-n", lab.there, "-P", str(port), "-t", "camera", "-f",
                                                str(lab.text("lines", lines))])], check=False)


@job("ordinary", "mosquitto", "mqtt", (4, 6), package="mosquitto-clients", least=200)
def mqtt(lab):
    port = lab.either(1883, lab.port())
    conf = lab.text("mosquitto.conf", f"listener {port} {lab.there}\nallow_anonymous true\nuser root\n")
    lab.server.start(["mosquitto", "-c", conf], tcp=port)
    lab.camera.start(["mosquitto_sub", "-h", lab.there, "-p", port, "-t", "cmd/#", "-k", "5", "-q", "1"], wait=0.3)
    for n in range(20):
        picture = lab.data("picture", lab.rng.randrange(50, 30_000))
        lab.camera.run(["mosquitto_pub", "-V", lab.rng.choice(["mqttv311", "mqttv5"]), "-h", lab.there, "-p", port,
                        "-q", n % 3, "-t", f"camera/{n}", "-f", picture])


@job("ordinary", "libcoap", "coap", (4, 6), package="libcoap3-bin", least=25)
def coap(lab):
    port = lab.either(5683, lab.port())
    lab.server.start(["coap-server-notls", "-A", lab.there, "-p", port], udp=port)
    for n in range(30):
        how = [["-m", "get"], ["-m", "put", "-e", f"temperature {n}"], ["-N", "-m", "get"]][n % 3]
        lab.camera.run(["coap-client-notls", *how, "-B", "1", f"coap://{lab.url_there}:{port}/time"], timeout=4, check=False)


@job("ordinary", "libcoap", "coap-secured", package="libcoap3-bin", least=50)
def coap_secured(lab):
    port = lab.port()
    lab.server.start(["coap-server-openssl", "-k", "secret", "-A", lab.there, "-p", port - 1], udp=port)
    for _ in range(12):
        lab.camera.run(["coap-client-openssl", "-B", "1", "-k", "secret", "-u", "camera",
                        f"coaps://{lab.there}:{port}/time"], timeout=4, check=False)


@job("ordinary", "radclient", "radius", (4, 6), package="freeradius-utils", least=60)
def radius(lab):
    """Requests that nobody answers: identifiers and authenticators are random."""
    port = lab.either(1812, lab.port())
    file = lab.text("radius", "".join(f'User-Name="camera{n}",User-Password="secret"\n\n' for n in range(120)))
    lab.camera.run(["radclient", "-r", "2", "-t", "1", "-p", "40", "-f", file, f"{lab.url_there}:{port}", "auth", "secret"],
                   check=False)


# Telephony and ways through NAT.

@job("ordinary", "coturn", "turn", (4, 6), least=300)
def turn(lab):
    port = lab.either(3478, lab.port())
    lab.server.start(["turnserver", "-n", "-v", "-L", lab.there, "-p", port, "--relay-ip", lab.there, "-a", "-u", "cam:pw",
                      "-r", "recorder.example", "--no-tls", "--no-dtls", "--no-cli", "--allow-loopback-peers",
                      "--log-file", "stdout", "--db", lab.folder / "turn.db", "--pidfile", lab.folder / "turn.pid"],
                     udp=port)
    family = ["-x"] if lab.family == 6 else []
    for how in (["-y", "-c"], ["-y", "-s"], ["-y", "-t", "-c"]):
        lab.camera.run(["turnutils_uclient", *how, *family, "-n", lab.either("120", "200"), "-m", "2", "-l", lab.rng.randrange(60, 900),
                        "-u", "cam", "-w", "pw", "-p", port, lab.there], timeout=12, check=False)


@job("ordinary", "coturn", "stun", (4, 6), least=20)
def stun(lab):
    port = lab.either(3478, lab.port())
    lab.server.start(["turnserver", "-n", "-L", lab.there, "-p", port, "--no-auth", "--stun-only", "--no-tls", "--no-dtls",
                      "--no-cli", "--log-file", "stdout", "--db", lab.folder / "turn.db", "--pidfile", lab.folder / "turn.pid"],
                     udp=port)
    for _ in range(30):
        lab.camera.run(["turnutils_stunclient", "-p", port, lab.there], timeout=4, check=False)


@job("ordinary", "sipp", "sip", (4, 6), package="sip-tester", least=300)
def sip(lab):
    port = lab.either(5060, lab.port())
    for host, address, words in ((lab.server, lab.there, ["-sn", "uas"]), (lab.camera, lab.here, ["-sn", "uac"])):
        kind = ["-t", lab.either("u1", "un"), "-max_socket", "1000", "-i", address, "-nostdin"]
        if host is lab.server:
            host.start(["sipp", *words, "-t", "u1", "-i", address, "-nostdin", "-p", port], udp=port)
        else:
            host.run(["sipp", *words, *kind, "-d", "200", "-m", "120", "-r", "40", "-s", "gate",
                      f"{lab.url_there}:{port}"], timeout=20, check=False)


# Files and shells.

@job("ordinary", "openssh", "scp", (4, 6), package="openssh-client", least=300)
def ssh(lab):
    port = lab.either(22, lab.port())
    sshd(lab, lab.server, lab.there, port)
    for _ in range(4):
        file = lab.data("clip.bin", lab.rng.randrange(1000, 400_000))
        lab.camera.run(["scp", "-q", *KEYS(lab), "-P", port, file, f"root@{lab.url_there}:{lab.folder}/got"])
    lab.camera.run(["ssh", *KEYS(lab), "-p", port, f"root@{lab.there}", "for n in $(seq 50); do echo $n; sleep 0.02; done"])


@job("ordinary", "openssh", "camera-shell", package="openssh-server", least=50)
def ssh_camera(lab):
    port = lab.either(22, lab.port())
    sshd(lab, lab.camera, lab.here, port)
    lab.server.run(["ssh", *KEYS(lab), "-p", port, f"root@{lab.here}", "for n in $(seq 50); do ls /usr/bin; sleep 0.02; done"])


def KEYS(lab):
    return ["-F", "/dev/null", "-i", lab.folder / "id", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
            "-o", "IdentitiesOnly=yes"]


def sshd(lab, host, address, port):
    for name in ("id", "host"):
        host.quiet(f"ssh-keygen -q -N '' -t {lab.either('ed25519', 'rsa')} -f {lab.folder}/{name}")
    (lab.folder / "keys").write_bytes((lab.folder / "id.pub").read_bytes())
    conf = lab.text("sshd.conf", f"ListenAddress {f'[{address}]' if ':' in address else address}:{port}\nHostKey {lab.folder}/host\n"
                    f"AuthorizedKeysFile {lab.folder}/keys\nStrictModes no\nUsePAM no\nPidFile none\n"
                    "Subsystem sftp internal-sftp\nPermitRootLogin yes\n")
    host.start(["sh", "-c", f"mkdir -p /run/sshd; exec /usr/sbin/sshd -D -e -f {conf}"], tcp=port, private_run=True)


@job("ordinary", "vsftpd", "ftp-upload", package="curl", least=300)
def ftp(lab):
    port = lab.either(21, lab.port())
    root = lab.folder / "ftp"
    (root / "up").mkdir(parents=True)
    (root / "up").chmod(0o777)
    lab.folder.chmod(0o755)
    (lab.folder / "empty").mkdir()
    conf = lab.text("vsftpd.conf", f"listen=YES\nlisten_address={lab.there}\nlisten_port={port}\nanonymous_enable=YES\n"
                    f"anon_root={root}\nanon_upload_enable=YES\nwrite_enable=YES\nsecure_chroot_dir={lab.folder}/empty\n"
                    "seccomp_sandbox=NO\nbackground=NO\nlocal_enable=NO\nallow_writeable_chroot=YES\nno_anon_password=YES\n"
                    "isolate=NO\nisolate_network=NO\n")
    lab.server.start(["vsftpd", conf], tcp=port)
    for n in range(10):
        file = lab.data("clip.bin", lab.rng.randrange(1000, 300_000))
        mode = ["--ftp-port", "-"] if n % 3 == 2 else []
        lab.camera.run(["curl", "-sS", *mode, "-T", file, f"ftp://{lab.there}:{port}/up/{n}.bin"], timeout=10, check=False)


@job("ordinary", "tftp-hpa", "tftp", least=200)
def tftp(lab):
    port = lab.either(69, lab.port())
    (lab.folder / "boot").mkdir()
    (lab.folder / "boot").chmod(0o777)
    lab.server.start(["in.tftpd", "-L", "-c", "-p", "-u", "root", "-a", f"{lab.there}:{port}", "-s", lab.folder / "boot"], udp=port)
    for n in range(8):
        file = lab.data("config.bin", lab.rng.randrange(600, 40_000))
        lab.camera.run(["tftp", "-m", "binary", lab.there, port, "-c", "put", file.name, f"c{n}.bin"], timeout=8, check=False)
        lab.camera.run(["tftp", "-m", "binary", lab.there, port, "-c", "get", f"c{n}.bin"], timeout=8, check=False)


@job("ordinary", "samba", "smb", (4, 6), package="smbclient", least=200)
def smb(lab):
    """Clips onto a share, as onto a network store."""
    port = lab.either(445, lab.port())
    for name in ("share", "state"):
        (lab.folder / name).mkdir()
        (lab.folder / name).chmod(0o777)
    lab.folder.chmod(0o755)
    state = lab.folder / "state"
    conf = lab.text("smb.conf", f"[global]\nmap to guest = Bad User\nguest account = nobody\nserver role = standalone server\nload printers = no\nprinting = bsd\nserver smb encrypt = off\nsmb ports = {port}\ndisable netbios = yes\n"
                    + "".join(f"{kind} = {state}\n" for kind in ("private dir", "lock directory", "state directory",
                                                                  "cache directory", "pid directory", "ncalrpc dir"))
                    + f"[clips]\npath = {lab.folder}/share\nguest ok = yes\nread only = no\n")
    lab.server.start(["smbd", "-F", "--no-process-group", "-s", conf, "--debug-stdout"], tcp=port)
    for n in range(4):
        file = lab.data("clip.bin", lab.rng.randrange(10_000, 300_000))
        lab.camera.run(["smbclient", "-s", "/dev/null", "-N", "-p", port, f"//{lab.there}/clips", "-c", f"put {file} {n}.bin; ls"],
                       timeout=10, check=False)


@job("ordinary", "rsync", "", least=100)
def rsync(lab):
    port = lab.either(873, lab.port())
    (lab.folder / "store").mkdir()
    conf = lab.text("rsyncd.conf", f"use chroot = no\nuid = root\ngid = root\n[clips]\npath = {lab.folder}/store\nread only = no\n")
    lab.server.start(["rsync", "--daemon", "--no-detach", f"--config={conf}", f"--port={port}", f"--address={lab.there}"], tcp=port)
    for n in range(4):
        file = lab.data(f"clip{n}.bin", lab.rng.randrange(10_000, 300_000))
        lab.camera.run(["rsync", "-q", file, f"rsync://{lab.there}:{port}/clips/"])


# Plain packets.

@job("ordinary", "iperf3", "udp", (4, 6), least=2000)
def iperf_udp(lab):
    port = lab.either(5201, lab.port())
    lab.server.start(["iperf3", "-s", "-p", port], tcp=port)
    lab.camera.run(["iperf3", "-c", lab.there, "-p", port, "-u", "-b", "12M", "-l", lab.rng.randrange(300, 1400), "-t", "4"])


@job("ordinary", "iperf3", "tcp", (4, 6), least=2000)
def iperf_tcp(lab):
    port = lab.either(5201, lab.port())
    lab.server.start(["iperf3", "-s", "-p", port], tcp=port)
    lab.camera.run(["iperf3", "-c", lab.there, "-p", port, "-b", "20M", "-t", "3", "-P", "3"])


@job("ordinary", "iperf3", "tcp-gro", least=50, gro=True)
def iperf_tcp_aggregated(lab):
    port = lab.either(5201, lab.port())
    lab.server.start(["iperf3", "-s", "-p", port], tcp=port)
    lab.camera.run(["iperf3", "-c", lab.there, "-p", port, "-b", "100M", "-t", "3"])


@job("ordinary", "netcat", "random", package="netcat-openbsd", least=1000)
def random_datagrams(lab):
    """Datagrams of random bytes: what an unknown cipher of a camera's cloud would look like."""
    port = lab.port()
    lab.server.start(["nc", "-u", "-l", "-k", lab.there, port], udp=port)
    for n in range(40):
        lab.camera.run([sys.executable, "/record/random_datagrams.py", lab.there, port, 40, lab.rng.randrange(1 << 30)])


@job("ordinary", "ping", "", (4, 6), package="iputils-ping", least=100)
def ping(lab):
    for size in (56, 1000, 1472, 4000):
        lab.camera.run(["ping", "-q", "-c", "40", "-i", "0.02", "-s", size, lab.there], check=False)


@job("ordinary", "traceroute", "", (4, 6), least=100)
def traceroute(lab):
    for how in (["-U"], ["-I"], ["-T"], []):
        lab.camera.run(["traceroute", *how, "-w", "0.3", "-m", lab.either("8", "12"), "-q", "3", lab.there], check=False)
        lab.camera.run(["traceroute", *how, "-w", "0.2", "-m", "6", "2001:db8:9::1" if lab.family == 6 else "203.0.113.77"], check=False)
