"""machine - what the window's cases and the displays' share: a guest of a few bytes, a machine that
runs it, and the runner of cases.

The guest prints the keys it gets, and sends every byte of keyboard and mouse to its serial port
behind a K or M. F1 makes it draw a picture of 800x600. Waiting has no short limits: they only say
when something that hangs is given up.
"""
import argparse
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time

import screen

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../cli"))
from guest_files import LINE_8N1, out, rom  # noqa: E402

RESET, SIGNAL = 6, 10
TIMEOUT = 60
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


def press(word):
    return [code for c in word for code in (MAKE[c], MAKE[c] | 0x80)]


class Machine:
    """A folder with the guest's ROM, and one machine at a time; `p` is its process."""

    def __init__(self, program, name):
        self.program, self.dir, self.p = program, tempfile.mkdtemp(prefix="trivisor-%s-" % name), None
        image, self.cells = guest()
        with open(self.path("guest.rom"), "wb") as f:
            f.write(image)

    def path(self, name):
        return os.path.join(self.dir, name)

    def fresh(self):
        """Nothing that an earlier machine said is taken for this one's."""
        with open(self.path("serial"), "wb"):
            pass

    def serial(self):
        with open(self.path("serial"), "rb") as f:
            return f.read()

    def state(self):
        """For messages."""
        return "serial: %s" % self.serial()[-40:].hex()

    def until(self, what, name, timeout=TIMEOUT):
        """Waits for what() to be true and returns it."""
        limit = time.monotonic() + timeout
        while True:
            got = what()
            if got:
                return got
            if self.p.poll() is not None:
                raise Failure("ended with %d while waiting for %s: %s" %
                              (self.p.returncode, name, self.p.stderr.read().decode()[:500]))
            if time.monotonic() > limit:
                raise Failure("no %s; %s" % (name, self.state()))
            time.sleep(0.05)

    def starts(self, ready=b"M\xfa"):
        self.until(lambda: ready in self.serial(), "the guest's start")

    def codes(self):
        """Keyboard bytes so far."""
        s = self.serial()
        return bytes(s[k + 1] for k in range(0, len(s) - 1, 2) if s[k:k + 1] == b"K")

    def packets(self):
        """Mouse packets so far, after the acknowledgement of its start."""
        s = self.serial()
        b = bytes(s[k + 1] for k in range(0, len(s) - 1, 2) if s[k:k + 1] == b"M")[1:]
        return [b[k:k + 3] for k in range(0, len(b) - 2, 3)]

    def moved(self, first=0):
        """[right, up], summed over the mouse packets from number `first`."""
        return [sum(p[k] - (256 if p[0] & s else 0) for p in self.packets()[first:])
                for k, s in ((1, 0x10), (2, 0x20))]

    def gets(self, codes):
        codes = bytes(codes)
        self.until(lambda: codes in self.codes(), "scan codes %s" % codes.hex())

    def picture(self, typed=""):
        """What the guest shows once this was typed."""
        cells = dict(self.cells)
        cells.update({(k, 1): (c, 0x1e) for k, c in enumerate(typed)})
        return screen.text(cells)

    def ends(self, status, sig=None):
        """Its messages."""
        if sig:
            self.p.send_signal(sig)
        try:
            _, e = self.p.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            raise Failure("does not end")
        need(self.p.returncode == status and b"runtime error" not in e,
             "status %d, not %d: %s" % (self.p.returncode, status, e.decode()[:600]))
        return e.decode()

    def stop(self):
        if self.p and self.p.poll() is None:
            self.p.kill()
            self.p.communicate()

    def close(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


# ---- the runner -------------------------------------------------------------------------------

def arguments(*more):
    """--program, options of the caller's (name, help), names of cases."""
    a = argparse.ArgumentParser()
    a.add_argument("--program", required=True)
    for name, text in more:
        a.add_argument(name, help=text)
    a.add_argument("names", nargs="*")
    a = a.parse_args()
    a.program = os.path.abspath(a.program)
    return a


def run_cases(cases, names, new, errors=()):
    """Each with a machine of its own, new(). errors: exceptions that fail a case besides the usual
    ones. The status of the whole."""
    n = {"ok": 0, "FAIL": 0, "SKIP": 0}
    for case in cases:
        if names and case.__name__ not in names:
            continue
        m, said, why = None, "ok", case.__doc__.splitlines()[0]
        try:
            m = new()
            case(m)
        except Skip as e:
            said, why = "SKIP", str(e)
        except (Failure, AssertionError, OSError, ValueError, subprocess.SubprocessError,
                *errors) as e:
            said, why = "FAIL", "%s: %s" % (why, e or type(e).__name__)
        finally:
            if m:
                m.close()
        n[said] += 1
        print("%s %s: %s" % (said, case.__name__, why), flush=True)
    print("%d passed, %d failed, %d skipped" % (n["ok"], n["FAIL"], n["SKIP"]))
    return 1 if n["FAIL"] else 0 if n["ok"] else 77
