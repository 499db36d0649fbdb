"""vncs - cases of displays.py: -display vnc, with a client of our own."""
import os
import random
import signal
import socket
import struct
import time

import rfb
import screen
from machine import SIGNAL, TIMEOUT, Failure, drawn_picture, need, press

USAGE, HOST = 2, 4
SHIFT, CTRL, ALT = 0xffe1, 0xffe3, 0xffe9


def start(m, keys="", *options, host=""):
    """The machine on a free port."""
    for _ in range(20):
        n = random.randrange(2000, 40000)
        try:
            m.start("-display", "vnc=%s:%d%s" % (host, n, keys), *options)
            return 5900 + n
        except Failure as e:
            if "in use" not in str(e):
                raise
    raise Failure("no free port")


def shows(c, want, name, seconds=TIMEOUT):
    limit = time.monotonic() + seconds
    bad = "nothing"
    while bad:
        c.update()
        bad = screen.difference(c.picture(), want)
        need(not bad or time.monotonic() < limit, "%s: %s" % (name, bad))


def vnc_picture(m):
    """the client's picture is the screenshot's of the same moment; typed keys arrive; small changes
    are small updates; a new mode's size comes"""
    port = start(m, "", "-screenshot", "shot.png")
    c = rfb.Client(port)
    need(not c.asked and c.name == "Trivisor", "name %s" % c.name)
    shows(c, m.picture(), "at the start")
    before = c.pixels
    c.press(*map(ord, "hi 42"))
    m.gets(press("hi 42"))
    shows(c, m.picture("hi 42"), "after typing")
    need(0 < c.pixels - before <= 5 * 9 * 16 * 4, "%d pixels for five letters" % (c.pixels - before))
    m.p.send_signal(signal.SIGUSR2)
    m.until(lambda: os.path.exists(m.path("shot.png")), "screenshot")
    bad = screen.difference(c.picture(), screen.read_png(m.path("shot.png")))
    need(not bad, "not the screenshot: %s" % bad)
    c.press(0xffbe)  # F1
    limit = time.monotonic() + 60
    while (c.width, c.height) != (800, 600):
        c.update()
        need(time.monotonic() < limit, "no new size")
    shows(c, drawn_picture(), "graphics")
    need("error" not in m.ends(SIGNAL, signal.SIGTERM), "messages")
    need(c.gone(), "the connection stays")


def vnc_keys(m):
    """modifiers, special keys, other layouts' shift; what is held comes up when the client goes"""
    port = start(m)
    c = rfb.Client(port)

    def sends(what, codes):
        before = len(m.codes())
        for sym, down in what:
            c.key(sym, down)
        m.until(lambda: len(m.codes()) - before >= len(codes), "codes %s after %s" %
                (bytes(codes).hex(), what))
        need(m.codes()[before:] == bytes(codes), "%s: %s, not %s" %
             (what, m.codes()[before:].hex(), bytes(codes).hex()))
        time.sleep(0.05)
    tap = lambda *syms: [(s, d) for s in syms for d in (1, 0)]  # noqa: E731
    hold = lambda mod, *rest: [(mod, 1), *tap(*rest), (mod, 0)]  # noqa: E731
    sends(hold(SHIFT, ord("A")), [0x2a, 0x1e, 0x9e, 0xaa])
    sends(tap(ord("A")), [0x2a, 0x1e, 0xaa, 0x9e])                 # no shift came: ours
    sends(hold(SHIFT, ord("/")), [0x2a, 0xaa, 0x35, 0x2a, 0xb5, 0xaa])  # German Shift-7
    sends(tap(ord("?")), [0x2a, 0x35, 0xaa, 0xb5])
    sends(hold(CTRL, ord("c")), [0x1d, 0x2e, 0xae, 0x9d])
    sends(tap(0xff0d, 0xff09, 0xff1b, 0xff08), [0x1c, 0x9c, 0x0f, 0x8f, 0x01, 0x81, 0x0e, 0x8e])
    sends(tap(0xff52, 0xffff), [0xe0, 0x48, 0xe0, 0xc8, 0xe0, 0x53, 0xe0, 0xd3])
    sends(tap(0xffbe, 0xffc9), [0x3b, 0xbb, 0x58, 0xd8])
    sends(tap(0xffb1, 0xff8d), [0x4f, 0xcf, 0xe0, 0x1c, 0xe0, 0x9c])
    sends(tap(0xffe4, 0xfe03), [0xe0, 0x1d, 0xe0, 0x9d, 0xe0, 0x38, 0xe0, 0xb8])
    sends(tap(0xffe5) + tap(ord("A")) + tap(0xffe5), [0x3a, 0xba, 0x1e, 0x9e, 0x3a, 0xba])
    sends(tap(0x12345678, 0xff00, 0, 0xffffffff), [])
    sends([(ALT, 1), (ord("x"), 1)], [0x38, 0x2d])
    c.close()
    m.until(lambda: sorted(m.codes()[-2:]) == [0xad, 0xb8], "held keys come up")
    m.ends(SIGNAL, signal.SIGTERM)


def vnc_mouse(m):
    """motion, buttons and wheel as a mouse"""
    port = start(m)
    c = rfb.Client(port)
    shows(c, m.picture(), "at the start")
    c.pointer(100, 100)
    c.pointer(107, 97)
    c.pointer(107, 97, 1)
    c.pointer(107, 97, 4)
    c.pointer(107, 97, 2)
    c.pointer(107, 97, 0)
    m.until(lambda: m.packets() and m.packets()[-1][0] & 7 == 0 and
            {1, 2, 4} <= {p[0] & 7 for p in m.packets()}, "buttons")
    need(m.moved() == [7, 3], "moved by %s" % m.moved())
    c.pointer(65535, 65535)
    m.until(lambda: m.moved()[0] > 500, "motion to the edge")
    m.ends(SIGNAL, signal.SIGTERM)


def vnc_clients(m):
    """several at once, sharing as the option says; one that reads nothing holds nobody up"""
    port = start(m)
    first, lazy = rfb.Client(port), rfb.Client(port)
    for _ in range(50):
        lazy.ask(False)
    second = rfb.Client(port)
    for k, c in enumerate((first, second)):
        c.press(ord("1") + k)
    for c in (first, second):
        shows(c, m.picture("12"), "two clients")
    alone = rfb.Client(port, shared=False)  # allow-exclusive
    need(first.gone() and second.gone(), "others stay beside an exclusive client")
    shows(alone, m.picture("12"), "alone")
    m.ends(SIGNAL, signal.SIGTERM)
    for share, stays in (("force-shared", False), ("ignore", True)):
        port = start(m, ",share=" + share)
        first = rfb.Client(port)
        try:
            second = rfb.Client(port, shared=False)
            went = not second.update(TIMEOUT) and second.gone()
        except (EOFError, ConnectionError, rfb.Refused):
            went = True
        need(went != stays, "%s: an exclusive client %s" % (share, "stays" if stays else "goes"))
        shows(first, m.picture(), "the first with " + share)
        m.ends(SIGNAL, signal.SIGTERM)


def vnc_password(m):
    """asked for, and compared; a wrong one is refused; only this host may connect"""
    with open(m.path("pw"), "w") as f:
        f.write("s3cret\n")
    os.chmod(m.path("pw"), 0o600)
    port = start(m, ",password-file=pw")
    for wrong in ("", "S3cret", "s3cret1", "s3cre"):
        try:
            rfb.Client(port, wrong)
            raise Failure("'%s' is let in" % wrong)
        except rfb.Refused:
            pass
    c = rfb.Client(port, "s3cret")
    need(c.asked, "no password is asked for")
    shows(c, m.picture(), "with a password")
    m.refuses(["-display", "vnc=:%d" % (port - 5900)], HOST, "in use")
    m.ends(SIGNAL, signal.SIGTERM)
    with open(m.path("pw"), "w") as f:
        f.write("\n")
    for option, status, says in (
            ("vnc", USAGE, "[HOST]:N"), ("vnc=5", USAGE, "[HOST]:N"), ("vnc=:x", USAGE, "[HOST]:N"),
            ("vnc=:59636", USAGE, "59635"), ("vnc=:1,share=x", USAGE, "force-shared"),
            ("vnc=:1,pass=x", USAGE, "no key"), ("vnc=:1,password-file=none", HOST, "none"),
            ("vnc=:1,password-file=pw", HOST, "no password"),
            ("vnc=no-such-host.invalid:1", HOST, "no-such-host.invalid")):
        m.refuses(["-display", option], status, says)


def vnc_address(m):
    """loopback unless a host is said; IPv6"""
    port = start(m)
    with open("/proc/net/tcp") as f:
        lines = [li.split() for li in f]
    at = [li[1] for li in lines if li[1].endswith(":%04X" % port) and li[3] == "0A"]
    need(at == ["0100007F:%04X" % port], "listens at %s" % at)
    m.ends(SIGNAL, signal.SIGTERM)
    if os.path.exists("/proc/net/if_inet6") and "lo" in open("/proc/net/if_inet6").read():
        port = start(m, host="[::1]")
        shows(rfb.Client(port, host="::1"), m.picture(), "IPv6")
        m.ends(SIGNAL, signal.SIGTERM)


def vnc_hostile(m):
    """broken, half and random messages end their connection only"""
    port = start(m)
    rnd = random.Random(6)
    good = rfb.Client(port)
    shows(good, m.picture(), "at the start")

    def raw(data, hello=True):
        s = socket.create_connection(("127.0.0.1", port), timeout=30)
        try:
            s.sendall(b"RFB 003.008\n\1\1" * hello + data)
            s.settimeout(0.05)
            while s.recv(65536):
                pass
        except OSError:
            pass
        s.close()
    raw(b"GET / HTTP/1.0\r\n\r\n", hello=False)
    raw(b"\xff" * 4096, hello=False)
    raw(b"RFB 999.999\n", hello=False)
    for data in (
            struct.pack(">BxxxI", 6, 0xffffffff),                        # cut text of 4 GiB
            struct.pack(">BxxxI", 6, 0x80000000),
            struct.pack(">BxH", 2, 65535) + bytes(1000),                 # encodings
            struct.pack(">BxxxBBBBHHHBBBxxx", 0, 8, 8, 0, 1, 0, 0, 0, 255, 255, 255),
            struct.pack(">BxxxBBBBHHHBBBxxx", 0, 255, 255, 1, 1, 65535, 65535, 65535, 31, 31, 31),
            struct.pack(">BBHHHH", 3, 0, 65535, 65535, 65535, 65535),    # update request
            struct.pack(">BBHHHH", 3, 1, 700, 390, 65535, 65535),
            struct.pack(">BBHH", 5, 255, 65535, 65535),                  # pointer
            struct.pack(">BBxx", 8, 0), struct.pack(">BBxx", 8, 255),    # scale
            struct.pack(">BBHI", 7, 1, 1, 0x7fffffff),                   # file transfer
            struct.pack(">BBHHxx", 251, 1, 65535, 65535),                # desktop size
            bytes([250, 0, 1, 2]), bytes([11, 0, 0, 0]) + b"\xff\xff\xff\xff"):
        raw(data)
    for _ in range(60):
        kinds = [0, 2, 3, 4, 5, 6, 7, 8, 11, 15, 250, 251, 255]
        raw(bytes([rnd.choice(kinds)]) + rnd.randbytes(rnd.randrange(64)))
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
    good.press(ord("k"))
    shows(good, m.picture("k"), "afterwards")
    scaled = None
    for s in silent:
        s.close()
    try:
        scaled = rfb.Client(port, sizes=False)
        scaled.s.sendall(struct.pack(">BBxx", 8, 2))
        scaled.ask(False)
    except (OSError, EOFError):
        pass
    good.press(0xffbe)
    limit = time.monotonic() + 60
    while (good.width, good.height) != (800, 600):
        good.update()
        need(time.monotonic() < limit, "no new size")
    shows(good, drawn_picture(), "graphics afterwards")
    m.ends(SIGNAL, signal.SIGTERM)


CASES = [vnc_picture, vnc_keys, vnc_mouse, vnc_clients, vnc_password, vnc_address, vnc_hostile]
