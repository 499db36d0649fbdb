#!/usr/bin/env python3
"""installer - Debian's graphical installer in the window, up to its second question: a local check.

  installer.py --program build/frontends/trivisor --guests DIR [--seconds 600] [--keep FOLDER]

Boots the gtk kernel and initrd of the package debian-installer-12-netboot-amd64 (unpacked under
DIR) with a tablet, under Xvfb. The first screen (1024x768) must come; the pointer must be seen
where the mouse is, and not where it was; Down must move the bar in the list of languages, and Enter
lead to the next question. It takes some minutes of a busy machine and so is not part of the gate.
--keep: pictures of each step, PNG. Status 0: all seen; 77: Xvfb, xdotool or the guest is missing.
"""
import argparse
import glob
import os
import shutil
import struct
import sys
import time
import zlib

import desktop
import screen


def write_png(path, picture):
    w, h, rows = picture
    body = zlib.compress(b"".join(b"\0" + r for r in rows))

    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data +
                struct.pack(">I", zlib.crc32(kind + data)))
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0)) +
                chunk(b"IDAT", body) + chunk(b"IEND", b""))


class Installer(desktop.Desk):
    keep, step = None, 0

    def look(self, x=0, y=0, w=1024, h=768):
        return screen.read_root(self.path("Xvfb_screen0"), x, y, w, h)

    def note(self, what):
        Installer.step += 1
        print("%4d s: %s" % (time.monotonic() - self.began, what), flush=True)
        if self.keep:
            write_png(os.path.join(self.keep, "%d-%s.png" % (self.step, what.replace(" ", "-"))),
                      self.look())

    def quiet(self, seconds=4):
        """The picture once nothing has moved for so long."""
        last, since = self.look()[2], time.monotonic()

        def still():
            nonlocal last, since
            now = self.look()[2]
            if now != last:
                last, since = now, time.monotonic()
            return time.monotonic() > since + seconds
        self.until(still, "picture at rest", 120)
        return last


def changed(a, b):
    """The box of what differs: x0, y0, x1, y1; None."""
    rows = [y for y in range(len(a)) if a[y] != b[y]]
    if not rows:
        return None
    xs = [k // 3 for y in rows for k in range(0, len(a[y]), 3) if a[y][k:k + 3] != b[y][k:k + 3]]
    return min(xs), rows[0], max(xs), rows[-1]


def check(d, kernel, initrd, seconds):
    d.began = time.monotonic()
    d.boot("-m", "1024", "-kernel", kernel, "-initrd", initrd, "-append", "quiet", "-virtio-input",
           "-nic", "none")
    d.until(lambda: d.geometry()[2:] == [1024, 768], "frame buffer of 1024x768", seconds)
    d.note("frame buffer")

    def filled():
        """Letters on the installer's light page: before, the page is empty, or the console's black."""
        rows = d.look(20, 90, 980, 640)[2]
        dark = sum(sum(r[k:k + 3]) < 200 for r in rows for k in range(0, len(r), 3))
        return 3000 < dark < 980 * 640 / 3
    d.until(filled, "first screen", seconds)
    before = d.quiet()
    d.note("first screen")
    places = [(300, 600), (700, 250), (512, 384)]
    shown = []
    for x, y in places:
        d.xdo("mousemove", str(x), str(y))
        shown.append(d.quiet(2))
    d.note("pointer in the middle")
    for k, (x, y) in enumerate(places):
        other = shown[(k + 1) % 3]
        near = changed([r[(x - 24) * 3:(x + 24) * 3] for r in shown[k][y - 24:y + 24]],
                       [r[(x - 24) * 3:(x + 24) * 3] for r in other[y - 24:y + 24]])
        desktop.need(near, "no pointer at %d, %d" % (x, y))
    d.xdo("mousemove", "1000", "740")
    before = d.quiet(2)
    d.keys("Down")
    d.until(lambda: changed(before, d.look()[2]), "bar that moves", 60)
    after = d.quiet(2)
    box = changed(before, after)
    d.note("another language")
    desktop.need(box and box[2] - box[0] > 200 and box[3] - box[1] < 200,
                 "what changed is no two lines of a list: %s" % (box,))
    d.keys("Up", "Return")

    def next_page():
        box = changed(after, d.look()[2])
        return box and box[3] - box[1] > 300
    d.until(next_page, "next question", 120)
    d.quiet()
    d.note("next question")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--program", required=True)
    p.add_argument("--guests", required=True)
    p.add_argument("--seconds", type=float, default=600)
    p.add_argument("--keep")
    a = p.parse_args()
    base = os.path.join(a.guests, "debian-installer-*-netboot-amd64/usr/lib/debian-installer/images/"
                        "*/amd64/gtk/debian-installer/amd64/")
    files = [sorted(glob.glob(base + n))[-1:] for n in ("linux", "initrd.gz")]
    missing = [t for t in ("Xvfb", "xdotool") if not shutil.which(t)]
    if missing or not all(files):
        print("SKIP: %s is missing" % (missing or ["the graphical installer"])[0])
        return 77
    Installer.keep = a.keep
    if a.keep:
        os.makedirs(a.keep, exist_ok=True)
    d = Installer(os.path.abspath(a.program))
    try:
        check(d, files[0][0], files[1][0], a.seconds)
    except desktop.Failure as e:
        d.note("failed")
        print("FAIL: %s" % e)
        return 1
    finally:
        d.close()
    print("ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
