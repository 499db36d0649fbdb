"""cases_debian - Debian as it is installed on a disk: systemd to a login, packages, gcc, the network.

The root file system is made by debian_root.py, the kernel is the stock one with an initramfs that
has its modules. What is asked for here a person would type at the login on the serial line.
"""
import hashlib
import os
import random
import subprocess

from run import case
from cases_net import Server, fetch, free_port
import debian_root
import guests
import initramfs
import vm

PANIC = "Kernel panic|end Kernel|BUG: |Oops:|soft lockup|clocksource: timekeeping watchdog"
# The kernel's words and, by -d guest, ours (it says nothing itself about PV EOI).
KVM = [b"Hypervisor detected: KVM", b"Booting paravirtualized kernel on KVM",
       b"kvm-clock: Using msrs 4b564d01 and 4b564d00", b"kvm: PV EOI on",
       b"Switched to clocksource kvm-clock"]
# What the kernel calls an error where there is no PCI (microvm), no performance counters and no
# hypervisor to excuse that.
EXPECTED = ["PCI: Fatal: No config space", "Failed to access perfctr msr"]
PROGRAM = """#include <math.h>
#include <stdio.h>
#include <string.h>
int main(int argc, char **argv)
{
    double sum = 0;
    for (int n = 1; n <= 100000; n++)
        sum += 1.0 / ((double)n * n);
    printf("%s says %.6f\\n", strrchr(argv[0], '/') + 1, sqrt(6 * sum));
    return argc;
}
"""


def boot(c, image, *options, append="", memory=512):
    """image: -drive's value for the root disk, without its interface, which options name."""
    initrd = c.write("initrd", initramfs.make_root(c.guests))
    return c.emu.start("-m", str(memory), "-kernel", guests.kernel(c.guests), "-initrd", initrd,
                       "-append", "console=ttyS0,115200 panic=-1 rw " + append, "-d",
                       "guest", "-drive", image,
                       *options)


def login(v, timeout=600):
    v.expect("debian login: ", timeout, never=PANIC)
    v.send("root\n")
    v.expect("root@debian:~# ", never=PANIC)
    # a terminal of 80 columns would wrap what we type
    ask(v, "export TERM=dumb PAGER=cat SYSTEMD_COLORS=0; stty cols 500")


def ask(v, command, want="", status=0, timeout=vm.PATIENCE):
    got, out = v.command_output(command, timeout)
    if got != status or want not in out:
        raise vm.Failure("%s: status %d, wanted %d and %r: %r" % (command, got, status, want, out))
    return out


def power_off(v):
    v.send("poweroff\n")
    status = v.wait()
    if status != 0:
        raise vm.Failure("exit status %d after poweroff" % status)


def virtualization(v, kvm):
    ask(v, "systemd-detect-virt", "\nkvm\n" if kvm else "\nnone\n", 0 if kvm else 1)
    facts = ask(v, "virt-what > what; wc -l < what; cat what", "\n1\nkvm\n" if kvm else "\n0\n")
    clock = ask(v, "cat /sys/devices/system/clocksource/clocksource0/current_clocksource")
    for text in KVM:
        if (text in v.text) != kvm:
            raise vm.Failure("%r is %son the console" % (text, "not " if kvm else ""))
    if ("\nkvm-clock" in clock) != kvm:
        raise vm.Failure("clock source %r (%r)" % (clock, facts))


def programs(v):
    ask(v, "apt-get --version", "apt 2.")
    ask(v, "dpkg --audit && dpkg -s gcc", "install ok installed")
    v.send("cat > sum.c << 'END'\n%sEND\n" % PROGRAM)
    ask(v, "gcc -O2 -Wall -o sum sum.c -lm")
    ask(v, "/root/sum", "sum says 3.141583", 1)


def network(v, server, data, port):
    digest = hashlib.sha256(data).hexdigest()
    ask(v, "/lib/systemd/systemd-networkd-wait-online --timeout=120")
    ask(v, "networkctl --no-pager", "routable")
    ask(v, "wget -nv -O fetched http://10.0.2.2:%d/f" % server.port)
    ask(v, "sha256sum fetched", digest)
    ask(v, "mkdir www; mv fetched www/f; systemd-run busybox httpd -f -p 80 -h /root/www")
    got = fetch("http://127.0.0.1:%d/f" % port, vm.PATIENCE)
    if hashlib.sha256(got).hexdigest() != digest:
        raise vm.Failure("what the guest served is not what it has: %d bytes" % len(got))


def use(c, image, kvm, model, *options, append="root=/dev/vda"):
    data = random.Random(11).randbytes(6 << 20)
    port = free_port()
    with Server(data) as server, \
            boot(c, image, "-nic", "user,model=%s,hostfwd=tcp:127.0.0.1:%d-:80" % (model, port),
                 *options, append=append) as v:
        login(v)
        state = v.command_output("systemctl is-system-running --wait")[1]
        if "\nrunning\n" not in state:
            raise vm.Failure("systemd is not content: %r; %r" %
                             (state, v.command_output("systemctl --failed --no-pager")))
        ask(v, "systemctl is-active multi-user.target", "\nactive\n")
        virtualization(v, kvm)
        programs(v)
        network(v, server, data, port)
        ask(v, "journalctl -b -p err -q --no-pager | grep -v -e '%s' > errors; cat errors; "
            "wc -l < errors" % "' -e '".join(EXPECTED), "\n0\n")
        power_off(v)


@case
def debian_virtio(c):
    """a Debian root by virtio on the pc board: systemd, login, gcc, a file each way, power-off"""
    disk = os.path.join(c.work, "root.img")
    subprocess.run(["cp", "--sparse=always", debian_root.image(c.guests), disk], check=True)
    use(c, "file=%s,if=virtio,format=raw" % disk, True, "virtio", "-virtio-rng")
    # it stays: the file system was unmounted, and holds what was compiled and fetched
    r = subprocess.run([guests.tool("e2fsck", "e2fsprogs"), "-fn", disk], capture_output=True,
                       text=True)
    if r.returncode:
        raise vm.Failure("e2fsck says %d:\n%s" % (r.returncode, r.stdout))
    r = subprocess.run([guests.tool("debugfs", "e2fsprogs"), "-R", "cat /root/sum.c", disk],
                       capture_output=True, check=True)
    if r.stdout != PROGRAM.encode():
        raise vm.Failure("the image does not hold what was written: %r" % r.stdout)


def unchanged(c):
    return "file=%s,format=raw,snapshot=on" % debian_root.image(c.guests)


@case
def debian_microvm(c):
    """the same on the microvm board"""
    use(c, unchanged(c) + ",if=virtio", True, "virtio", "-machine", "microvm", "-virtio-rng")


@case
def debian_ide(c):
    """the same on emulated hardware alone: IDE, e1000, -pv none; nothing in it sees a hypervisor"""
    use(c, unchanged(c), False, "e1000", "-pv", "none", append="root=/dev/sda")
