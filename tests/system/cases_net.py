"""cases_net - a Linux guest on the network: both cards, both directions, through user networking.

The guest has its address from DHCP, fetches a file from a server on the host's loopback (10.0.2.2 to
it) and serves one that the host fetches through a forwarded port; checksums tell.
"""
import hashlib
import http.server
import os
import random
import socket
import threading
import time
import urllib.request

from run import case
import guests
import initramfs
import vm

APPEND = "console=ttyS0,115200 panic=-1"
PANIC = "Kernel panic|end Kernel|BUG: |Oops:"

# udhcpc runs it when it has news
DHCP = b"""#!/bin/sh
case $1 in
bound|renew)
    ifconfig $interface $ip netmask $subnet up
    route add default gw $router
    echo "nameserver $dns" > /etc/resolv.conf
    echo "dhcp: $ip from $serverid, dns $dns" ;;
esac
"""


class Server:
    """An HTTP server on the loopback that knows one file."""

    def __init__(self, data):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *a):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.server.shutdown()
        self.server.server_close()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def initrd(c, module):
    names = [module] if module == "e1000" else ["virtio_pci", "virtio_mmio", module]
    extra = initramfs.modules(c.guests, names)
    extra += [("etc", 0o40755, b"", (0, 0)), ("dhcp.sh", 0o100755, DHCP, (0, 0))]
    return c.write("initrd", initramfs.make(c.guests, "amd64", extra))


def check(v, command, timeout=vm.PATIENCE):
    status, out = v.command_output(command, timeout)
    if status:
        raise vm.Failure("%s: status %d: %r" % (command, status, out))
    return out


def fetch(url, seconds):
    """A server that has just been started in the guest may take a moment to listen."""
    limit = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=seconds) as r:
                return r.read()
        except OSError as e:
            if time.monotonic() > limit:
                raise vm.Failure("%s: %s" % (url, e))
            time.sleep(0.5)


def network(c, model, module, *options, size=4 << 20, mtu=1500):
    data = random.Random(7).randbytes(size)
    digest = hashlib.sha256(data).hexdigest()
    tcp = free_port()
    os.mkdir(c.path("tftp"))
    c.write("tftp/small", data[:100000])
    nic = "user,model=%s,mac=52:54:00:ab:cd:ef,hostfwd=tcp:127.0.0.1:%d-:80,tftp=%s" \
        % (model, tcp, c.path("tftp"))
    with Server(data) as server, \
            c.emu.start("-m", "256", *options, "-kernel", guests.kernel(c.guests), "-initrd",
                        initrd(c, module), "-append", APPEND, "-nic", nic) as v:
        v.expect("init: Linux", 400, never=PANIC)
        v.expect("trivisor# ", never=PANIC)
        if "52:54:00:AB:CD:EF" not in check(v, "ifconfig eth0 up; ifconfig eth0"):
            raise vm.Failure("not the card's address")
        check(v, "udhcpc -i eth0 -n -q -s /dhcp.sh")
        check(v, "ping -c 3 10.0.2.2")
        check(v, "test $(cat /sys/class/net/eth0/mtu) = %d" % mtu)
        check(v, "ping -c 3 -s %d 10.0.2.2" % (mtu - 28))
        # reassembled and cut: none, this was a frame's worth each time
        check(v, "test $(grep '^Ip: [0-9]' /proc/net/snmp | cut -d' ' -f15-20 | tr -d ' ') = 000000")
        # to the guest
        out = check(v, "time wget -O /tmp/f http://10.0.2.2:%d/f; sha256sum /tmp/f" % server.port)
        if digest not in out:
            raise vm.Failure("what the guest fetched is not what was there: %r" % out)
        # from the guest
        check(v, "httpd -p 80 -h /tmp")
        got = fetch("http://127.0.0.1:%d/f" % tcp, vm.PATIENCE)
        if hashlib.sha256(got).hexdigest() != digest:
            raise vm.Failure("what the guest served is not what it has: %d bytes" % len(got))
        # datagrams: the network's own TFTP server
        out = check(v, "tftp -g -l /tmp/t -r small 10.0.2.2; sha256sum /tmp/t")
        if hashlib.sha256(data[:100000]).hexdigest() not in out:
            raise vm.Failure("what came by TFTP is not what was there: %r" % out)
        out = check(v, "cat /proc/net/dev; cat /sys/class/net/eth0/statistics/*errors")
        if any(int(n) for n in out.split("\n") if n.strip().isdigit()):
            raise vm.Failure("errors: %r" % out)
        # the card goes away and comes back
        check(v, "ifconfig eth0 down; ifconfig eth0 up; udhcpc -i eth0 -n -q -s /dhcp.sh; "
              "wget -q -O - http://10.0.2.2:%d/f | sha256sum | grep %s" % (server.port, digest), 300)
        v.send("poweroff -f\n")
        status = v.wait()
        if status != 0:
            raise vm.Failure("exit status %d after poweroff -f" % status)


@case
def net_e1000(c):
    """e1000 on the translator: DHCP, ping, a file each way with equal checksums, TFTP, down and up"""
    network(c, "e1000", "e1000")


@case
def net_virtio(c):
    """the same with virtio-net"""
    network(c, "virtio", "virtio_net")


@case
def net_jumbo(c):
    """the same with virtio-net and an MTU of 9000, which its driver is told"""
    network(c, "virtio,mtu=9000", "virtio_net", mtu=9000)


@case
def net_microvm(c):
    """the same with virtio-net on the microvm board"""
    network(c, "virtio", "virtio_net", "-machine", "microvm")


@case
def net_interp(c):
    """the same with e1000 on the interpreter"""
    network(c, "e1000", "e1000", "-engine", "interp", size=1 << 20)
