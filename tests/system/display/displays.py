#!/usr/bin/env python3
"""displays - screenshots and the displays that need no window, used as people and programs do.

  displays.py --program build/frontends/trivisor [NAME...]

The guest is the desktop tests' ROM (../desktop/desktop.py): it prints the keys it gets and sends
every byte of keyboard and mouse to its serial port behind a K or M; F1 makes it draw a picture of
800x600. Last line: N passed, N failed, N skipped.
"""
import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../desktop"), os.path.join(HERE, "../cli"), HERE]
import desktop  # noqa: E402
import rfb  # noqa: E402
import screen  # noqa: E402
import terms  # noqa: E402
import vncs  # noqa: E402
from desktop import Failure, Skip, need, press  # noqa: E402,F401
from guest_files import rom  # noqa: E402

USAGE, HOST, SIGNAL = 2, 4, 10


def read_ppm(path):
    with open(path, "rb") as f:
        kind, size, most, body = f.read().split(b"\n", 3)
    w, h = map(int, size.split())
    need(kind == b"P6" and most == b"255" and len(body) == w * h * 3, "no P6 file")
    return w, h, [body[y * w * 3:(y + 1) * w * 3] for y in range(h)]


class Machine:
    """A folder with the ROM, and one machine at a time."""

    def __init__(self, program):
        self.program, self.dir, self.p = program, tempfile.mkdtemp(prefix="trivisor-display-"), None
        self.guest = ["-rom", "guest.rom", "-vgabios", "none"]
        image, self.cells = desktop.guest()
        with open(self.path("guest.rom"), "wb") as f:
            f.write(image)
        self.env = dict(os.environ, LC_ALL="C.UTF-8", TERM="xterm-256color")
        for name in ("DISPLAY", "WAYLAND_DISPLAY", "ESCDELAY"):
            self.env.pop(name, None)

    def path(self, name):
        return os.path.join(self.dir, name)

    def args(self, *options):
        return [self.program, "run", *self.guest, "-serial", "file:serial", *options]

    def start(self, *options, **kw):
        open(self.path("serial"), "w").close()
        kw.setdefault("stdin", subprocess.DEVNULL)
        kw.setdefault("stderr", subprocess.PIPE)
        self.p = subprocess.Popen(self.args(*options), cwd=self.dir, env=self.env, **kw)
        if self.guest:
            self.until(lambda: b"M\xfa" in self.serial(), "the guest's start")

    def serial(self):
        with open(self.path("serial"), "rb") as f:
            return f.read()

    def codes(self):
        s = self.serial()
        return bytes(s[k + 1] for k in range(0, len(s) - 1, 2) if s[k:k + 1] == b"K")

    def packets(self):
        """Mouse packets so far, after the acknowledgement of its start."""
        s = self.serial()
        b = bytes(s[k + 1] for k in range(0, len(s) - 1, 2) if s[k:k + 1] == b"M")[1:]
        return [b[k:k + 3] for k in range(0, len(b) - 2, 3)]

    def until(self, what, name, timeout=60):
        limit = time.monotonic() + timeout
        while True:
            got = what()
            if got:
                return got
            if self.p.poll() is not None:
                raise Failure("ended with %d while waiting for %s: %s" %
                              (self.p.returncode, name, self.p.stderr.read().decode()[:500]))
            if time.monotonic() > limit:
                raise Failure("no %s; serial: %s" % (name, self.serial()[-40:].hex()))
            time.sleep(0.05)

    def gets(self, codes):
        codes = bytes(codes)
        self.until(lambda: codes in self.codes(), "scan codes %s" % codes.hex())

    def picture(self, typed=""):
        cells = dict(self.cells)
        cells.update({(k, 1): (c, 0x1e) for k, c in enumerate(typed)})
        return screen.text(cells)

    def ends(self, status, sig=None):
        if sig:
            self.p.send_signal(sig)
        try:
            _, e = self.p.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            raise Failure("does not end")
        need(self.p.returncode == status and b"runtime error" not in e,
             "status %d, not %d: %s" % (self.p.returncode, status, e.decode()[:600]))
        return e.decode()

    def refuses(self, options, status, says):
        r = subprocess.run(self.args(*options), cwd=self.dir, env=self.env, capture_output=True,
                           text=True, timeout=60, stdin=subprocess.DEVNULL)
        need(r.returncode == status and says in r.stderr and r.stderr.count("\n") == 1,
             "%s: status %d: %s" % (options, r.returncode, r.stderr[:400]))

    def stop(self):
        if self.p and self.p.poll() is None:
            self.p.kill()
            self.p.communicate()

    def close(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


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
    same(screen.read_png(m.path(name)), m.picture(), name)
    need(name in m.ends(SIGNAL, signal.SIGTERM), "its name is not said")


def shots_repeat(m):
    """with -icount the picture at a moment is the same in every run"""
    with open(m.path("guest.rom"), "wb") as f:  # the first cell counts for ever
        f.write(rom(open_text(m) + b"\xfe\x06\x00\x00\xeb\xfa"))
    got = []
    for _ in range(2):
        m.p = subprocess.Popen(m.args("-display", "none", "-icount", "4", "-screenshot",
                                      "a.png,after=0.05"), cwd=m.dir, env=m.env,
                               stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        m.until(lambda: os.path.exists(m.path("a.png")), "picture")
        m.ends(SIGNAL, signal.SIGTERM)
        with open(m.path("a.png"), "rb") as f:
            got.append(f.read())
        os.unlink(m.path("a.png"))
    need(got[0] == got[1], "two pictures of one moment differ")


def open_text(m):
    """Code that shows memory at B8000 as the guest's ROM would have left it, ds = b800."""
    mode, _ = desktop.text_mode()
    return mode.split(b"\xb8\x00\xa0\x8e\xc0\xfc")[0] + b"\xb8\x00\xb8\x8e\xd8"


def shot_errors(m):
    """one line for what cannot be"""
    os.mkdir(m.path("folder"))
    none = ["-display", "none", "-screenshot"]
    for option, status, says in (("", USAGE, "file's name"), ("a.png,after=x", USAGE, "seconds"),
                                 ("a.png,at=noon", USAGE, "exit"), ("a.png,aft=1", USAGE, "did you mean"),
                                 ("no/such/a.png", USAGE, "no/such/"), ("folder", USAGE, "folder")):
        m.refuses(none + [option], status, says)
    m.p = subprocess.Popen(m.args(*none, "folder/a.png"), cwd=m.dir, env=m.env,
                           stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    m.until(lambda: os.path.exists(m.path("serial")) and b"M\xfa" in m.serial(), "start")
    os.rmdir(m.path("folder"))
    need("folder" in m.ends(SIGNAL, signal.SIGTERM), "a picture that cannot be written is not said")


CASES = [shots, shots_signalled, shots_repeat, shot_errors, *terms.CASES, *vncs.CASES]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--program", required=True)
    p.add_argument("names", nargs="*")
    a = p.parse_args()
    program = os.path.abspath(a.program)
    passed = failed = skipped = 0
    for case in CASES:
        if a.names and case.__name__ not in a.names:
            continue
        m = Machine(program)
        try:
            case(m)
            passed += 1
            print("ok   %s: %s" % (case.__name__, case.__doc__), flush=True)
        except Skip as e:
            skipped += 1
            print("skip %s: %s" % (case.__name__, e), flush=True)
        except (Failure, OSError, EOFError, ValueError, AssertionError, rfb.Refused, subprocess.TimeoutExpired) as e:
            failed += 1
            print("FAIL %s: %s\n     %s" % (case.__name__, case.__doc__, e), flush=True)
        finally:
            m.close()
    print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
    return 1 if failed else 77 if not passed else 0


if __name__ == "__main__":
    sys.exit(main())
