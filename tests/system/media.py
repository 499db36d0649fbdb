"""media - makes the bootable disks and CDs of the system tests, from Debian's own boot loaders."""
import os
import shutil
import struct
import subprocess

import guests

SECTOR = 512
GRUB_DIR = "/usr/lib/grub/i386-pc"

# The serial line is both the boot loader's console and the kernel's.
GRUB_CFG = """serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
set timeout=0
echo GRUB loads the kernel
linux /linux %s
initrd /initrd
boot
"""


def _run(*args):
    r = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if r.returncode:
        raise RuntimeError("%s failed:\n%s" % (" ".join(args), r.stdout))


def _tree(work, name, kernel, initrd):
    d = os.path.join(work, name)
    os.makedirs(d)
    shutil.copy(kernel, os.path.join(d, "linux"))
    shutil.copy(initrd, os.path.join(d, "initrd"))
    return d


def grub_iso(work, kernel, initrd, append):
    guests.host_file(os.path.join(GRUB_DIR, "moddep.lst"), "grub-pc-bin")
    guests.tool("xorriso", "xorriso")
    mkrescue = guests.tool("grub-mkrescue", "grub-common")
    d = _tree(work, "grub-iso", kernel, initrd)
    os.makedirs(os.path.join(d, "boot/grub"))
    with open(os.path.join(d, "boot/grub/grub.cfg"), "w") as f:
        f.write(GRUB_CFG % append)
    iso = os.path.join(work, "grub.iso")
    _run(mkrescue, "-d", GRUB_DIR, "-o", iso, d)
    return iso


def isolinux_iso(work, kernel, initrd, append):
    xorriso = guests.tool("xorriso", "xorriso")
    loader = guests.host_file("/usr/lib/ISOLINUX/isolinux.bin", "isolinux")
    module = guests.host_file("/usr/lib/syslinux/modules/bios/ldlinux.c32", "syslinux-common")
    d = _tree(work, "isolinux-iso", kernel, initrd)
    shutil.copy(loader, d)
    shutil.copy(module, d)
    with open(os.path.join(d, "isolinux.cfg"), "w") as f:
        f.write("SERIAL 0 115200\nDEFAULT l\nPROMPT 0\nTIMEOUT 0\n"
                "LABEL l\n KERNEL /linux\n APPEND initrd=/initrd %s\n" % append)
    iso = os.path.join(work, "isolinux.iso")
    _run(xorriso, "-as", "mkisofs", "-quiet", "-o", iso, "-b", "isolinux.bin", "-c", "boot.cat",
         "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", d)
    return iso


def grub_disk(work, kernel, initrd, append, megabytes=64):
    """A raw disk: GRUB in the MBR and the gap after it, one FAT partition from 1 MiB on.

    boot.img finds core.img at sector 1, and core.img its rest at sector 2, by their defaults.
    """
    guests.host_file(os.path.join(GRUB_DIR, "boot.img"), "grub-pc-bin")
    mkimage = guests.tool("grub-mkimage", "grub-common")
    mformat, mcopy = guests.tool("mformat", "mtools"), guests.tool("mcopy", "mtools")
    cfg, core, disk = (os.path.join(work, n) for n in ("early.cfg", "core.img", "disk.img"))
    with open(cfg, "w") as f:
        f.write("set root=(hd0,msdos1)\nset prefix=(hd0,msdos1)/\n" + GRUB_CFG % append)
    _run(mkimage, "-d", GRUB_DIR, "-O", "i386-pc", "-o", core, "-p", "(hd0,msdos1)/", "-c", cfg,
         "biosdisk", "part_msdos", "fat", "linux", "serial", "terminal", "echo", "boot", "minicmd")
    with open(core, "rb") as f:
        core_data = f.read()
    with open(os.path.join(GRUB_DIR, "boot.img"), "rb") as f:
        boot = bytearray(f.read())
    first = 2048
    sectors = megabytes * 2048 - first
    if len(core_data) > (first - 1) * SECTOR:
        raise RuntimeError("GRUB's core image does not fit in the gap")
    boot[446:510] = struct.pack("<B3sB3sII", 0x80, b"\xfe\xff\xff", 0x0c, b"\xfe\xff\xff", first,
                                sectors) + bytes(48)
    boot[510:512] = b"\x55\xaa"
    with open(disk, "wb") as f:
        f.truncate(megabytes << 20)
        f.write(boot)
        f.write(core_data)
    at = "%s@@%d" % (disk, first * SECTOR)
    _run(mformat, "-i", at, "-T", str(sectors), "-h", "255", "-s", "63", "-H", str(first), "::")
    _run(mcopy, "-i", at, kernel, "::linux")
    _run(mcopy, "-i", at, initrd, "::initrd")
    return disk


def mbr_disk(work, boot_sector, megabytes=2):
    """A raw disk with our own MBR (roms/mbr) and a counter in sector 1 that the guest advances."""
    disk = os.path.join(work, "mbr.img")
    with open(boot_sector, "rb") as f:
        boot = f.read()
    with open(disk, "wb") as f:
        f.truncate(megabytes << 20)
        f.write(boot)
        f.write(b"COUNTER0" + bytes(SECTOR - 8))
        f.seek(-SECTOR, os.SEEK_END)
        f.write(b"LAST SECTOR")
    return disk
