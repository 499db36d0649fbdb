"""cases_disk - disks that must keep what they are given: patterns verified, machines killed.

fio comes out of the Debian root file system (debian_root.py), which is mounted read-only beside the
disks under test; no part of Debian runs but fio and its libraries.
"""
import os
import random
import re
import stat
import subprocess

from run import case
from cases_pv import vmlinux
from cases_virtio import PANIC, do, ext4, file_of
import debian_root
import guests
import initramfs
import nbd_lossy
import vm

APPEND = "console=ttyS0,115200 panic=-1 quiet"
MODULES = ["virtio_pci", "virtio_mmio", "virtio_blk", "ata_piix", "sd_mod", "crc32c_generic",
           "ext4"]
MIB = 1 << 20
DISK_MIB = 40
# Each job has a part of the disk to itself. iodepth is what the guest's block layer holds ready;
# direct: nothing of it is answered from the guest's memory.
FIO = """[global]
ioengine=libaio
direct=1
verify=crc32c
verify_fatal=1
verify_state_save=0
randseed=%(seed)d
stonewall

[sequential-128k]
rw=write
bs=128k
iodepth=4
size=12m

[sequential-4k]
rw=write
bs=4k
iodepth=16
offset=12m
size=2m

[random-4k]
rw=randwrite
bs=4k
iodepth=32
offset=14m
size=6m

[random-512]
rw=randwrite
bs=512
iodepth=8
offset=20m
size=256k

[random-mixed]
rw=randwrite
bssplit=512/10:4k/50:20k/20:64k/20
iodepth=16
offset=22m
size=12m
fsync=16
"""


def serve_qcow2(c, name):
    """A fresh qcow2 image and the qemu-nbd that serves it, once."""
    image, sock = os.path.join(c.work, name + ".qcow2"), os.path.join(c.work, name + ".sock")
    if not os.path.exists(image):
        subprocess.run([guests.tool("qemu-img", "qemu-utils"), "create", "-q", "-f", "qcow2", image,
                        "%dM" % DISK_MIB], check=True)
    server = subprocess.Popen([guests.tool("qemu-nbd", "qemu-utils"), "-k", sock, "-f", "qcow2",
                               image])
    vm.appears(sock, server)
    return server, "file=nbd:unix:" + sock


def fio(v, device, seed, *options):
    """fio on a device of the guest; what it says if it fails."""
    v.send("cat > /m/tmp/%s << 'END'\n%sEND\n" % (device, FIO % {"seed": seed}))
    return v.command_output("chroot /m sh -c 'cd /tmp && fio --filename=/dev/%s --output=out "
                            "--minimal %s %s'; s=$?; [ $s = 0 ] || cat /m/tmp/out; (exit $s)"
                            % (device, " ".join(options), device), 400)


def verified(c, bus, devices):
    """Writes and verifies a raw disk and a qcow2 one, which are these devices; again after a
    restart, and once more after something was changed."""
    initrd = c.write("initrd", initramfs.make(c.guests, "amd64",
                                              initramfs.modules(c.guests, MODULES)))
    root = "file=%s,if=virtio,format=raw,readonly=on" % debian_root.image(c.guests)
    raw = os.path.join(c.work, "raw")
    with open(raw, "wb") as f:
        f.truncate(DISK_MIB * MIB)
    for turn in ("write", "again"):
        server, qcow2 = serve_qcow2(c, "disk")
        try:
            with c.emu.start("-m", "256", "-kernel", guests.kernel(c.guests), "-initrd", initrd,
                             "-append", APPEND, "-drive", root,
                             "-drive", "file=%s,format=raw,if=%s" % (raw, bus),
                             "-drive", qcow2 + ",if=" + bus) as v:
                v.expect("trivisor# ", 400, never=PANIC)
                do(v, "mkdir /m; mount -t ext4 -o ro,noload /dev/vda /m; mount -t tmpfs t /m/tmp; "
                      "mount -o bind /dev /m/dev; mount -t proc p /m/proc")
                for seed, device in enumerate(devices, 3):
                    status, out = fio(v, device, seed, *(["--verify_only"] if turn == "again" else []))
                    if status:
                        raise vm.Failure("%s, %s: fio's status %d: %s" % (device, turn, status, out))
                if turn == "again":
                    # can it fail? one bit of the image is turned over behind the guest's back
                    with open(raw, "r+b") as f:
                        f.seek(15 * MIB + 1000)
                        byte = f.read(1)[0]
                        f.seek(15 * MIB + 1000)
                        f.write(bytes([byte ^ 16]))
                    status, out = fio(v, devices[0], 3, "--verify_only")
                    if not status:
                        raise vm.Failure("fio sees no difference: %s" % out)
                v.send("poweroff -f\n")
                if v.wait() != 0:
                    raise vm.Failure("exit status %d" % v.process.returncode)
            server.wait(vm.PATIENCE)
        finally:
            server.kill()
            server.wait()
    subprocess.run([guests.tool("qemu-img", "qemu-utils"), "check", "-q",
                    os.path.join(c.work, "disk.qcow2")], check=True)


@case
def disk_virtio(c):
    """fio by virtio: patterns written, verified, verified again after a restart; raw and qcow2"""
    verified(c, "virtio", ("vdb", "vdc"))


@case
def disk_ide(c):
    """the same by IDE"""
    verified(c, "ide", ("sda", "sdb"))


# ---- kill -9 --------------------------------------------------------------------------------

RECORD = 64  # killed_guest.c


def records(last):
    return b"".join(b"record %08u, then %041u\n" % (n, n * 2654435761) for n in range(1, last + 1))


def hold_against(image, last):
    """The file system is sound once its journal was replayed, and has every record that was said."""
    e2fsck = guests.tool("e2fsck", "e2fsprogs")
    for option, good in (("-fy", (0, 1)), ("-fn", (0,))):
        r = subprocess.run([e2fsck, option, image], capture_output=True, text=True)
        if r.returncode not in good:
            raise vm.Failure("e2fsck %s %s: %d: %s" % (option, image, r.returncode, r.stdout))
        if "WARNING" in r.stdout and option == "-fn":
            raise vm.Failure("e2fsck %s %s: %s" % (option, image, r.stdout))
    log = file_of(image, "/log") if last else b""
    if log[:last * RECORD] != records(last):
        raise vm.Failure("%s: %d records were said to be durable, not all of %d bytes are those"
                         % (image, last, len(log)))


def killed_guest(c, modules):
    """An initramfs whose only program is killed_guest."""
    program = os.path.join(c.work, "killed_guest")
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "killed_guest.c")
    subprocess.run([guests.tool("cc", "gcc"), "-O", "-static", "-o", program, source], check=True)
    with open(program, "rb") as f:
        entries = [("init", stat.S_IFREG | 0o755, f.read(), (0, 0))]
    entries += [("dev", stat.S_IFDIR | 0o755, b"", (0, 0)),
                ("dev/console", stat.S_IFCHR | 0o600, b"", (5, 1))]
    return c.write("initrd", initramfs.write(entries + initramfs.modules(c.guests, modules)))


def killed(c, times, disks, modules, *options, cut=False):
    """disks: {name in the guest: bus}. Kills the machine so many times, at moments that are as
    random as they repeat (but for what the host is doing); with cut, the disks lose their power in
    the same moment."""
    moment = random.Random(20)
    kernel, initrd = vmlinux(c), killed_guest(c, modules)
    images = {name: ext4(c, name, 24) for name in disks}
    last, lost = dict.fromkeys(disks, 0), 0
    for turn in range(times):
        drives, servers = [], {}
        for name, bus in disks.items():
            where = images[name] + ",format=raw"
            if cut:
                where = c.path("%s-%d.sock" % (name, turn))
                servers[name] = nbd_lossy.Lossy(images[name], where)
                where = "nbd:unix:" + where
            drives += ["-drive", "file=%s,if=%s" % (where, bus)]
        with c.emu.start("-m", "128", *options, *drives, "-kernel", kernel, "-initrd", initrd,
                         "-append", APPEND + " mitigations=off -- " + " ".join(disks)) as v:
            for name in disks:
                v.at = 0
                for _ in range(moment.randint(1, 12)):
                    v.expect(r"%s \d+\r" % name, 400, never=PANIC + "|guest: ")
            v.sleep(moment.uniform(0, 0.05))
            v.process.kill()
            v.process.wait()
            while v.sleep(1):
                pass
        for name in disks:
            if cut:
                lost += servers[name].cut(moment)
                servers[name].close()
            said = [int(n) for n in re.findall(rb"%s (\d+)\r" % name.encode(), v.text)]
            # the first may be later than the next one: durable, but killed before it said so
            if said[0] <= last[name] or said != list(range(said[0], said[-1] + 1)):
                raise vm.Failure("%s: %d before, now %r" % (name, last[name], said))
            last[name] = said[-1]
            hold_against(images[name], last[name])
    if cut and not lost:
        raise vm.Failure("no disk lost anything: what was flushed is not told from what was not")


@case
def disk_killed(c):
    """kill -9, 20 times: 10 on the pc board writing by virtio and IDE, 10 on microvm"""
    killed(c, 10, {"vda": "virtio", "sda": "ide"},
           ["virtio_pci", "virtio_blk", "ata_piix", "sd_mod", "crc32c_generic", "ext4"])
    killed(c, 10, {"vda": "virtio"}, ["virtio_mmio", "virtio_blk", "crc32c_generic", "ext4"],
           "-machine", "microvm")


@case
def disk_power_cut(c):
    """the same when the disks lose a random half of what was not flushed: virtio and IDE"""
    killed(c, 5, {"vda": "virtio", "sda": "ide"},
           ["virtio_pci", "virtio_blk", "ata_piix", "sd_mod", "crc32c_generic", "ext4"], cut=True)
