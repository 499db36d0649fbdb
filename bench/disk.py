#!/usr/bin/env python3
"""disk - one guest reads and writes a disk: IDE and virtio-blk, on trivisor and on QEMU's TCG.

  bench/disk.py [--build DIR] [--guests DIR] [--mib N] [--rounds N]

Debian's kernel with its own drivers (tests/system's initramfs), a raw image, and busybox's dd on the
whole disk: large requests with read-ahead, 4 KiB one at a time without, and large writes that end
with a flush. Each emulator's guest is started anew for each bus, in turns; the host times the
markers that the guest prints; the best round counts. The image is new and in the host's cache, so
this is what emulation takes, not the host's storage - but for the flush, which waits for that.
"""
import argparse
import os
import shutil
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tests", "system"))
import guests     # noqa: E402
import initramfs  # noqa: E402
import vm         # noqa: E402

BUSES = {"ide": ("sda", ["ata_piix", "sd_mod"]), "virtio": ("vda", ["virtio_pci", "virtio_blk"])}
WORK = [
    ("read, MiB/s", "dd if=/dev/%(disk)s of=/dev/null bs=1M count=%(mib)d", "mib"),
    ("write and flush, MiB/s", "dd if=/dev/zero of=/dev/%(disk)s bs=1M count=%(mib)d conv=fsync",
     "mib"),
    ("4 KiB reads one at a time, 1/s", "echo 0 > /sys/block/%(disk)s/queue/read_ahead_kb; "
     "dd if=/dev/%(disk)s of=/dev/null bs=4k count=%(reads)d", "reads"),
]


def measure(emulator, bus, initrd, folder, image, size):
    """{work: units a second}"""
    disk, _ = BUSES[bus]
    rates = {}
    with emulator.start("-m", "256", "-kernel", guests.kernel(folder), "-initrd", initrd,
                        "-append", "console=ttyS0,115200 panic=-1 quiet",
                        "-drive", "file=%s,if=%s,format=raw" % (image, bus)) as v:
        v.expect("init: Linux", 600, never="Kernel panic")
        v.expect("trivisor# ", 60)
        v.command_output("while ! [ -b /dev/%s ]; do sleep 1; done" % disk)
        for what, command, unit in WORK:
            v.command_output("sync; echo 3 > /proc/sys/vm/drop_caches")
            v.send("echo 'a''b'; (%s) >/dev/null 2>&1; echo 'c''d'\n"
                   % (command % dict(size, disk=disk)))
            v.expect("ab", 60)
            started = time.monotonic()
            v.expect("cd", 600)
            rates[what] = size[unit] / (time.monotonic() - started)
    return rates


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", default=os.path.join(HERE, "..", "build"))
    p.add_argument("--guests", default=os.environ.get("TRIVISOR_GUESTS"))
    p.add_argument("--mib", type=int, default=200, help="of a large transfer")
    p.add_argument("--rounds", type=int, default=2)
    a = p.parse_args()
    folder = a.guests or os.path.join(a.build, "guests")
    size = {"mib": a.mib, "reads": a.mib * 50}
    work = tempfile.mkdtemp(prefix="trivisor-bench-")
    best = {}
    try:
        emulators = [vm.Emulator("trivisor", os.environ.get(
            "TRIVISOR", os.path.join(a.build, "frontends/trivisor")))]
        qemu = shutil.which("qemu-system-x86_64")
        if qemu:
            emulators.append(vm.Emulator("qemu", qemu))
        image = os.path.join(work, "disk")
        with open(image, "wb") as f:
            for _ in range(a.mib + 1):
                f.write(os.urandom(1 << 20))
        for k in range(a.rounds):
            for bus, (_, modules) in BUSES.items():
                initrd = os.path.join(work, "initrd")
                with open(initrd, "wb") as f:
                    f.write(initramfs.make(folder, "amd64", initramfs.modules(folder, modules)))
                for e in emulators:
                    rates = measure(e, bus, initrd, folder, image, size)
                    print("round %d, %s, %s: %s" % (k + 1, e.name, bus, rates), file=sys.stderr)
                    for what, rate in rates.items():
                        key = (what, e.name, bus)
                        best[key] = max(rate, best.get(key, 0))
    except guests.Missing as e:
        sys.exit(str(e))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    columns = [(e.name, bus) for e in emulators for bus in BUSES]
    print("| | %s |" % " | ".join("%s, %s" % c for c in columns))
    print("|---" * (len(columns) + 1) + "|")
    for what, _, _ in WORK:
        print("| %s | %s |" % (what, " | ".join("%.0f" % best[(what, *c)] for c in columns)))


if __name__ == "__main__":
    main()
