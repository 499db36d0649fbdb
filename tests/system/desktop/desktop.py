#!/usr/bin/env python3
"""desktop - the window, used as a person does: real keys and mouse through a virtual X server.

  desktop.py --program build/frontends/trivisor [--rom build/roms/modes/modes.rom] [NAME...]

The guest is machine.py's. Pictures are compared pixel by pixel, in the saved PNG file and in the X
server's own memory. Needs Xvfb and xdotool. Last line: N passed, N failed, N skipped.
"""
import ctypes
import glob
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time

import machine
import modes
import screen
from drop import drop_file, no_repeat
from machine import MAKE, RESET, SIGNAL, TIMEOUT, Failure, Skip, drawn_picture, need, press

# The menu as frontends/sdl/menu.c draws it.
MENU_EDGE, MENU_CHOSEN = b"\x4a\x5a\x78", b"\x2f\x5f\xa8"
MENU_LINE, MENU_HEAD, MENU_FRAME = 20, 7, 38  # below the line that is below the title
WARNING = 4  # seconds that "once more" stays (NOTE_MS)


class Desk(machine.Machine):
    """A virtual X server and one machine in it."""

    def __init__(self, program, rom=None):
        super().__init__(program, "desktop")
        self.rom = rom
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
        self.others, self.window = [], "0"

    def start(self, *options, display="sdl,scale=integer", rom="guest.rom", ready=b"M\xfa"):
        for f in glob.glob(self.path("*.png")):
            os.unlink(f)
        self.boot("-rom", rom, "-vgabios", "none", *options, display=display)
        self.starts(ready)

    def boot(self, *options, display="sdl,scale=integer"):
        self.fresh()
        self.p = subprocess.Popen([self.program, "run", "-display", display, "-serial",
                                   "file:serial", *options],
                                  cwd=self.dir, env=self.env, stdin=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE)
        self.window = self.until(lambda: self.xdo("search", "--name", "^Trivisor - run"), "window")
        self.xdo("windowmove", self.window, "0", "0")
        self.xdo("windowfocus", "--sync", self.window)

    def xdo(self, *args):
        r = subprocess.run(["xdotool", *args], env=self.env, capture_output=True, text=True,
                           timeout=TIMEOUT)
        return r.stdout.strip()

    def keys(self, *chords):
        self.xdo("key", "--delay", "30", *chords)

    def title(self):
        return self.xdo("getwindowname", self.window)

    def state(self):
        return "title: %s; %s" % (self.title(), super().state())

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
            self.until(look, "picture in the window")
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

    def menu(self):
        """(lines of the menu's page, which of them is chosen); None: none is, or it is closed."""
        x, y, w, h = self.geometry()
        _, _, rows = screen.read_root(self.path("Xvfb_screen0"), x, y, w, h)
        edges = [k for k, r in enumerate(rows) if MENU_EDGE * 300 in r]
        chosen = [k for k, r in enumerate(rows) if MENU_CHOSEN * 300 in r]
        if len(edges) != 3 or not chosen:  # the frame's, and the one below the title
            return None
        return ((edges[2] - edges[1] - MENU_FRAME) // MENU_LINE,
                (chosen[0] - edges[1] - MENU_HEAD) // MENU_LINE)

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

    def close(self):
        self.stop()
        for p in [*self.others, self.x]:
            p.terminate()
            p.wait()
        super().close()


# ---- cases ------------------------------------------------------------------------------------

def keys_and_text(d):
    """typed keys reach the guest as scan codes; its text is right in the file and in the window"""
    d.start()
    d.keys(*"hello", "space", *"2026")
    d.gets(press("hello 2026"))
    want = d.picture("hello 2026")
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
    d.in_window(screen.times(d.picture(""), 2))
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
    limit = time.monotonic() + TIMEOUT
    while d.xdo("get_num_desktops") in ("", "0"):
        need(time.monotonic() < limit, "the window manager does not start")
        time.sleep(0.1)
    d.start()
    before = [720, 400]
    d.until(lambda: d.geometry()[2:] == before, "window of 720x400")
    d.keys("ctrl+alt+f")
    d.until(lambda: d.geometry()[2:] == [1600, 900], "full screen")
    d.in_window(screen.times(d.picture(""), 2))
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
    bad = screen.difference(d.shot(), d.picture("xyxyxyxy"))
    need(not bad, bad)


def pausing(d):
    """Ctrl-Alt-P: no key arrives, screenshots do; then it goes on; twice at once changes nothing"""
    d.start()
    d.keys("ctrl+alt+p")
    d.until(lambda: "paused" in d.title(), "pause")
    before = d.codes()
    d.keys("a", "b")
    bad = screen.difference(d.shot(), d.picture(""))
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
        text = "Hi, é!\n".encode()
        owner.stdin.write(text)
        owner.stdin.close()

        def taken():
            return subprocess.run(["xclip", "-o", "-selection", "clipboard"], env=d.env,
                                  capture_output=True, timeout=TIMEOUT).stdout == text
        d.until(taken, "owner of the clipboard")
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

    for _ in range(5):
        d.xdo("mousemove_relative", "7", "3")
        time.sleep(0.05)
    d.until(lambda: d.moved(n) == [35, -15], "motion of 35 and -15")
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
    d.until(lambda: "STILL RUNS" not in d.title(), "end of the warning")
    while True:  # a busy machine may need more than one try
        first = time.monotonic()
        d.close_button()
        d.until(lambda: "STILL RUNS" in d.title(), "warning anew")
        if time.monotonic() < first + WARNING - 1:
            break
        d.until(lambda: "STILL RUNS" not in d.title(), "end of the warning")
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
    d.fresh()
    d.p = subprocess.Popen(run, cwd=d.dir, env=d.env, stderr=subprocess.PIPE)
    d.until(lambda: d.xdo("search", "--name", "^Trivisor - run"), "window")
    d.p.send_signal(signal.SIGTERM)
    d.ends(SIGNAL)
    d.fresh()
    d.p = subprocess.Popen(run + ["-nographic"], cwd=d.dir, env=d.env, stderr=subprocess.PIPE)
    d.starts()
    need(not d.xdo("search", "--name", "^Trivisor"), "a window with -nographic")
    d.p.send_signal(signal.SIGTERM)
    d.ends(SIGNAL)
    r = subprocess.run(run + ["-display", "sdl"], cwd=d.dir, env=dict(d.env, DISPLAY=":9999"),
                       capture_output=True, text=True, timeout=TIMEOUT)
    need(r.returncode == 4 and "error: -display: no window: " in r.stderr, r.stderr)


def menu(d):
    """Ctrl-Alt-M: keys are the menu's, then the guest's again; the mouse chooses too"""
    d.start()
    before = d.codes()
    d.keys("ctrl+alt+m")
    d.until(lambda: not d.same(d.picture("")), "menu on the screen")
    d.keys("x", "y", "Home", "Return")  # the first line
    d.until(lambda: "paused" in d.title(), "pause by the menu")
    d.in_window(d.picture(""))
    d.keys("ctrl+alt+m", "Home", "Return")
    d.until(lambda: "running" in d.title(), "going on by the menu")
    need(bytes([MAKE["x"]]) not in d.codes()[len(before):], "a key of the menu reached the guest")
    d.keys("ctrl+alt+m", "s", "c")  # types ahead: Screenshot
    d.keys("Return")
    d.until(lambda: glob.glob(d.path("*.png")), "screenshot by the menu")
    d.keys("ctrl+alt+m", "Escape", "h")
    d.gets(press("h"))
    d.in_window(d.picture("h"))
    d.keys("ctrl+alt+m")
    d.until(lambda: not d.same(d.picture("h")), "menu on the screen")
    x, y, w, h = d.geometry()
    d.xdo("mousemove", str(x + w // 2), str(y + h // 2))
    d.xdo("click", "3")  # closes it
    d.in_window(d.picture("h"))
    need("releases the mouse" not in d.title(), "a click of the menu captures")
    d.keys("ctrl+alt+m", "Home", "Down", "Down", "Down", "Return")
    d.until(lambda: not d.same(d.picture("h")), "the page that asks")
    d.keys("End", "Return")
    d.ends(0)


def media(d):
    """the chooser inserts a floppy and ejects it, also while the machine stands still"""
    os.mkdir(d.path("disks"))
    with open(d.path("disks/one.img"), "wb") as f:
        f.truncate(1440 << 10)
    d.start()

    def open_page():
        d.keys("ctrl+alt+m", "Home", "Down", "Down", "Down", "Down", "Return")
        d.until(lambda: d.menu() == (1, 0), "the one drive, which the machine tells")
    open_page()
    d.keys("Return", "Return", "d", "Return", "o", "Return")
    d.until(lambda: "fd0: " in d.title() and "one.img" in d.title(), "note of the new floppy")
    need(d.holds("disks/one.img"), "the image is not open")
    open_page()
    d.keys("Return", "Down", "Return")
    d.until(lambda: "fd0: empty" in d.title(), "note of the empty drive")
    need(not d.holds("disks/one.img"), "the image is still open")
    d.keys("k")
    d.gets(press("k"))
    d.keys("ctrl+alt+p")  # also while it stands still
    d.until(lambda: "paused" in d.title(), "pause")
    open_page()
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
    for k, c in enumerate("abc", 1):
        d.keys(c)
        d.in_window(d.picture("abc"[:k]))
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
    d.until(lambda: not d.same(d.picture("")), "panel on the screen")
    x, y, w, h = d.geometry()

    def panel():
        return screen.read_root(d.path("Xvfb_screen0"), x + w - 260, y, 260, h)[2]
    time.sleep(1.5)
    first = panel()
    d.until(lambda: panel() != first, "figures that move")
    d.keys("a")
    d.gets(press("a"))
    d.keys("ctrl+alt+i")
    d.in_window(d.picture("a"))


def slots(d):
    """a machine saved by the menu is loaded on the other engine, also while it stands still"""
    d.start(display="sdl,scale=integer,slots=saved/here")
    d.keys("a", "b")
    d.gets(press("ab"))
    d.in_window(d.picture("ab"))
    d.keys("ctrl+alt+m", "Home", "s", "a", "v", "Return", "Return")
    d.until(lambda: "saved in slot 1" in d.title(), "note of the save")
    need(os.listdir(d.path("saved/here")) == ["machine-1.trvsnap"], "one file")
    d.keys("c")
    d.in_window(d.picture("abc"))
    d.keys("ctrl+alt+e", "ctrl+alt+m", "Home", "l", "o", "a", "Return", "Return")
    d.until(lambda: "loaded slot 1" in d.title(), "note of the load")
    d.in_window(d.picture("ab"))
    d.keys("d")
    d.in_window(d.picture("abd"))
    d.keys("ctrl+alt+p")
    d.until(lambda: "paused" in d.title(), "pause")
    d.keys("ctrl+alt+m", "Home", "l", "o", "a", "Return", "Return")
    d.until(lambda: "loaded slot 1" in d.title(), "note of the load, paused")
    d.in_window(d.picture("ab"))
    with open(d.path("saved/here/machine-1.trvsnap"), "r+b") as f:
        f.seek(-20000, 2)
        f.write(b"damaged!")
    d.keys("ctrl+alt+p", "e", "ctrl+alt+m", "Home", "l", "o", "a", "Return", "Return")
    d.until(lambda: "machine-1.trvsnap" in d.title(), "note of the damage")
    d.keys("f")
    d.in_window(d.picture("abef"))


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
    a = machine.arguments(("--rom", "the picture guest"))
    rom = os.path.abspath(a.rom) if a.rom else None
    why = next(("%s is not installed" % p for p in ("Xvfb", "xdotool") if not shutil.which(p)), None)
    said = subprocess.run([a.program, "run", "-display", "sdl"], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=TIMEOUT,
                          env={k: v for k, v in os.environ.items() if "DISPLAY" not in k}).stderr
    if "this build has no window" in said:
        why = "this build has no window (libsdl2-dev, libpng-dev)"

    def desk():
        if why:
            raise Skip(why)
        return Desk(a.program, rom)
    return machine.run_cases(CASES, a.names, desk)


if __name__ == "__main__":
    sys.exit(main())
