"""cases_gdb - Debian's gdb on a Linux boot: from the reset vector to a shell."""
import os
import re
import subprocess
import time

from run import case
from cases_linux import APPEND, use_shell
import guests
import initramfs
import media
import vm

SYMBOLS = ("start_kernel", "linux_banner", "system_state", "do_idle")
SCRIPT = """
set pagination off
set confirm off
set remotetimeout 300
set architecture i386:x86-64
target remote %(socket)s
echo \\n-- reset vector\\n
info registers rip cs_base
x/1xb $cs_base + $rip
stepi
info registers rip cs_base

echo \\n-- the boot sector\\n
hbreak *0x7c00
continue
info registers rip cs_base cr0
x/1xh 0x7dfe
delete

echo \\n-- start_kernel\\n
break *%(start_kernel)s
continue
info registers rip cr3 cr4
print $ymm0.v4_int64
x/s %(linux_banner)s
monitor translate %(linux_banner)s
delete

echo \\n-- system_state\\n
watch *(int *) %(system_state)s
continue
continue
continue
print *(int *) %(system_state)s
info threads
delete

echo \\n-- idle\\n
tbreak *%(do_idle)s
continue
stepi
info registers rip
set $old = $ymm0.v4_int64[3]
set $ymm0.v4_int64[3] = 0x123456789
maintenance flush register-cache
print/x $ymm0.v4_int64
set $ymm0.v4_int64[3] = $old
detach
"""


def symbols(c, initrd):
    """Addresses of SYMBOLS: a kernel that is not moved about says them itself."""
    with c.emu.start("-m", "256", "-kernel", guests.kernel(c.guests), "-initrd", initrd,
                     "-append", APPEND + " nokaslr quiet") as v:
        v.expect("trivisor# ", 400)
        _, text = v.command_output("grep -E ' (%s)$' /proc/kallsyms" % "|".join(SYMBOLS))
        found = {m[1]: "0x" + m[0] for m in re.findall(r"([0-9a-f]{16}) \w (\w+)", text)}
        if set(found) != set(SYMBOLS):
            raise vm.Failure("kallsyms: %r" % text)
        return found


def run_gdb(v, script, log, seconds):
    """gdb in batch mode on a script, the console being read meanwhile; its output."""
    program = guests.tool("gdb", "gdb")
    with open(log, "wb") as out:
        gdb = subprocess.Popen([program, "-nx", "-batch", "-x", script], stdin=subprocess.DEVNULL,
                               stdout=out, stderr=subprocess.STDOUT)
    try:
        limit = time.monotonic() + seconds
        while gdb.poll() is None and time.monotonic() < limit:
            v._pump(0.1)
    finally:
        ended = gdb.poll()
        if ended is None:
            gdb.kill()
            gdb.wait()
    with open(log) as f:
        text = f.read()
    if ended != 0:
        raise vm.Failure("gdb: status %s:\n%s" % (ended, text))
    return text


def expect_all(text, patterns):
    """Each pattern behind the one before."""
    at = 0
    for p in patterns:
        m = re.compile(p, re.S).search(text, at)
        if not m:
            raise vm.Failure("gdb did not say %r after this:\n%s" % (p, text[:at + 2000]))
        at = m.end()


@case
def gdb_linux(c):
    """gdb: reset vector, boot sector, start_kernel, a watched variable, CR3, YMM0, then a shell"""
    initrd = c.write("initrd", initramfs.make(c.guests, "amd64"))
    guests.tool("gdb", "gdb")
    where = symbols(c, initrd)
    disk = media.grub_disk(c.work, guests.kernel(c.guests), initrd, APPEND + " nokaslr")
    socket = c.path("gdb.sock")
    script = c.write("script", (SCRIPT % dict(where, socket=socket)).encode())
    if c.emu.name != "trivisor":
        raise guests.Missing("the script is about Trivisor's own registers")
    with c.emu.start("-m", "256", "-drive", "file=%s,format=raw" % disk, "-snapshot", "-cpu",
                     "x86-64-v3", "-boot", "c", "-gdb", "unix:" + socket, "-S") as v:
        vm.appears(socket, v.process)
        text = run_gdb(v, script, c.path("gdb.log"), 900)
        if os.environ.get("SHOW_GDB"):
            print(text)
        expect_all(text, [
            r"-- reset vector", r"rip +0xfff0 ", r"cs_base +0xffff0000 ", r"0xfffffff0:\s+0xea",
            r"rip +0xe05b ", r"cs_base +0xf0000 ",
            r"-- the boot sector", r"rip +0x7c00 ", r"cs_base +0x0 ", r"0x7dfe:\s+0xaa55",
            r"-- start_kernel", r"rip +" + where["start_kernel"], r"cr3 +0x[0-9a-f]*000 ",
            r"\$1 = \{-?\d+, -?\d+, -?\d+, -?\d+\}", r'"Linux version ', r" -> [0-9a-f]+\n",
            r"-- system_state", r"Old value = 0\nNew value = 1", r"Old value = 1\nNew value = 2",
            r"Old value = 2\nNew value = [34]", r"\$2 = [34]", r"\* 1 +Thread 1 \(CPU 0",
            r"-- idle", r"rip +0x", r"0x123456789\}", r"detached"])
        use_shell(v, "x86_64", 400)
