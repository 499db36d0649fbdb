#!/usr/bin/env python3
"""initramfs - makes the small root file systems our Linux guests boot into.

A cpio archive ("newc", as the kernel reads it), written and read here in Python: busybox from
Debian packages and an init script of ours that mounts what a shell wants and starts one on the
console. For i386 the busybox and its libraries are taken out of the installer's own initrd.

  initramfs.py --guests DIR --out FILE [--arch amd64|i386] [--modules NAME,NAME...] [--root]

With --root no shell starts: the disk that the kernel command line names as root=/dev/... is
mounted and its own init takes over, with the modules of every disk and card we have.
"""
import argparse
import gzip
import os
import re
import stat
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import guests  # noqa: E402

INIT = b"""#!/bin/busybox sh
# Runs as process 1: mounts, links busybox's applets, starts a shell on the console.
b=/bin/busybox
$b mkdir -p /proc /sys /dev /tmp /root /sbin /usr/bin /usr/sbin
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
for a in $($b --list 2>/dev/null || $b | $b sed '1,/^Currently/d' | $b tr ', ' '  '); do
    [ -e /bin/$a ] || $b ln -s busybox /bin/$a
done
export PATH=/bin HOME=/root TERM=linux PS1='trivisor# '
for m in /modules/*.ko; do
    [ -e $m ] && insmod $m
done
cd /root
echo "init: $($b uname -srm), up $($b cut -d' ' -f1 /proc/uptime) s. 'poweroff -f' ends it."
exec </dev/console >/dev/console 2>&1
if [ -e /bin/setsid ]; then exec $b setsid $b sh -i; fi
exec $b sh -i
"""

ROOT_INIT = b"""#!/bin/busybox sh
# Runs as process 1: loads modules, mounts the root that the command line names, goes there.
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
for m in /modules/*.ko; do
    $b insmod $m || echo "init: no $m"
done
root= mode=ro
for w in $($b cat /proc/cmdline); do
    case $w in
    root=*) root=${w#root=} ;;
    ro | rw) mode=$w ;;
    esac
done
n=0
while [ ! -b "$root" ] && [ $n -lt 300 ]; do
    $b sleep 0.1
    n=$((n+1))
done
$b mount -t ext4 -o $mode "$root" /root || {
    echo "init: root=$root cannot be mounted; a shell"
    exec $b sh -i </dev/console >/dev/console 2>&1
}
for d in dev sys proc; do
    $b mount -o move /$d /root/$d
done
exec $b switch_root /root /sbin/init </root/dev/console >/root/dev/console 2>&1
"""

# What a root file system with systemd may want on any of our boards and does not bring itself.
ROOT_MODULES = ["virtio_pci", "virtio_mmio", "virtio_blk", "virtio_net", "virtio_rng", "ata_piix",
                "sd_mod", "e1000", "crc32c_generic", "ext4", "autofs4", "binfmt_misc"]


def write(entries):
    """entries: (path, mode, data, (major, minor)); returns the archive."""
    out = bytearray()
    for ino, (name, mode, data, dev) in enumerate(entries + [("TRAILER!!!", 0, b"", (0, 0))], 1):
        path = name.encode() + b"\0"
        # ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
        fields = [ino, mode, 0, 0, 1, 0, len(data), 0, 0, dev[0], dev[1], len(path), 0]
        out += b"070701" + b"".join(b"%08X" % f for f in fields) + path
        out += bytes(-len(out) % 4) + data
        out += bytes(-len(out) % 4)
    return bytes(out)


def read(archive):
    """{path: (mode, data)} of a newc archive."""
    found, at = {}, 0
    while archive[at:at + 6] == b"070701":
        f = [int(archive[at + 6 + 8 * i:at + 14 + 8 * i], 16) for i in range(13)]
        name = archive[at + 110:at + 109 + f[11]].decode()
        data = at + 110 + f[11]
        data += -data % 4
        if name == "TRAILER!!!":
            break
        found[name.lstrip("./")] = (f[1], archive[data:data + f[6]])
        at = data + f[6]
        at += -at % 4
    return found


def _libraries(tree, wanted):
    """Directory entries, links and libraries for a dynamic busybox, from an installer's tree."""
    entries = []
    for path, (mode, data) in sorted(tree.items()):
        if stat.S_ISDIR(mode) and path.split("/")[0] == "lib":
            entries.append((path, mode, b"", (0, 0)))
    for path, (mode, data) in sorted(tree.items()):
        if path.startswith("lib/") and os.path.basename(path).startswith(wanted):
            entries.append((path, mode, data, (0, 0)))
    return entries


def modules(guest_dir, names):
    """Entries for kernel modules and all they depend on, which the init script loads in order."""
    root = guests.module_dir(guest_dir)
    paths = {}
    for d, _, files in os.walk(root):
        for f in files:
            if f.endswith(".ko"):
                paths[f[:-3].replace("-", "_")] = os.path.join(d, f)
    order, data = [], {}

    def add(name):
        name = name.replace("-", "_")
        if name in data:
            return
        if name not in paths:
            raise guests.Missing("the kernel package has no module %s" % name)
        with open(paths[name], "rb") as f:
            data[name] = f.read()
        for m in re.findall(rb"\0depends=([^\0]*)\0", data[name])[:1]:
            for other in m.decode().split(","):
                if other:
                    add(other)
        order.append(name)

    for n in names:
        add(n)
    entries = [("modules", stat.S_IFDIR | 0o755, b"", (0, 0))]
    return entries + [("modules/%03d-%s.ko" % (k, n), stat.S_IFREG | 0o644, data[n], (0, 0))
                      for k, n in enumerate(order)]


def make(guest_dir, arch="amd64", extra=(), init=INIT):
    """The archive for a shell on the console. Raises guests.Missing."""
    entries = [(d, stat.S_IFDIR | 0o755, b"", (0, 0))
               for d in ("bin", "dev", "proc", "sys", "root")]
    entries += [("dev/console", stat.S_IFCHR | 0o600, b"", (5, 1)),
                ("dev/null", stat.S_IFCHR | 0o666, b"", (1, 3)),
                ("init", stat.S_IFREG | 0o755, init, (0, 0))]
    if arch == "amd64":
        with open(guests.busybox(guest_dir), "rb") as f:
            busybox = f.read()
    else:
        with gzip.open(guests.installer(guest_dir, arch)[1]) as f:
            tree = read(f.read())
        busybox = tree["bin/busybox"][1]
        entries += _libraries(tree, ("ld-linux", "libc.so", "libresolv"))
    entries.append(("bin/busybox", stat.S_IFREG | 0o755, busybox, (0, 0)))
    return write(entries + list(extra))


def make_root(guest_dir):
    """The archive that goes on to root=/dev/... of the command line (amd64). Raises as make()."""
    return make(guest_dir, "amd64", modules(guest_dir, ROOT_MODULES), ROOT_INIT)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--guests", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--arch", default="amd64", choices=("amd64", "i386"))
    p.add_argument("--modules", help="kernel modules to load, comma-separated (amd64)")
    p.add_argument("--root", action="store_true", help="go on to root=/dev/... (amd64)")
    a = p.parse_args()
    try:
        extra = modules(a.guests, a.modules.split(",")) if a.modules else ()
        data = make_root(a.guests) if a.root else make(a.guests, a.arch, extra)
    except guests.Missing as e:
        sys.exit("initramfs: %s" % e)
    with open(a.out, "wb") as f:
        f.write(data)


if __name__ == "__main__":
    main()
