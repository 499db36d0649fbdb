"""terms - cases of displays.py: -display term on a pseudo-terminal."""
import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time

from machine import SIGNAL, TIMEOUT, Failure, need, press
from vt import Terminal

ANSI = (0, 4, 2, 6, 1, 5, 3, 7)  # a VGA's colours as a terminal counts them


class Session:
    """The machine on a terminal of our own."""

    def __init__(self, m, *options, cols=100, rows=30, tty_errors=False):
        self.m, self.raw = m, b""
        self.master, self.slave = pty.openpty()
        self.resize(cols, rows)
        self.before = termios.tcgetattr(self.slave)
        kw = dict(stdin=self.slave, stdout=self.slave, start_new_session=True,
                  preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        if tty_errors:
            kw["stderr"] = self.slave
        m.start("-display", "term", *options, **kw)

    def resize(self, cols, rows):
        self.term = Terminal(cols, rows)
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def read(self, seconds=0.05):
        while select.select([self.master], [], [], seconds)[0]:
            data = os.read(self.master, 65536)
            self.raw += data
            self.term.feed(data)
            seconds = 0

    def until(self, what, name):
        limit = time.monotonic() + TIMEOUT
        while not what():
            self.read()
            need(self.m.p.poll() is None, "ended while waiting for %s" % name)
            need(time.monotonic() < limit, "no %s; the terminal: %s\n%s" %
                 (name, self.m.codes()[-20:].hex(), self.term.text()))

    def types(self, data, codes):
        before = len(self.m.codes())
        os.write(self.master, data)
        self.until(lambda: self.m.codes()[before:] == bytes(codes) or
                   len(self.m.codes()) - before > len(codes), "scan codes %s" % bytes(codes).hex())
        need(self.m.codes()[before:] == bytes(codes), "%r: %s, not %s" %
             (data, self.m.codes()[before:].hex(), bytes(codes).hex()))

    def restored(self, how):
        self.read(0.2)
        need(termios.tcgetattr(self.slave) == self.before, "%s: the terminal's mode is another" % how)
        t = self.term
        need(not t.alternate and t.cursor and not t.keypad and t.attr == (7, 0, frozenset()),
             "%s: the terminal is not as before: %r" % (how, self.raw[-60:]))
        os.close(self.master)
        os.close(self.slave)


def term_text(m):
    """text, colours and cursor; a typed key arrives and shows"""
    s = Session(m)
    need(s.term.cols == 100, "")
    s.until(lambda: s.term.line(0).startswith("0123456789abcdef "), "banner")
    need(s.term.alternate, "the terminal's other screen is not used")
    for k in range(16):
        fg, bg = 15 - k, k & 7
        want = ANSI[fg & 7] + (fg & 8), ANSI[bg]
        need(s.term.cells[0][k][1][:2] == want, "cell %d: %s, not %s" %
             (k, s.term.cells[0][k][1], want))
    s.types(b"hello 42", press("hello 42"))
    s.until(lambda: s.term.line(1).startswith("hello 42"), "typed text")
    need(s.term.cells[1][0][1][:2] == (11, 4), "colours of what was typed")
    need(not s.term.cursor, "the guest shows no cursor")
    s.m.ends(SIGNAL, signal.SIGTERM)
    s.restored("SIGTERM")


def term_keys(m):
    """every kind of key a terminal can send; Ctrl-A's commands"""
    s = Session(m)
    e0 = lambda k: [0xe0, k, 0xe0, k | 0x80]  # noqa: E731
    shift = lambda codes: [0x2a, *codes, 0xaa]  # noqa: E731
    ctrl = lambda codes: [0x1d, *codes, 0x9d]  # noqa: E731
    alt = lambda codes: [0x38, *codes, 0xb8]  # noqa: E731
    both = lambda k: [k, k | 0x80]  # noqa: E731
    for typed, codes in (
            (b"A", shift(both(0x1e))), (b"?", shift(both(0x35))), (b"\r", both(0x1c)),
            (b"\t", both(0x0f)), (b"\x7f", both(0x0e)), (b"\x03", ctrl(both(0x2e))),
            (b"\x1a", ctrl(both(0x2c))), (b"\x1c", ctrl(both(0x2b))), (b"\x1bx", alt(both(0x2d))),
            (b"\x1b", both(0x01)), (b"\x1bOA", e0(0x48)), (b"\x1bOB", e0(0x50)),
            (b"\x1bOC", e0(0x4d)), (b"\x1bOD", e0(0x4b)), (b"\x1bOH", e0(0x47)),
            (b"\x1bOF", e0(0x4f)), (b"\x1b[5~", e0(0x49)), (b"\x1b[6~", e0(0x51)),
            (b"\x1b[2~", e0(0x52)), (b"\x1b[3~", e0(0x53)), (b"\x1bOP", both(0x3b)),
            (b"\x1b[15~", both(0x3f)), (b"\x1b[21~", both(0x44)), (b"\x1b[24~", both(0x58)),
            (b"\x1b[1;2P", shift(both(0x3b))), (b"\x1b[1;5P", ctrl(both(0x3b))),
            (b"\x1b[Z", shift(both(0x0f))), (b"\x1b[1;2A", shift(e0(0x48))),
            (b"\x1b[1;5D", ctrl(e0(0x4b))), (b"\x1b[1;3C", alt(e0(0x4d))),
            (b"\x01a", ctrl(both(0x1e))), (b"\x01e", both(0x01)), (b"\x01f3", both(0x3d)),
            (b"\x01f0", both(0x44)), (b"\x01d", ctrl(alt(e0(0x53)))), (b"\x01q", []),
            (b"b", both(0x30))):
        s.types(typed, codes)
        time.sleep(0.05)  # an escape sequence ends with silence
    long = b"the quick brown fox jumps over the lazy dog, twice; " * 4
    s.types(long, press(long.decode()))
    os.write(s.master, b"\x01h")
    s.until(lambda: "Ctrl-Alt-Del" in s.term.text(), "list of keys")
    os.write(s.master, b"z")
    s.until(lambda: "Ctrl-Alt-Del" not in s.term.text(), "end of the list")
    os.write(s.master, b"\x01x")
    m.ends(0)
    s.restored("Ctrl-A x")


def term_graphics(m):
    """a graphics mode is said in one line"""
    s = Session(m)
    s.types(b"\x1bOP", [0x3b, 0xbb])
    s.until(lambda: s.term.line(0).startswith("graphics mode 800x600"), "note")
    need(not s.term.text().strip().count("\n"), "more than a line")
    m.ends(SIGNAL, signal.SIGTERM)
    s.restored("SIGTERM")


def term_resize(m):
    """a terminal that is too small, and one that grows"""
    s = Session(m, cols=8, rows=3)
    s.until(lambda: s.term.line(0) == "01234567", "part of the banner")
    s.resize(120, 40)
    m.p.send_signal(signal.SIGWINCH)
    s.until(lambda: s.term.line(0).startswith("0123456789abcdef "), "banner")
    s.types(b"w", press("w"))
    s.until(lambda: s.term.line(1).startswith("w"), "typed text")
    m.ends(SIGNAL, signal.SIGTERM)
    s.restored("SIGTERM")


def term_ends(m):
    """the terminal is as before after every way out; messages of meanwhile come then"""
    for sig in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGABRT, signal.SIGSEGV):
        s = Session(m)
        s.until(lambda: s.term.line(0).startswith("01234"), "banner")
        m.p.send_signal(sig)
        status = m.p.wait(TIMEOUT)
        fatal = sig in (signal.SIGQUIT, signal.SIGABRT, signal.SIGSEGV)
        sanitized = b"Sanitizer" in m.p.stderr.read()  # its handlers, not ours
        need(status == (-sig if fatal else SIGNAL) or sanitized, "status %d after %s" % (status, sig))
        m.p.stderr.close()
        if not sanitized:
            s.restored(sig.name)
    os.mkdir(m.path("gone"))
    s = Session(m, "-screenshot", "gone/a.png", tty_errors=True)
    s.until(lambda: s.term.line(0).startswith("01234"), "banner")
    os.rmdir(m.path("gone"))
    m.p.send_signal(signal.SIGUSR2)
    s.types(b"k", press("k"))
    s.until(lambda: s.term.line(1).startswith("k"), "typed text")
    need("error" not in s.term.text(), "a message on the guest's screen")
    m.p.send_signal(signal.SIGTERM)
    need(m.p.wait(TIMEOUT) == SIGNAL, "status")
    s.read(0.2)
    need(b"gone" in s.raw[s.raw.index(b"\x1b[?1049l"):], "the message is lost: %r" % s.raw[-200:])
    s.restored("SIGTERM")


def term_stopped(m):
    """SIGTSTP gives the terminal back, SIGCONT draws it anew"""
    s = Session(m)
    s.until(lambda: s.term.line(0).startswith("01234"), "banner")
    m.p.send_signal(signal.SIGTSTP)
    s.until(lambda: not s.term.alternate and termios.tcgetattr(s.slave) == s.before,
            "the terminal as before")
    m.p.send_signal(signal.SIGCONT)
    s.until(lambda: s.term.alternate and s.term.line(0).startswith("01234"), "banner again")
    s.types(b"c", press("c"))
    m.ends(SIGNAL, signal.SIGTERM)
    s.restored("SIGTERM")


def term_other_terminals(m):
    """eight colours; no UTF-8; a terminal that nobody knows, or none"""
    m.env["TERM"] = "xterm"
    s = Session(m)
    s.until(lambda: s.term.line(0).startswith("01234"), "banner")
    need(s.term.cells[0][0][1] == (7, 0, frozenset({"bold"})), "white: %s" % (s.term.cells[0][0],))
    m.ends(SIGNAL, signal.SIGTERM)
    s.restored("xterm")
    m.env["TERM"] = "no-such-terminal"
    m.refuses(["-display", "term"], 2, "standard input and output")
    try:
        Session(m)
        raise Failure("an unknown terminal is taken")
    except Failure as e:
        need("is not known here" in str(e), str(e))
    m.refuses(["-display", "term,x=1"], 2, "takes no keys")
    m.refuses(["-display", "term", "-nographic"], 2, "-nographic")


def term_firmware(m):
    """SeaBIOS comes up on the old processors, and finds nothing to boot"""
    m.guest = []
    for model in ("386", "486", "pentium"):
        s = Session(m, "-m", "16", "-cpu", model)
        s.until(lambda: "No bootable device" in s.term.text(), "firmware's screen on a " + model)
        m.ends(SIGNAL, signal.SIGTERM)
        s.restored(model)


CASES = [term_text, term_keys, term_graphics, term_resize, term_ends, term_stopped,
         term_other_terminals, term_firmware]
