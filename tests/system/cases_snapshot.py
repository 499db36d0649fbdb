"""cases_snapshot - whole machines saved in the middle of something and loaded on the other engine."""
import hashlib
import os
import select
import socket
import time

from run import case
from cases_linux import APPEND, PANIC, use_shell
from cases_pv import vmlinux
import guests
import initramfs
import vm


class Monitor:
    """The machine's monitor: a command, its answer. The console is read on meanwhile: a machine
    waits two seconds for somebody who does not read, and then drops what it prints."""

    def __init__(self, v, path):
        self.v = v
        self.path = path
        self.s = None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.s:
            self.s.close()

    def connect(self):
        for _ in range(600):
            try:
                self.s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                self.s.connect(self.path)
                return
            except OSError:
                self.s.close()
                self.v.sleep(0.1)
        raise vm.Failure("nobody answers at " + self.path)

    def receive(self, limit):
        ends = [self.s, self.v.master]
        while True:
            ready = select.select(ends, [], [], max(0, limit - time.monotonic()))[0]
            if self.s in ready:
                return self.s.recv(65536)
            if not ready:
                raise vm.Failure("the monitor does not answer; the console's end:\n" + self.v.tail())
            if not self.v._pump(0):
                ends.remove(self.v.master)  # the console ended

    def do(self, command, timeout=300):
        if not self.s:
            self.connect()
        self.s.sendall(command.encode() + b"\n")
        text, limit = b"", time.monotonic() + timeout
        while True:
            data = self.receive(limit)
            text += data
            last = text.rstrip(b"\n").rsplit(b"\n", 1)[-1]
            if text.endswith(b"\n") and (last == b"ok" or last.startswith(b"error: ")):
                break
            if not data:
                raise vm.Failure("the monitor hung up after %r: %r" % (command, text))
        if last != b"ok":
            raise vm.Failure("%s: %s" % (command, last.decode()))
        return text.decode()


def with_monitor(c, name, *options, start=None):
    """start: instead of c.emu.start"""
    sock = c.path(name + ".sock")
    v = (start or c.emu.start)("-monitor", "unix:%s,server,nowait" % sock, *options)
    return v, Monitor(v, sock)


INIT = "Run /init as init process"
TOO_LATE = PANIC + "|trivisor# "  # a kernel that does not print the line that a case waits for


def save_in_boot(c, engine, state, when, then, options):
    """Boots up to a line, saves; the machine goes on to another line. False: on a busy host the
    boot was over before the monitor was asked."""
    v, m = with_monitor(c, "a", "-engine", engine, *options)
    with v, m:
        v.expect(when, 900, never=TOO_LATE)
        m.do("savevm %s in the middle of a boot" % state)
        v.sleep(0)
        if INIT.encode() in v.text:
            return False
        v.expect(then, 900, never=PANIC)
        m.do("quit")
        v.wait()
        return True


def through(c, first, second, when, then, options):
    """Saved on one engine in the middle of a boot, the file goes on to the shell on the other."""
    state = c.path("state")
    if not any(save_in_boot(c, first, state, when, then, options) for _ in range(5)):
        raise vm.Failure("too slow to save before the boot is over, five times")
    v, m = with_monitor(c, "b", "-engine", second, "-loadvm", state, *options)
    with v, m:
        v.expect(INIT, 900, never=TOO_LATE)
        if b"Linux version" in v.text:
            raise vm.Failure("it booted from the start")
        use_shell(v, "x86_64", 900)


@case
def snapshot_boot(c):
    """saved in the middle of a Linux boot: goes on from a file on the other engine, both ways"""
    initrd = c.write("initrd", initramfs.make(c.guests, "amd64"))
    options = ["-m", "256", "-initrd", initrd, "-append", APPEND, "-kernel"]
    through(c, "bt", "interp", "NET: Registered PF_INET ", "trivisor# ",
            options + [guests.kernel(c.guests)])
    # the interpreter would spend most of its time with unpacking the kernel and later with RSA
    through(c, "interp", "bt", "Trying to unpack rootfs image", "Freeing initrd memory",
            options + [vmlinux(c)])


MODULES = ["virtio_pci", "virtio_blk", "ata_piix", "sd_mod", "crc32c_generic"]
SIZE = 24 << 20


def save_in_writes(c, engine, state, disks, options):
    """Boots, saves while both disks are being written. False: on a busy host all was written before
    the monitor was asked."""
    virtio = disks[1]
    for path in disks:
        with open(path, "wb") as f:
            f.truncate(SIZE)
    v, m = with_monitor(c, "a", "-engine", engine, *options)
    with v, m:
        v.expect("trivisor# ", 900, never=PANIC)
        # a megabyte to each in turn, each on the disk before the next
        v.send("i=0; while [ $i -lt %d ]; do for d in sda vda; do dd if=/block of=/dev/$d bs=64k "
               "seek=$((i*16)) conv=notrunc,fsync 2>/dev/null || echo BAD; done; i=$((i+1)); done; "
               "echo 3 > /proc/sys/vm/drop_caches; md5sum < /dev/sda; md5sum < /dev/vda; "
               "echo \"all \"written\n" % (SIZE >> 20))
        limit = time.monotonic() + vm.PATIENCE
        while not written(virtio, 3 << 20):
            if time.monotonic() > limit:
                raise vm.Failure("nothing is written")
            v._pump(0.02)
        m.do("pause")
        m.do("savevm " + state)
        done = written(virtio, SIZE - 1)
        m.do("quit")
        v.wait()
        return not done


def written(path, at):
    with open(path, "rb") as f:
        f.seek(at)
        return f.read(1) != b"\0"


def disks_between(c, first, second):
    data = hashlib.sha256(b"disk").digest() * (SIZE // 32)
    want = hashlib.md5(data).hexdigest()
    # the same bytes made in the guest: one block of 1 MiB again and again
    block = c.write("block", data[:1 << 20])
    modules = initramfs.modules(c.guests, MODULES)
    initrd = c.write("initrd", initramfs.make(c.guests, "amd64", modules + [
        ("block", 0o100644, open(block, "rb").read(), (0, 0))]))
    state, ide, virtio = c.path("state"), c.path("ide"), c.path("virtio")
    options = ["-m", "256", "-kernel", guests.kernel(c.guests), "-initrd", initrd,
               "-append", APPEND, "-drive", "file=%s,format=raw" % ide,
               "-drive", "file=%s,format=raw,if=virtio" % virtio]
    if not any(save_in_writes(c, first, state, (ide, virtio), options) for _ in range(5)):
        raise vm.Failure("too slow to save before all is written, five times")
    v, m = with_monitor(c, "b", "-engine", second, "-loadvm", state, *options)
    with v, m:
        v.expect("all written", 900, never=PANIC + "|BAD")
        text = v.text.decode("utf-8", "replace")
        if text.count(want) != 2:
            raise vm.Failure("the disks' contents are wrong:\n" + v.tail())
    for path in (ide, virtio):
        with open(path, "rb") as f:
            if hashlib.md5(f.read()).hexdigest() != want:
                raise vm.Failure("%s is wrong" % os.path.basename(path))
    # the images have been written to since: refused, unless that is asked for
    v, m = with_monitor(c, "c", "-loadvm", state, *options)
    with v, m:
        v.expect("has been written to since the snapshot was taken")
        if v.wait() != 4:
            raise vm.Failure("another status than 4")


@case
def snapshot_disks(c):
    """saved in the middle of writes to an IDE and a virtio disk: they go on with the right data"""
    disks_between(c, "bt", "interp")
    disks_between(c, "interp", "bt")
