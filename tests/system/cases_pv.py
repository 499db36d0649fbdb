"""cases_pv - stock kernels told what they run on: what they say and do, on each engine."""
import os
import shutil
import subprocess

from run import case
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


def boot(c, *options):
    initrd = c.write("initrd", initramfs.make(c.guests, "amd64", with_libraries(detect())))
    return c.emu.start("-m", "256", "-kernel", guests.kernel(c.guests), "-initrd", initrd,
                       "-append", APPEND, *options)


def ask(v, command, want, absent=None):
    _, out = v.command_output(command)
    if want not in out or (absent and absent in out):
        raise vm.Failure("%s: %r" % (command, out))


def sees_kvm(c, *options):
    with boot(c, "-pv", "kvm", "-d", "guest", *options) as v:
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
        if v.wait(60) != 0:
            raise vm.Failure("exit status %d" % v.process.returncode)


@case
def pv_kvm_bt(c):
    """Debian's kernel finds KVM on the translator: clock, end of interrupts, systemd-detect-virt"""
    sees_kvm(c, "-engine", "bt")


@case
def pv_kvm_interp(c):
    """and on the interpreter"""
    sees_kvm(c, "-engine", "interp")


@case
def pv_none(c):
    """-pv none: the same kernel sees bare hardware"""
    with boot(c, "-pv", "none", "-d", "guest") as v:
        v.expect("trivisor# ", 400, never=PANIC)
        if b"Booting paravirtualized kernel on bare hardware" not in v.text:
            raise vm.Failure("not on bare hardware")
        for bad in (b"Hypervisor detected", b"kvm-clock", b"kvm-guest", b"kvm: "):
            if bad in v.text:
                raise vm.Failure("the console has %r" % bad)
        ask(v, CLOCKSOURCE, "\n", "kvm")
        ask_systemd(v, "\nnone")
        ask(v, "grep -c hypervisor /proc/cpuinfo", "\n0")
        v.send("poweroff -f\n")
        if v.wait(60) != 0:
            raise vm.Failure("exit status %d" % v.process.returncode)
