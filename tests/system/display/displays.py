#!/usr/bin/env python3
"""displays - screenshots and the displays that need no window, used as people and programs do.

  displays.py --program build/frontends/trivisor [NAME...]

The guest is the window's (../desktop/machine.py). Last line: N passed, N failed, N skipped.
"""
import os
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../desktop"), os.path.join(HERE, "../cli"), HERE]
import machine  # noqa: E402
import rfb  # noqa: E402
import screen  # noqa: E402
import terms  # noqa: E402
import vncs  # noqa: E402
from guest_files import rom  # noqa: E402
from machine import SIGNAL, TIMEOUT, need  # noqa: E402

USAGE = 2


def read_ppm(path):
    with open(path, "rb") as f:
        kind, size, most, body = f.read().split(b"\n", 3)
    w, h = map(int, size.split())
    need(kind == b"P6" and most == b"255" and len(body) == w * h * 3, "no P6 file")
    return w, h, [body[y * w * 3:(y + 1) * w * 3] for y in range(h)]


class Machine(machine.Machine):
    """A machine without a window."""

    def __init__(self, program):
        super().__init__(program, "display")
        self.guest = ["-rom", "guest.rom", "-vgabios", "none"]
        self.env = dict(os.environ, LC_ALL="C.UTF-8", TERM="xterm-256color")
        for name in ("DISPLAY", "WAYLAND_DISPLAY", "ESCDELAY"):
            self.env.pop(name, None)

    def args(self, *options):
        return [self.program, "run", *self.guest, "-serial", "file:serial", *options]

    def boot(self, *options, **kw):
        self.fresh()
        kw.setdefault("stdin", subprocess.DEVNULL)
        kw.setdefault("stderr", subprocess.PIPE)
        self.p = subprocess.Popen(self.args(*options), cwd=self.dir, env=self.env, **kw)

    def start(self, *options, **kw):
        self.boot(*options, **kw)
        if self.guest:
            self.starts()

    def refuses(self, options, status, says):
        r = subprocess.run(self.args(*options), cwd=self.dir, env=self.env, capture_output=True,
                           text=True, timeout=TIMEOUT, stdin=subprocess.DEVNULL)
        need(r.returncode == status and says in r.stderr and r.stderr.count("\n") == 1,
             "%s: status %d: %s" % (options, r.returncode, r.stderr[:400]))


def same(a, b, what):
    bad = screen.difference(a, b)
    need(not bad, "%s: %s" % (what, bad))


# ---- screenshots ------------------------------------------------------------------------------

def shots(m):
    """-screenshot at the end as PNG and .ppm, at a time of the guest's, and over the old file"""
    with open(m.path("end.png"), "w") as f:
        f.write("old")
    m.start("-display", "none", "-screenshot", "end.png", "-screenshot", "end.ppm,at=exit",
            "-screenshot", "early.png,after=0.001")
    m.until(lambda: os.path.exists(m.path("early.png")), "early picture")
    need(open(m.path("end.png")).read() == "old", "a picture before the end")
    m.ends(SIGNAL, signal.SIGTERM)
    same(screen.read_png(m.path("end.png")), m.picture(), "end.png")
    same(read_ppm(m.path("end.ppm")), m.picture(), "end.ppm")
    need(sorted(os.listdir(m.dir)) == ["early.png", "end.png", "end.ppm", "guest.rom", "serial"],
         "files left over: %s" % os.listdir(m.dir))


def shots_signalled(m):
    """SIGUSR2: into the named file, again and again; without one into a new file"""
    m.start("-display", "none", "-screenshot", "a.png")
    for _ in range(3):
        m.p.send_signal(signal.SIGUSR2)
        m.until(lambda: os.path.exists(m.path("a.png")), "picture")
        same(screen.read_png(m.path("a.png")), m.picture(), "a.png")
        os.unlink(m.path("a.png"))
    m.ends(SIGNAL, signal.SIGTERM)
    os.unlink(m.path("a.png"))
    m.start("-nographic", "-serial", "null")
    m.p.send_signal(signal.SIGUSR2)
    name = m.until(lambda: [n for n in os.listdir(m.dir) if n.endswith(".png")], "picture")[0]
    need(name.startswith("trivisor-2"), name)
    m.until(lambda: screen.whole_png(m.path(name)), "whole picture")  # its name comes before
    same(screen.read_png(m.path(name)), m.picture(), name)
    need(name in m.ends(SIGNAL, signal.SIGTERM), "its name is not said")


def shots_repeat(m):
    """with -icount the picture at a moment is the same in every run"""
    with open(m.path("guest.rom"), "wb") as f:  # the first cell counts for ever
        f.write(rom(open_text(m) + b"\xfe\x06\x00\x00\xeb\xfa"))
    got = []
    for _ in range(2):
        m.boot("-display", "none", "-icount", "4", "-screenshot", "a.png,after=0.05")
        m.until(lambda: os.path.exists(m.path("a.png")), "picture")
        m.ends(SIGNAL, signal.SIGTERM)
        with open(m.path("a.png"), "rb") as f:
            got.append(f.read())
        os.unlink(m.path("a.png"))
    need(got[0] == got[1], "two pictures of one moment differ")


def open_text(m):
    """Code that shows memory at B8000 as the guest's ROM would have left it, ds = b800."""
    mode, _ = machine.text_mode()
    return mode.split(b"\xb8\x00\xa0\x8e\xc0\xfc")[0] + b"\xb8\x00\xb8\x8e\xd8"


def shot_errors(m):
    """one line for what cannot be"""
    os.mkdir(m.path("folder"))
    none = ["-display", "none", "-screenshot"]
    for option, status, says in (("", USAGE, "file's name"), ("a.png,after=x", USAGE, "seconds"),
                                 ("a.png,at=noon", USAGE, "exit"), ("a.png,aft=1", USAGE, "did you mean"),
                                 ("no/such/a.png", USAGE, "no/such/"), ("folder", USAGE, "folder")):
        m.refuses(none + [option], status, says)
    m.start(*none, "folder/a.png")
    os.rmdir(m.path("folder"))
    need("folder" in m.ends(SIGNAL, signal.SIGTERM), "a picture that cannot be written is not said")


CASES = [shots, shots_signalled, shots_repeat, shot_errors, *terms.CASES, *vncs.CASES]


def main():
    # the children of nohup, or of a shell's background, would ignore them, rightly
    for sig in (signal.SIGHUP, signal.SIGQUIT):
        signal.signal(sig, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    a = machine.arguments()
    return machine.run_cases(CASES, a.names, lambda: Machine(a.program),
                             errors=(EOFError, rfb.Refused))


if __name__ == "__main__":
    sys.exit(main())
