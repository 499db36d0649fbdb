#!/usr/bin/env python3
"""desktop - the window, used as a person does: real keys and mouse through a virtual X server.

  desktop.py --program build/frontends/trivisor [--rom build/roms/modes/modes.rom] [NAME...]

The guest is a ROM of a few bytes: it prints the keys it gets, and sends every byte of keyboard and
mouse to its serial port behind a K or M. F1 makes it draw a picture of 800x600. Pictures are
compared pixel by pixel, in the saved PNG file and in the X server's own memory. Needs Xvfb and
xdotool. Last line: N passed, N failed, N skipped.
"""
import argparse
import ctypes
import glob
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

import modes
import screen
from drop import drop_file, no_repeat

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../cli"))
from guest_files import LINE_8N1, out, rom  # noqa: E402

RESET, SIGNAL = 6, 10
TYPED = {0x02 + k: c for k, c in enumerate("1234567890-=")}
TYPED.update({0x10 + k: c for k, c in enumerate("qwertyuiop[]")})
TYPED.update({0x1e + k: c for k, c in enumerate("asdfghjkl;'")})
TYPED.update({0x2c + k: c for k, c in enumerate("zxcvbnm,./")})
TYPED[0x39] = " "
MAKE = {c: k for k, c in TYPED.items()}


class Failure(Exception):
    pass


class Skip(Exception):
    pass


def need(condition, what):
    if not condition:
        raise Failure(what)


def vbe(index, value):
    return (b"\xba\xce\x01\xb8" + struct.pack("<H", index) + b"\xef" +      # mov dx; mov ax; out
            b"\xba\xcf\x01\xb8" + struct.pack("<H", value) + b"\xef")


def text_mode():
    """80x25 text as firmware sets it, out of nothing: code, and tables that it finds at F000:E000."""
    crtc = bytes.fromhex("5f4f508255 81bf1f004f2d0e00000000 9c8e8f281f96b9a3ff")  # cursor off
    code = out(0x3c2, 0x67)

    def pairs(port, values):
        return b"".join(b"\xba" + struct.pack("<H", port) + b"\xb8" + bytes([k, v]) + b"\xef"
                        for k, v in values)
    code += pairs(0x3c4, enumerate(b"\x03\x00\x04\x00\x06"))
    code += pairs(0x3ce, enumerate(b"\0\0\0\0\0\x00\x04\x0f\xff"))
    code += pairs(0x3d4, [(0x11, 0)]) + pairs(0x3d4, enumerate(crtc))
    code += (b"\xb8\x00\xa0\x8e\xc0\xfc\x31\xff\xbe\x00\xe0\xbb\x00\x01"  # font: es:di, cs:si
             b"\xb9\x10\x00\x2e\xf3\xa4\x83\xc7\x10\x4b\x75\xf4")        # 16 rows of 32
    code += pairs(0x3c4, [(2, 3), (4, 2)]) + pairs(0x3ce, [(5, 0x10), (6, 0x0e)])
    code += b"\xba\xda\x03\xec\xba\xc0\x03"                              # flip-flop; dx = 3c0
    palette = bytes(screen.EGA) + b"\x0c\x00\x0f\x08\x00"
    code += b"".join(bytes([0xb0, k, 0xee, 0xb0, v, 0xee]) for k, v in enumerate(palette))
    code += b"\xb0\x20\xee" + out(0x3c6, 0xff) + out(0x3c8, 0)
    code += b"\xbe\x00\xf0\xb9\xc0\x00\xba\xc9\x03\x2e\xf3\x6e"            # 64 colours
    code += b"\xb8\x00\xb8\x8e\xc0\x31\xff\xb9\x00\x20\xb8\x20\x07\xf3\xab" # blanks
    dac = b"".join(bytes((k >> (2 - c) & 1) * 42 + (k >> (5 - c) & 1) * 21 for c in range(3))
                   for k in range(64))
    return code, b"".join(bytes(g) for g in screen.glyphs()) + dac


def guest():
    """The ROM; and what it shows at first."""
    banner = "0123456789abcdef"
    cells = {(k, 0): (c, k << 4 & 0x70 | 15 - k) for k, c in enumerate(banner)}
    mode, tables = text_mode()
    start = (LINE_8N1 + mode + b"\x31\xff"                                  # di = 0
             + b"".join(b"\xb8" + bytes([ord(c), a]) + b"\xab" for (c, a) in cells.values())
             + b"\xbf\xa0\x00" + out(0x64, 0xa8) + out(0x64, 0xd4) + out(0x60, 0xf4))
    picture = (vbe(4, 0) + vbe(1, 800) + vbe(2, 600) + vbe(3, 32) + vbe(4, 1) + vbe(5, 0) +
               b"\xba\xce\x03\xb8\x06\x05\xef"                              # window at a0000
               b"\xb8\x00\xa0\x8e\xc0\x31\xff\xb9\x00\x80"                  # es = a000, cx = 8000
               b"\x89\xf8\xab\xe2\xfb")                                     # ax = di; stosw; loop
    names = bytes(ord(TYPED[k]) if k in TYPED else 0 for k in range(128))
    loop = (b"\xe4\x64\xa8\x01\x74\xfa"                                    # 0: wait for a byte
            b"\xb4\x4b\xa8\x20\x74\x02\xb4\x4d"                            # 6: K or M
            b"\xba\xf8\x03\x88\xe0\xee\xe4\x60\xee"                        # e: send both
            b"\x80\xfc\x4b\x75\xe4"                                         # 17: not K: next
            b"\x3c\x80\x73\xe0"                                              # 1c: comes up: next
            b"\x3c\x3b\x74\x0e"                                              # 20: F1
            b"\xbb\x00\xf8\x2e\xd7"                                         # 24: cs:[f800 + al]
            b"\x08\xc0\x74\xd3"                                              # 29: none: next
            b"\xb4\x1e\xab\xeb\xce")                                        # 2d: print it
    assert len(loop) == 0x32
    loop += picture
    code = start + loop + b"\xe9" + struct.pack("<h", -len(loop) - 3)
    assert len(code) < 0xe000 and len(tables) < 0x1800
    return rom(code.ljust(0xe000, b"\x90") + tables.ljust(0x1800, b"\0") + names), cells


def drawn_picture():
    data = b"".join(struct.pack("<H", k * 2) for k in range(0x8000)) + bytes(800 * 600 * 4 - 65536)
    rows = []
    for y in range(600):
        line, row = data[y * 3200:(y + 1) * 3200], bytearray(2400)
        for c in range(3):
            row[c::3] = line[2 - c::4]
        rows.append(bytes(row))
    return 800, 600, rows


class Desk:
    """A virtual X server and one machine in it."""

    def __init__(self, program):
        self.program, self.dir = program, tempfile.mkdtemp(prefix="trivisor-desktop-")
        image, self.cells = guest()
        with open(self.path("guest.rom"), "wb") as f:
            f.write(image)
        r, w = os.pipe()
        self.x = subprocess.Popen(["Xvfb", "-displayfd", str(w), "-screen", "0", "1600x900x24",
                                   "-fbdir", self.dir, "-nolisten", "tcp", "-noreset"], pass_fds=[w],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(w)
        with os.fdopen(r) as f:
            number = f.readline().strip()
        if not number:
            raise Skip("Xvfb does not start")
        self.env = dict(os.environ, DISPLAY=":" + number, SDL_VIDEODRIVER="x11",
                        SDL_RENDER_DRIVER="software", LC_ALL="C.UTF-8")
        self.env.pop("WAYLAND_DISPLAY", None)
        no_repeat(self.env["DISPLAY"])
        # What X libraries keep for the process's life is no leak of ours.
        self.env["LSAN_OPTIONS"] = "detect_leaks=0"
        self.p, self.others = None, []

    def path(self, name):
        return os.path.join(self.dir, name)

    def start(self, *options, display="sdl,scale=integer", rom="guest.rom", ready=b"M\xfa"):
        for f in glob.glob(self.path("*.png")):
            os.unlink(f)
        self.boot("-rom", rom, "-vgabios", "none", *options, display=display)
        self.until(lambda: ready in self.serial(), "the guest's start")

    def boot(self, *options, display="sdl,scale=integer"):
        self.p = subprocess.Popen([self.program, "run", "-display", display, "-serial",
                                   "file:serial", *options],
                                  cwd=self.dir, env=self.env, stdin=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE)
        self.window = self.until(lambda: self.xdo("search", "--name", "^Trivisor - run"), "window")
        self.xdo("windowmove", self.window, "0", "0")
        self.xdo("windowfocus", "--sync", self.window)

    def xdo(self, *args):
        r = subprocess.run(["xdotool", *args], env=self.env, capture_output=True, text=True,
                           timeout=30)
        return r.stdout.strip()

    def keys(self, *chords):
        self.xdo("key", "--delay", "30", *chords)

    def title(self):
        return self.xdo("getwindowname", self.window)

    def serial(self):
        with open(self.path("serial"), "rb") as f:
            return f.read()

    def until(self, what, name, timeout=20):
        limit = time.monotonic() + timeout
        while True:
            got = what()
            if got:
                return got
            if self.p.poll() is not None:
                raise Failure("ended with %d while waiting for %s: %s" %
                              (self.p.returncode, name, self.p.stderr.read().decode()[:500]))
            if time.monotonic() > limit:
                raise Failure("no %s; title: %s; serial: %s" % (name, self.title(),
                                                                self.serial()[-40:].hex()))
            time.sleep(0.05)

    def codes(self):
        """Keyboard bytes so far."""
        s = self.serial()
        return bytes(s[k + 1] for k in range(0, len(s) - 1, 2) if s[k:k + 1] == b"K")

    def packets(self):
        """Mouse packets so far, after the acknowledgement of its start."""
        s = self.serial()
        b = bytes(s[k + 1] for k in range(0, len(s) - 1, 2) if s[k:k + 1] == b"M")[1:]
        return [b[k:k + 3] for k in range(0, len(b) - 2, 3)]

    def gets(self, codes):
        codes = bytes(codes)
        self.until(lambda: codes in self.codes(), "scan codes %s" % codes.hex())

    def shows(self, typed):
        cells = dict(self.cells)
        cells.update({(k, 1): (c, 0x1e) for k, c in enumerate(typed)})
        return screen.text(cells)

    def shot(self):
        before = set(glob.glob(self.path("*.png")))
        self.keys("ctrl+alt+s")
        new = self.until(lambda: set(glob.glob(self.path("*.png"))) - before, "screenshot").pop()
        self.until(lambda: "saved" in self.title(), "note in the title")
        self.until(lambda: screen.whole_png(new), "whole PNG file")
        return screen.read_png(new)

    def geometry(self):
        text = self.xdo("getwindowgeometry", "--shell", self.window)
        return [int(re.search(r"^%s=(-?\d+)" % k, text, re.M).group(1))
                for k in ("X", "Y", "WIDTH", "HEIGHT")]

    def in_window(self, want):
        """The window's middle shows a picture."""
        def look():
            x, y, w, h = self.geometry()
            x, y = x + (w - want[0]) // 2, y + (h - want[1]) // 2
            if min(x, y) < 0 or x + want[0] > 1600 or y + want[1] > 900:
                return False
            self.last = screen.difference(screen.read_root(self.path("Xvfb_screen0"), x, y,
                                                           *want[:2]), want)
            return self.last is None
        self.last = "outside the screen"
        self.xdo("mousemove", "1599", "899")  # the server draws its pointer into its memory
        try:
            self.until(look, "picture in the window", 10)
        except Failure as e:
            raise Failure("%s: %s, window %s" % (e, self.last, self.geometry()))

    def holds(self, name):
        """Whether the program has a file open."""
        fds = "/proc/%d/fd" % self.p.pid
        return any(os.path.realpath(os.path.join(fds, k)) == os.path.realpath(self.path(name))
                   for k in os.listdir(fds))

    def same(self, want):
        """Whether the window's top left shows a picture now."""
        x, y, _, _ = self.geometry()
        return screen.difference(screen.read_root(self.path("Xvfb_screen0"), x, y, *want[:2]),
                                 want) is None

    def close_button(self):
        """What a window manager sends."""
        x = ctypes.CDLL("libX11.so.6")
        x.XOpenDisplay.restype = x.XInternAtom.restype = ctypes.c_ulong
        d = ctypes.c_void_p(x.XOpenDisplay(self.env["DISPLAY"].encode()))
        atoms = [x.XInternAtom(d, n, 0) for n in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW")]
        event = struct.pack("<iiQiiQQQiiQQQQQ", 33, 0, 0, 1, 0, 0, int(self.window), atoms[0], 32, 0,
                            atoms[1], 0, 0, 0, 0).ljust(192, b"\0")
        x.XSendEvent(d, ctypes.c_ulong(int(self.window)), 0, ctypes.c_long(0), event)
        x.XCloseDisplay(d)

    def ends(self, status):
        try:
            _, e = self.p.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            raise Failure("does not end")
        need(self.p.returncode == status and b"runtime error" not in e,
             "status %d, not %d: %s" % (self.p.returncode, status, e.decode()[:600]))

    def stop(self):
        if self.p and self.p.poll() is None:
            self.p.kill()
            self.p.communicate()

    def close(self):
        self.stop()
        for p in [*self.others, self.x]:
            p.terminate()
            p.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def press(word):
    return [code for c in word for code in (MAKE[c], MAKE[c] | 0x80)]


# ---- cases ------------------------------------------------------------------------------------

def keys_and_text(d):
    """typed keys reach the guest as scan codes; its text is right in the file and in the window"""
    d.start()
    d.keys(*"hello", "space", *"2026")
    d.gets(press("hello 2026"))
    want = d.shows("hello 2026")
    bad = screen.difference(d.shot(), want)
    need(not bad, "PNG file: %s" % bad)
    d.in_window(want)
    d.keys("shift+Up")
    d.gets([0x2a, 0xe0, 0x48])
    d.until(lambda: {0xaa, 0xc8} <= set(d.codes()[-3:]), "both keys come up")


def graphics(d):
    """800x600 in 32 bits; the window takes its size"""
    d.start()
    d.keys("F1")
    d.until(lambda: d.geometry()[2:] == [800, 600], "window of 800x600")
    d.in_window(drawn_picture())
    bad = screen.difference(d.shot(), drawn_picture())
    need(not bad, "PNG file: %s" % bad)


def resizing(d):
    """a larger window: whole pixels; smooth keeps the monitor's proportions"""
    d.start()
    d.xdo("windowmove", d.window, "0", "0")
    d.xdo("windowsize", d.window, "1500", "850")
    d.in_window(screen.times(d.shows(""), 2))
    d.keys("ctrl+alt+l", "ctrl+alt+l")  # smooth, sharp: 850 lines of 4:3 are 1133 wide
    d.until(lambda: "scale: sharp" in d.title(), "scale")
    x, y, w, h = d.geometry()

    def edges():
        _, _, rows = screen.read_root(d.path("Xvfb_screen0"), x, y, w, h)
        lit = [k for k in range(w) if any(r[k * 3:k * 3 + 3] != b"\0\0\0" for r in rows[:40])]
        return lit and abs(lit[0] - 183) <= 4  # the first cell's letters begin at the left edge
    d.until(edges, "left edge at (1500 - 1133) / 2")
    d.xdo("windowsize", d.window, "50", "30")
    d.keys("a")
    d.gets(press("a"))


def fullscreen(d):
    """Ctrl-Alt-F and back, under a window manager"""
    if not shutil.which("openbox"):
        raise Skip("openbox is not installed")
    manager = subprocess.Popen(["openbox", "--sm-disable"], env=d.env, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    d.others.append(manager)
    time.sleep(1)
    d.start()
    before = [720, 400]
    d.until(lambda: d.geometry()[2:] == before, "window of 720x400")
    d.keys("ctrl+alt+f")
    d.until(lambda: d.geometry()[2:] == [1600, 900], "full screen")
    d.in_window(screen.times(d.shows(""), 2))
    d.xdo("windowfocus", d.window)
    d.keys("ctrl+alt+f")
    d.until(lambda: d.geometry()[2:] == before, "window of its old size")


def engines(d):
    """Ctrl-Alt-E: another engine, the guest goes on"""
    d.start()
    first = re.search(r"running, (\w+)", d.title()).group(1)
    for n in range(4):
        d.keys("ctrl+alt+e")
        if first != "interp":
            want = "interp" if n % 2 == 0 else first
            d.until(lambda: "running, " + want in d.title(), "engine %s" % want)
        d.keys("x", "y")
        d.until(lambda: d.codes().count(bytes(press("xy"))) == n + 1, "keys of round %d" % n)
    bad = screen.difference(d.shot(), d.shows("xyxyxyxy"))
    need(not bad, bad)


def pausing(d):
    """Ctrl-Alt-P: no key arrives, screenshots do; then it goes on; twice at once changes nothing"""
    d.start()
    d.keys("ctrl+alt+p")
    d.until(lambda: "paused" in d.title(), "pause")
    before = d.codes()
    d.keys("a", "b")
    bad = screen.difference(d.shot(), d.shows(""))
    need(not bad, bad)
    need(bytes(press("a")) not in d.codes()[len(before):], "a key arrived")
    d.keys("ctrl+alt+p", "c")
    d.gets(press("c"))
    for _ in range(5):
        d.keys("ctrl+alt+p", "ctrl+alt+p")
    d.keys("d")
    d.gets(press("d"))
    d.keys("ctrl+alt+p")
    d.until(lambda: "paused" in d.title(), "pause")
    d.p.send_signal(signal.SIGTERM)
    d.ends(SIGNAL)


def pasting(d):
    """Ctrl-Alt-V types the clipboard; what has no key is left out and said"""
    if not shutil.which("xclip"):
        raise Skip("xclip is not installed")
    d.start()
    owner = subprocess.Popen(["xclip", "-selection", "clipboard", "-quiet"], env=d.env,
                             stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    try:
        owner.stdin.write("Hi, é!\n".encode())
        owner.stdin.close()
        time.sleep(0.5)
        d.keys("ctrl+alt+v")
        d.gets([0x2a, 0x23, 0xa3, 0xaa] + press("i, ") + [0x2a, 0x02, 0x82, 0xaa, 0x1c, 0x9c])
        d.until(lambda: "1 characters left out" in d.title(), "note")
    finally:
        owner.kill()
        owner.wait()


def mouse(d):
    """a click captures, the guest gets motion, buttons and no more after Ctrl-Alt-G"""
    d.start()
    x, y, w, h = d.geometry()
    d.xdo("mousemove", str(x + w // 2), str(y + h // 2))
    time.sleep(0.3)
    need(not d.packets(), "moves before the click: %s" % d.packets())
    d.xdo("click", "1")
    d.until(lambda: "Ctrl-Alt-G" in d.title(), "capture")
    time.sleep(0.3)
    n = len(d.packets())
    need(all(not p[0] & 7 for p in d.packets()), "the click that captures is the guest's")

    def moved():
        return [sum(p[k] - (256 if p[0] & s else 0) for p in d.packets()[n:])
                for k, s in ((1, 0x10), (2, 0x20))]
    for _ in range(5):
        d.xdo("mousemove_relative", "7", "3")
        time.sleep(0.05)
    d.until(lambda: moved() == [35, -15], "motion of 35 and -15")
    d.xdo("click", "3")
    d.until(lambda: [p[0] & 7 for p in d.packets()[-2:]] == [2, 0], "right button")
    d.keys("ctrl+alt+g")
    d.until(lambda: "Ctrl-Alt-G" not in d.title(), "release")
    n = len(d.packets())
    d.xdo("mousemove_relative", "20", "20")
    time.sleep(0.3)
    need(len(d.packets()) == n, "moves after the release")


def closing(d):
    """the first close warns, the second ends with status 0"""
    d.start()
    d.close_button()
    d.until(lambda: "STILL RUNS" in d.title(), "warning")
    time.sleep(0.5)
    need(d.p.poll() is None, "one close ends it")
    d.keys("k")
    d.gets(press("k"))
    d.close_button()
    d.ends(0)
    d.start()
    d.keys("ctrl+alt+p", "ctrl+alt+q", "ctrl+alt+q")
    d.ends(0)


def signals(d):
    """SIGTERM ends it"""
    d.start()
    d.p.send_signal(signal.SIGTERM)
    d.ends(SIGNAL)


def resetting(d):
    """Ctrl-Alt-R is the reset button"""
    d.start("-no-reboot")
    d.keys("ctrl+alt+r")
    d.ends(RESET)
    d.start()
    d.keys("a", "ctrl+alt+r")
    d.until(lambda: d.serial().count(b"M\xfa") == 2, "second start")


def usual(d):
    """in a graphical session a window is the default; -nographic and a dead session have none"""
    run = [d.program, "run", "-rom", "guest.rom", "-serial", "file:serial"]
    d.p = subprocess.Popen(run, cwd=d.dir, env=d.env, stderr=subprocess.PIPE)
    d.window = "0"
    d.until(lambda: d.xdo("search", "--name", "^Trivisor - run"), "window")
    d.p.send_signal(signal.SIGTERM)
    d.ends(SIGNAL)
    d.p = subprocess.Popen(run + ["-nographic"], cwd=d.dir, env=d.env, stderr=subprocess.PIPE)
    time.sleep(1)
    need(not d.xdo("search", "--name", "^Trivisor"), "a window with -nographic")
    d.p.send_signal(signal.SIGTERM)
    d.ends(SIGNAL)
    r = subprocess.run(run + ["-display", "sdl"], cwd=d.dir, env=dict(d.env, DISPLAY=":9999"),
                       capture_output=True, text=True, timeout=20)
    need(r.returncode == 4 and "error: -display: no window: " in r.stderr, r.stderr)


def menu(d):
    """Ctrl-Alt-M: keys are the menu's, then the guest's again; the mouse chooses too"""
    d.start()
    before = d.codes()
    d.keys("ctrl+alt+m")
    d.until(lambda: not d.same(d.shows("")), "menu on the screen")
    d.keys("x", "y", "Home", "Return")  # the first line
    d.until(lambda: "paused" in d.title(), "pause by the menu")
    d.in_window(d.shows(""))
    d.keys("ctrl+alt+m", "Home", "Return")
    d.until(lambda: "running" in d.title(), "going on by the menu")
    need(bytes([MAKE["x"]]) not in d.codes()[len(before):], "a key of the menu reached the guest")
    d.keys("ctrl+alt+m", "s", "c")  # types ahead: Screenshot
    d.keys("Return")
    d.until(lambda: glob.glob(d.path("*.png")), "screenshot by the menu")
    d.keys("ctrl+alt+m", "Escape", "h")
    d.gets(press("h"))
    d.in_window(d.shows("h"))
    d.keys("ctrl+alt+m")
    d.until(lambda: not d.same(d.shows("h")), "menu on the screen")
    x, y, w, h = d.geometry()
    d.xdo("mousemove", str(x + w // 2), str(y + h // 2))
    d.xdo("click", "3")  # closes it
    d.in_window(d.shows("h"))
    need("releases the mouse" not in d.title(), "a click of the menu captures")
    d.keys("ctrl+alt+m", "Home", "Down", "Down", "Down", "Return")
    d.until(lambda: not d.same(d.shows("h")), "the page that asks")
    d.keys("End", "Return")
    d.ends(0)


def media(d):
    """the chooser inserts a floppy and ejects it, also while the machine stands still"""
    os.mkdir(d.path("disks"))
    with open(d.path("disks/one.img"), "wb") as f:
        f.truncate(1440 << 10)
    d.start()
    page = ["ctrl+alt+m", "Home", "Down", "Down", "Down", "Down", "Return"]
    d.keys(*page)
    time.sleep(0.5)  # the machine tells its drives
    d.keys("Return", "Return", "d", "Return", "o", "Return")
    d.until(lambda: "fd0: " in d.title() and "one.img" in d.title(), "note of the new floppy")
    need(d.holds("disks/one.img"), "the image is not open")
    d.keys(*page)
    time.sleep(0.5)
    d.keys("Return", "Down", "Return")
    d.until(lambda: "fd0: empty" in d.title(), "note of the empty drive")
    need(not d.holds("disks/one.img"), "the image is still open")
    d.keys("k")
    d.gets(press("k"))
    d.keys("ctrl+alt+p")  # also while it stands still
    d.until(lambda: "paused" in d.title(), "pause")
    d.keys(*page)
    time.sleep(0.5)
    d.keys("Return", "Return", "o", "Return")
    d.until(lambda: "one.img" in d.title(), "note of the floppy, paused")


def dropping(d):
    """a disk image dragged onto the window goes into the drive it fits"""
    for name, size in (("a b.img", 1440 << 10), ("disc.iso", 4 << 20), ("small.iso", 1 << 20)):
        with open(d.path(name), "wb") as f:
            f.truncate(size)

    def drop(name):
        uri = "file://" + d.path(name).replace(" ", "%20")
        need(drop_file(d.env["DISPLAY"], int(d.window), uri), "the window does not take it")
    d.start("-drive", "if=ide,index=2,media=cdrom")
    drop("a b.img")
    d.until(lambda: "fd0: " in d.title() and "a b.img" in d.title(), "floppy")
    drop("disc.iso")
    d.until(lambda: "cd2: " in d.title() and "disc.iso" in d.title(), "CD")
    drop("small.iso")
    d.until(lambda: "cd2: " in d.title() and "small.iso" in d.title(), "small CD")
    need(d.holds("a b.img") and d.holds("small.iso") and not d.holds("disc.iso"), "open images")
    drop("absent.iso")
    d.until(lambda: "absent.iso" in d.title() and "cd2" not in d.title(), "refusal")
    d.keys("k")
    d.gets(press("k"))


def gif_pictures(path):
    """Size of a GIF and how many pictures it has."""
    with open(path, "rb") as f:
        b = f.read()
    need(b[:6] == b"GIF89a" and b[-1:] == b";", "no whole GIF: %r" % b[:6])
    w, h, flags = struct.unpack("<HHB", b[6:11])
    at, n = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0), 0

    def blocks(at):
        while b[at]:
            at += b[at] + 1
        return at + 1
    while b[at:at + 1] != b";":
        if b[at] == 0x21:
            at = blocks(at + 2)
        else:
            need(b[at] == 0x2c, "byte %02x" % b[at])
            flags, n = b[at + 9], n + 1
            at = blocks(at + 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0))
    return w, h, n


def recording(d):
    """Ctrl-Alt-C records what changes; another mode begins another file"""
    d.start()
    d.keys("ctrl+alt+c")
    d.until(lambda: "recording to" in d.title(), "note")
    for c in "abc":
        d.keys(c)
        time.sleep(0.3)
    d.keys("ctrl+alt+c")
    d.until(lambda: "saved" in d.title(), "note of the end")
    one, = glob.glob(d.path("*.gif"))
    w, h, n = gif_pictures(one)
    need((w, h) == (720, 400) and 2 <= n <= 30, "%dx%d, %d pictures" % (w, h, n))
    d.keys("ctrl+alt+c")
    d.until(lambda: "recording to" in d.title(), "note")
    d.keys("F1")
    d.until(lambda: len(glob.glob(d.path("*.gif"))) == 3, "another file")
    d.keys("ctrl+alt+q", "ctrl+alt+q")
    d.ends(0)
    sizes = sorted(gif_pictures(p)[:2] for p in glob.glob(d.path("*.gif")))
    need(sizes == [(720, 400), (720, 400), (800, 600)], str(sizes))


def live(d):
    """Ctrl-Alt-I: figures over the picture, and away again"""
    d.start()
    d.keys("ctrl+alt+i")
    d.until(lambda: not d.same(d.shows("")), "panel on the screen")
    x, y, w, h = d.geometry()

    def panel():
        return screen.read_root(d.path("Xvfb_screen0"), x + w - 260, y, 260, h)[2]
    time.sleep(1.5)
    first = panel()
    d.until(lambda: panel() != first, "figures that move")
    d.keys("a")
    d.gets(press("a"))
    d.keys("ctrl+alt+i")
    d.in_window(d.shows("a"))


def slots(d):
    """a machine saved by the menu is loaded on the other engine, also while it stands still"""
    d.start(display="sdl,scale=integer,slots=saved/here")
    d.keys("a", "b")
    d.gets(press("ab"))
    d.in_window(d.shows("ab"))
    d.keys("ctrl+alt+m", "Home", "s", "a", "v", "Return", "Return")
    d.until(lambda: "saved in slot 1" in d.title(), "note of the save")
    need(os.listdir(d.path("saved/here")) == ["machine-1.trvsnap"], "one file")
    d.keys("c")
    d.in_window(d.shows("abc"))
    d.keys("ctrl+alt+e", "ctrl+alt+m", "Home", "l", "o", "a", "Return", "Return")
    d.until(lambda: "loaded slot 1" in d.title(), "note of the load")
    d.in_window(d.shows("ab"))
    d.keys("d")
    d.in_window(d.shows("abd"))
    d.keys("ctrl+alt+p")
    d.until(lambda: "paused" in d.title(), "pause")
    d.keys("ctrl+alt+m", "Home", "l", "o", "a", "Return", "Return")
    d.until(lambda: "loaded slot 1" in d.title(), "note of the load, paused")
    d.in_window(d.shows("ab"))
    with open(d.path("saved/here/machine-1.trvsnap"), "r+b") as f:
        f.seek(-20000, 2)
        f.write(b"damaged!")
    d.keys("ctrl+alt+p", "e", "ctrl+alt+m", "Home", "l", "o", "a", "Return", "Return")
    d.until(lambda: "machine-1.trvsnap" in d.title(), "note of the damage")
    d.keys("f")
    d.in_window(d.shows("abef"))


def graphics_modes(d):
    """16 colours in planes, 13h, mode X, 24 and 32 bits: each as programs set and fill them"""
    if not d.rom:
        raise Skip("no --rom")
    d.start(rom=d.rom, ready=b"READY")
    d.xdo("windowmove", d.window, "0", "0")
    for n, (name, picture) in enumerate(modes.PICTURES, 1):
        d.keys(str(n))
        d.until(lambda: b"MODE %d\n" % n in d.serial(), "picture in %s" % name)
        want = picture()
        d.in_window(want)
        bad = screen.difference(d.shot(), want)
        need(not bad, "%s: %s" % (name, bad))
    d.keys("7")
    d.until(lambda: b"MODE 7" in d.serial(), "animation")

    def root():
        return screen.read_root(d.path("Xvfb_screen0"), 0, 300, 1024, 128)[2]
    d.until(lambda: root() != want[2][300:428], "the square")
    one = root()
    d.until(lambda: root() != one, "the square elsewhere")


CASES = [keys_and_text, graphics, resizing, fullscreen, engines, pausing, pasting, mouse, closing,
         signals, resetting, usual, menu, media, dropping, recording, live,
         slots, graphics_modes]


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--program", required=True)
    a.add_argument("--rom", help="the picture guest")
    a.add_argument("names", nargs="*")
    a = a.parse_args()
    cases = [c for c in CASES if not a.names or c.__name__ in a.names]
    program = os.path.abspath(a.program)
    why = next(("%s is not installed" % p for p in ("Xvfb", "xdotool") if not shutil.which(p)), None)
    said = subprocess.run([program, "run", "-display", "sdl"], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=30,
                          env={k: v for k, v in os.environ.items() if "DISPLAY" not in k}).stderr
    if "this build has no window" in said:
        why = "this build has no window (libsdl2-dev, libpng-dev)"
    passed = failed = skipped = 0
    for c in cases:
        desk = None
        try:
            if why:
                raise Skip(why)
            desk = Desk(program)
            desk.rom = os.path.abspath(a.rom) if a.rom else None
            c(desk)
            passed += 1
            print("ok %s" % c.__name__, flush=True)
        except Skip as e:
            skipped += 1
            print("SKIP %s: %s" % (c.__name__, e), flush=True)
        except (Failure, AssertionError, OSError, subprocess.SubprocessError) as e:
            failed += 1
            print("FAIL %s: %s" % (c.__name__, e), flush=True)
        finally:
            if desk:
                desk.close()
    print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
    if passed + failed == 0:
        return 77
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
