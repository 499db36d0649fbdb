"""cases_floppy - operating systems of the 16-bit age, from public floppy images: a local check only.

The images are not ours to ship, so these cases are not part of the suite:
  TRIVISOR_FLOPPIES=DIR tests/system/run.py freedos freedos_snapshot floppy_swap mikeos elks kolibri
                                    (DIR/freedos.img, mikeos.flp, elks.img, kolibri.img)
SeaBIOS's serial console carries the text screen and the keyboard; KolibriOS draws.
"""
import os
import shutil
import socket
import struct
import time

from run import case
from cases_snapshot import with_monitor
import guests
import vm


def start(c, name, *options, again=False):
    """again: with the copy of the image that is there already, untouched since."""
    folder = os.environ.get("TRIVISOR_FLOPPIES")
    if not folder or not os.path.exists(os.path.join(folder, name)):
        raise guests.Missing("no %s in $TRIVISOR_FLOPPIES" % name)
    if not again:
        shutil.copy(os.path.join(folder, name), c.path(name))
    return c.emu.start("-m", "32", "-drive", "file=%s,if=floppy,format=raw" % c.path(name),
                       "-boot", "a", *options)


@case
def freedos(c):
    """FreeDOS from a floppy to its prompt; commands typed; a file written and read back"""
    for model in ("486", "pentium"):
        with start(c, "freedos.img", "-cpu", model) as v:
            v.expect(r"A:\\>", 120)
            v.send("ver\r")
            v.expect("FreeCom version", 60)
    with start(c, "freedos.img") as v:
        v.expect("FreeDOS kernel", 120)
        v.expect(r"A:\\>", 120)
        v.send("ver\r")
        v.expect("FreeCom version", 60)
        for command in ("echo trivisor > t.txt", "type t.txt"):
            v.expect(r"A:\\>", 60)
            v.send(command + "\r", piece=1, pause=0.1)
        v.expect(r"t\.txt\s.*trivisor\s", 60)
    with open(c.path("freedos.img"), "rb") as f:
        if b"trivisor" not in f.read():
            raise vm.Failure("the file did not reach the floppy image")


LISTINGS = 9


def listings(v, start):
    """The console from `start` on, when all directories are listed and the prompt is there."""
    v.at = start
    m = v.expect(r"(bytes free.*?){%d}A:\\>" % LISTINGS, 120)
    return v.text[start:m.end()]


def dos_between(c, first, second):
    """Saved in the middle of listings, which both machines finish alike, to the byte."""
    state = c.path("state")
    v, m = with_monitor(c, "a", "-engine", first, start=lambda *o: start(c, "freedos.img", *o))
    with v, m:
        v.expect(r"A:\\>", 120)
        begin = v.at
        v.send("for %%a in (%s) do dir" % " ".join(str(k) for k in range(LISTINGS)), 1, 0.1)
        m.do("speed 1")  # else it is done before anybody can say "now"
        v.send("\r")
        v.expect("bytes free", 120)
        m.do("pause")
        v.sleep(0.2)
        before = v.text[begin:]
        m.do("savevm " + state)
        m.do("speed max")
        m.do("cont")
        want = listings(v, begin)
        m.do("quit")
        v.wait(60)
    if before.count(b"KERNEL") >= LISTINGS:
        raise vm.Failure("it was all listed already")
    v, m = with_monitor(c, "b", "-engine", second, "-loadvm", state,
                        start=lambda *o: start(c, "freedos.img", *o, again=True))
    with v, m:
        v.text = before
        got = listings(v, 0)
        if got != want or want.count(b"KERNEL") != LISTINGS:
            raise vm.Failure("it goes on otherwise:\n%r\n%r" % (got, want))
        v.send("ver\r")
        v.expect("FreeCom version", 60)


@case
def freedos_snapshot(c):
    """FreeDOS saved in the middle of `dir`: it goes on from a file on the other engine, both ways"""
    dos_between(c, "bt", "interp")
    dos_between(c, "interp", "bt")


@case
def floppy_swap(c):
    """FreeDOS sees another floppy after the monitor's change"""
    other = bytearray(open(os.path.join(os.environ.get("TRIVISOR_FLOPPIES", ""), "freedos.img"),
                           "rb").read()) if os.environ.get("TRIVISOR_FLOPPIES") else b""
    with start(c, "freedos.img", "-monitor", "unix:%s,server,nowait" % c.path("m")) as v:
        v.expect(r"A:\\>", 120)
        v.send("dir\r")
        v.expect("KERNEL", 60)
        at = other.index(b"KERNEL  SYS", 512)  # the root directory's, not the boot sector's
        other[at:at + 6] = b"CHANGE"
        other[0x27:0x2b] = b"swap"             # the serial number, by which DOS knows a floppy
        with open(c.path("other.img"), "wb") as f:
            f.write(other)
        m = socket.socket(socket.AF_UNIX)
        m.connect(c.path("m"))
        m.sendall(b"change fd0 %s\n" % c.path("other.img").encode())
        if not m.recv(4096).startswith(b"ok"):
            raise vm.Failure("the monitor refuses")
        time.sleep(4)  # DOS believes that nobody changes a floppy within two seconds
        v.send("dir\r")
        v.expect("CHANGE", 60)


@case
def mikeos(c):
    """MikeOS from a floppy to its program list"""
    with start(c, "mikeos.flp") as v:
        v.expect("Welcome to MikeOS", 120)
        v.send("\r")
        v.expect("Please select|select a file", 60)


@case
def elks(c):
    """ELKS from a floppy to its shell, on a 486"""
    with start(c, "elks.img", "-cpu", "486") as v:
        v.expect("VFS: Mounted root", 120)
        v.expect("# ", 60)
        v.send("ls /bin\r", piece=1, pause=0.1)
        v.expect("mount", 60)


@case
def kolibri(c):
    """KolibriOS from a floppy to its desktop, 800x600 in 32 bits, on a Pentium"""
    shot = c.path("kolibri.png")
    with start(c, "kolibri.img", "-cpu", "pentium", "-screenshot", shot + ",after=40"):
        limit = time.monotonic() + 300
        while not os.path.exists(shot):
            if time.monotonic() > limit:
                raise vm.Failure("no screenshot")
            time.sleep(0.5)
    with open(shot, "rb") as f:
        data = f.read()
    size = struct.unpack(">II", data[16:24])
    if size != (800, 600) or len(data) < 30000:
        raise vm.Failure("no desktop: %dx%d, %d bytes" % (*size, len(data)))
