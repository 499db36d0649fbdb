"""cases_firmware - programs that run on SeaBIOS or on the bare machine, without an operating system."""
from run import case
import guests
import media
import vm


@case
def mbr_disk(c):
    """our own boot sector on a raw disk: BIOS calls, a sector written back, APM power-off"""
    disk = media.mbr_disk(c.work, c.rom("mbr/mbr.bin"))
    for boot in range(1, 3):
        with c.emu.start("-m", "32", "-drive", "file=%s,format=raw" % disk, "-boot", "c") as v:
            v.expect("MBR: started by the BIOS")
            v.expect("boot number %d" % boot)
            v.expect("last sector: LAST SECTOR")
            status = v.wait()
            if status != 0:
                raise vm.Failure("exit status %d after APM power-off" % status)
    with open(disk, "rb") as f:
        f.seek(512)
        sector = f.read(8)
    if sector != b"COUNTER2":
        raise vm.Failure("the disk's sector 1 is %r" % sector)


def memtest(c, arch):
    with c.emu.start("-m", "64", "-kernel", guests.memtest(c.guests, arch), "-append",
                     "console=ttyS0,115200") as v:
        v.expect("Memtest86")
        # The last test only waits: two fades of 80 seconds. Its menu (1) lets us skip (5) it.
        v.expect("#10 ", 900, never="Status: Failed|Unexpected interrupt")
        v.send("1")
        v.expect("Skip current test")
        v.send("5")
        m = v.expect(r"Status: (\w+).*?Pass: +1 +Errors: (\d+)")
        if m.group(2) != b"0":
            raise vm.Failure("memtest86+ found %s errors" % m.group(2).decode())


@case
def memtest_x64(c):
    """memtest86+ (64-bit): one pass over 64 MiB finds no error"""
    memtest(c, "x64")


@case
def memtest_ia32(c):
    """memtest86+ (32-bit): one pass over 64 MiB finds no error"""
    memtest(c, "ia32")
