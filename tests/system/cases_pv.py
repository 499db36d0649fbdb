"""cases_pv - stock kernels told what they run on: what they say and do, on each engine."""
import glob
import lzma
import os
import random
import re
import shutil
import subprocess

from run import case
import cases_linux
import guests
import initramfs
import vm

APPEND = "console=ttyS0,115200 panic=-1"
PANIC = "Kernel panic|end Kernel|BUG: |Oops:|soft lockup|clocksource: timekeeping watchdog"
CLOCKSOURCE = "cat /sys/devices/system/clocksource/clocksource0/current_clocksource"


def with_libraries(program):
    """Archive entries of a program installed on the host, with the libraries it loads."""
    files = {}
    if program:
        files[os.path.realpath(program)] = program
        r = subprocess.run(["ldd", program], capture_output=True, text=True)
        for word in r.stdout.split():
            if word.startswith("/"):
                files[os.path.realpath(word)] = word
    entries, folders = [], set()
    for real, path in files.items():
        parts = path.strip("/").split("/")
        for n in range(1, len(parts)):
            folder = "/".join(parts[:n])
            if folder not in folders and folder not in ("bin", "dev", "proc", "sys"):
                folders.add(folder)
                entries.append((folder, 0o040755, b"", (0, 0)))
        with open(real, "rb") as f:
            entries.append(("/".join(parts), 0o100755, f.read(), (0, 0)))
    return entries


def detect():
    """systemd-detect-virt, where the host has it."""
    return shutil.which("systemd-detect-virt")


def ask_systemd(v, want):
    if detect():
        ask(v, detect(), want)


def boot(c, *options, kernel=None):
    initrd = c.write("initrd", initramfs.make(c.guests, "amd64", with_libraries(detect())))
    return c.emu.start("-m", "256", "-kernel", kernel or guests.kernel(c.guests), "-initrd", initrd,
                       "-append", APPEND, *options)


def ask(v, command, want, absent=None):
    _, out = v.command_output(command)
    if want not in out or (absent and absent in out):
        raise vm.Failure("%s: %r" % (command, out))


def sees_kvm(c, *options, kernel=None):
    with boot(c, "-pv", "kvm", "-d", "guest", *options, kernel=kernel) as v:
        v.expect("trivisor# ", 400, never=PANIC)
        for want in (b"Hypervisor detected: KVM", b"Booting paravirtualized kernel on KVM",
                     b"kvm-clock: Using msrs 4b564d01 and 4b564d00", b"kvm: kvmclock on",
                     b"kvm: PV EOI on", b"kvm: steal time on",
                     b"Switched to clocksource kvm-clock"):
            if want not in v.text:
                raise vm.Failure("the console lacks %r" % want)
        ask(v, CLOCKSOURCE, "kvm-clock")
        ask_systemd(v, "\nkvm")
        # the guest's clock and ours, over some work
        ask(v, "sleep 3; grep -c hypervisor /proc/cpuinfo", "\n1")
        v.send("poweroff -f\n")
        if v.wait() != 0:
            raise vm.Failure("exit status %d" % v.process.returncode)


@case
def pv_kvm_bt(c):
    """Debian's kernel finds KVM on the translator: clock, end of interrupts, systemd-detect-virt"""
    sees_kvm(c, "-engine", "bt")


@case
def pv_kvm_interp(c):
    """and on the interpreter"""
    sees_kvm(c, "-engine", "interp")


def sees_nothing(c, *options):
    with boot(c, "-pv", "none", "-d", "guest", *options) as v:
        v.expect("trivisor# ", 400, never=PANIC)
        if b"Booting paravirtualized kernel on bare hardware" not in v.text:
            raise vm.Failure("not on bare hardware")
        for bad in (b"Hypervisor detected", b"kvm-clock", b"kvm-guest", b"kvm: "):
            if bad in v.text:
                raise vm.Failure("the console has %r" % bad)
        ask(v, CLOCKSOURCE, "\n", "kvm")
        ask_systemd(v, "\nnone")
        ask(v, "grep -c hypervisor /proc/cpuinfo", "\n0")
        v.send("reboot -f\n")
        if v.wait() != 6:
            raise vm.Failure("exit status %d after a reset" % v.process.returncode)


@case
def pv_none(c):
    """-pv none: the same kernel sees bare hardware"""
    sees_nothing(c)


# ---- microvm --------------------------------------------------------------------------------

@case
def microvm_bt(c):
    """the microvm board on the translator: KVM, a shell, power-off"""
    sees_kvm(c, "-machine", "microvm", "-engine", "bt")


@case
def microvm_interp(c):
    """and on the interpreter"""
    sees_kvm(c, "-machine", "microvm", "-engine", "interp")


@case
def microvm_none(c):
    """and without paravirtual clock: the PM timer tells the TSC's frequency; reset"""
    sees_nothing(c, "-machine", "microvm")


@case
def microvm_lockstep(c):
    """interpreter and translator agree over a whole boot of the board, kvmclock and all"""
    cases_linux.lockstep(c, guests.kernel(c.guests), "amd64", "interp,bt-hot", "-machine", "microvm",
                         "-pv", "kvm")


def vmlinux(c):
    """The ELF kernel inside Debian's bzImage (its payload, xz)."""
    with open(guests.kernel(c.guests), "rb") as f:
        d = f.read()
    start = (d[0x1f1] + 1) * 512 + int.from_bytes(d[0x248:0x24c], "little")
    size = int.from_bytes(d[0x24c:0x250], "little")
    return c.write("vmlinux", lzma.LZMADecompressor().decompress(d[start:start + size]))


@case
def microvm_pvh(c):
    """the uncompressed kernel by its PVH entry"""
    sees_kvm(c, "-machine", "microvm", kernel=vmlinux(c))


@case
def microvm_disks(c):
    """two virtio disks in virtio-mmio slots that the ACPI tables name: read, written"""
    modules = []
    for name in ("virtio_ring", "virtio", "virtio_mmio", "virtio_blk"):
        found = glob.glob(os.path.join(c.guests, "linux-image-*", "lib/modules/*/kernel/drivers",
                                       "*", name + ".ko"))
        if not found:
            raise guests.Missing("Debian's module %s.ko is not there" % name)
        with open(found[0], "rb") as f:
            modules.append((name + ".ko", 0o100644, f.read(), (0, 0)))
    initrd = c.write("initrd", initramfs.make(c.guests, "amd64", modules))
    data = random.Random(5).randbytes(1 << 22)
    one, two = c.write("one", data), c.write("two", bytes(1 << 22))
    with c.emu.start("-machine", "microvm", "-m", "256", "-kernel", guests.kernel(c.guests),
                     "-initrd", initrd, "-append", APPEND, "-drive",
                     "if=virtio,format=raw,file=" + one, "-drive",
                     "if=virtio,format=raw,file=" + two) as v:
        v.expect("trivisor# ", 400, never=PANIC)
        status, out = v.command_output("for m in virtio_ring virtio virtio_mmio virtio_blk; do "
                                       "insmod /$m.ko || echo bad; done; i=0; until grep -q vdb "
                                       "/proc/partitions || [ $i = 600 ]; do sleep 0.1; i=$((i+1)); done; "
                                       "cat /proc/partitions")
        if "vda" not in out or "vdb" not in out or "\nbad" in out:
            raise vm.Failure("no disks: %r" % out)
        status, out = v.command_output("dd if=/dev/vda of=/dev/vdb bs=64k; sync; echo done")
        v.send("poweroff -f\n")
        if v.wait() != 0:
            raise vm.Failure("exit status %d" % v.process.returncode)
    with open(two, "rb") as f:
        if f.read() != data:
            raise vm.Failure("the copy differs")


# ---- our own interface ----------------------------------------------------------------------

@case
def pvdemo(c):
    """the guest without drivers uses every hypercall of ours, on each engine and board"""
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "pvdemo.golden")) as f:
        want = f.read()
    for engine in ("interp", "generic", "bt", "bt-hot", "bt-helpers", "bt-stress"):
        for machine in ("pc", "microvm"):
            disk = c.write("disk", b"sector zero says hello".ljust(64 * 512, b"\0"))
            with c.emu.start("-engine", engine, "-machine", machine, "-pv", "trv", "-m", "16",
                             "-drive", "if=pv,format=raw,file=" + disk, "-kernel",
                             c.rom("pvdemo/pvdemo.elf")) as v:
                v.expect("Done: power off", never=r"\[--\]|FAILED")
                if v.wait() != 0:
                    raise vm.Failure("exit status %d" % v.process.returncode)
                got = re.sub(r"~(\d+|[a-z]+)", "~", v.text.decode().replace("\r", ""))
                got = got[got.index("Trivisor"):got.index("Done")]
                if got != want:
                    raise vm.Failure("%s, %s: %s" % (engine, machine, got))
            with open(disk, "rb") as f:
                d = f.read()
            if d[512:1536] != bytes((k * 7 + k // 256) & 255 for k in range(1024)) or any(d[1536:]):
                raise vm.Failure("the disk has not what was written")


@case
def pvdemo_alone(c):
    """and says so where nobody answers"""
    with c.emu.start("-pv", "none", "-m", "16", "-kernel", c.rom("pvdemo/pvdemo.elf")) as v:
        v.expect("nobody answers here")
        if v.wait() != 0:
            raise vm.Failure("exit status %d" % v.process.returncode)
