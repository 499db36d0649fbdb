"""cases_solo5 - Solo5's test unikernels for its virtio target: a local check only.

They are not ours to ship and are built elsewhere, so these cases are not part of the suite. DIR is
the tests/ folder of a built Solo5 (DIR/test_hello/test_hello.virtio and so on):
  TRIVISOR_SOLO5=DIR tests/system/run.py solo5 solo5_blk solo5_net
  TRIVISOR_SOLO5=DIR tests/system/run.py --emu qemu solo5 ...          (the same on QEMU)
Each unikernel is a Multiboot kernel that finds its devices by the addresses firmware gave them,
drives them through the legacy registers, and ends the machine through the debug-exit port. The
network cases want what Solo5's own setup makes, as root: interfaces tap100 (10.0.0.1/24), tap101
(10.1.0.1/24) and tap102 (MTU 9000), and `ping`.
"""
import os
import subprocess

from run import case
import guests
import vm

ENGINES = ("bt", "interp")
DONE = 83  # 41 written to the debug-exit port


def kernel(name):
    folder = os.environ.get("TRIVISOR_SOLO5")
    path = os.path.join(folder or "", name, name + ".virtio")
    if not folder or not os.path.exists(path):
        raise guests.Missing("no %s in $TRIVISOR_SOLO5" % path)
    return path


def engines(c):
    return ENGINES if c.emu.name == "trivisor" else (None,)


def run(c, engine, name, says, *options, append=None, during=None, never=None):
    options = ["-m", "128", "-kernel", kernel(name), *options]
    options += ["-append", append] if append else []
    options += ["-engine", engine] if engine else []
    with c.emu.start(*options) as v:
        started = during(v) if during else []
        try:
            v.expect(says, 120)
            status = v.wait(60)
        finally:
            for process in started:
                process.kill()
                process.wait()
        if status != DONE:
            raise vm.Failure("%s ended with %d" % (name, status))
        if never and never.encode() in v.text:
            raise vm.Failure("%s said %r" % (name, never))


@case
def solo5(c):
    """Solo5's unikernels without devices: processor, exceptions, TLS, FPU, clock, both engines"""
    tests = (("hello", "SUCCESS", "Hello_Solo5"), ("quiet", "SUCCESS", "--solo5:quiet"),
             ("output", "Solo5 standalone test_output", "Output_Solo5"),
             ("globals", "SUCCESS", None), ("exception", "ABORT", None),
             ("zeropage", "ABORT", None), ("notls", "ABORT", None), ("tls", "SUCCESS", None),
             ("ssp", "ABORT", None), ("fpu", "SUCCESS", None), ("time", "SUCCESS", None))
    for engine in engines(c):
        for name, says, append in tests:
            run(c, engine, "test_" + name, says, append=append)


@case
def solo5_blk(c):
    """Solo5's test of virtio-blk, both engines"""
    for engine in engines(c):
        disk = c.write("disk.img", bytes(4 << 20))
        run(c, engine, "test_blk", "SUCCESS", "-drive", "file=%s,if=virtio,format=raw" % disk,
            never="unhandled irq")


def cards(c, *taps, mtu=None):
    options = []
    for number, tap in enumerate(taps):
        if not os.path.exists("/sys/class/net/" + tap):
            raise guests.Missing("there is no interface %s" % tap)
        quiet = "" if c.emu.name == "trivisor" else ",script=no,downscript=no"
        model = "virtio" if c.emu.name == "trivisor" else "virtio-net-pci"
        more = ",mtu=%d" % mtu if mtu and c.emu.name == "trivisor" else ""
        options += ["-nic", "tap,ifname=%s,model=%s,mac=52:54:00:12:34:%02x%s"
                    % (tap, model, 0x56 + number, quiet + more)]
    if mtu and c.emu.name != "trivisor":
        options += ["-global", "virtio-net-pci.host_mtu=%d" % mtu]
    return options


def pings(count, *addresses, pattern=None):
    """What a case starts when its unikernel serves: floods of pings, ended with it."""
    def start(v):
        v.expect("Serving ping", 60)
        command = [guests.tool("ping", "iputils-ping"), "-fq", "-c", str(count)]
        command += ["-p", pattern] if pattern else []
        return [subprocess.Popen(command + [a], stdout=subprocess.DEVNULL) for a in addresses]
    return start


@case
def solo5_net(c):
    """Solo5's tests of virtio-net: 100000 pings, two cards, payloads compared, both engines"""
    one, two = cards(c, "tap100"), cards(c, "tap100", "tap101")
    for engine in engines(c):
        run(c, engine, "test_net", "SUCCESS", *one, append="limit",
            during=pings(100000, "10.0.0.2"))
        run(c, engine, "test_net_2if", "SUCCESS", *two, append="limit",
            during=pings(50000, "10.0.0.2", "10.1.0.2"))
        run(c, engine, "test_net_ring", "SUCCESS", *one,
            during=pings(10010, "10.0.0.2", pattern="deadbeef"))


@case
def solo5_mtu(c):
    """Solo5's test of the MTU that virtio-net tells, which is the host interface's, both engines"""
    jumbo, usual = cards(c, "tap102", mtu=9000), cards(c, "tap102")
    for engine in engines(c):
        run(c, engine, "test_net_mtu", "MTU is 9000", *jumbo)
        run(c, engine, "test_net_mtu", "MTU is 1500", *usual)
