"""cases_linux - Debian's stock kernels to a shell: loaded directly, from CD, from a raw disk."""
import hashlib
import subprocess

from run import case
import guests
import initramfs
import media
import vm

APPEND = "console=ttyS0,115200 panic=-1"
PANIC = "Kernel panic|end Kernel|Unable to mount root|BUG: |Oops:"


STEP = 300  # seconds; a busy machine and the interpreter together can need a minute for a command


def use_shell(v, machine, boot_timeout):
    """Works at the shell as a person would, then powers off; checks each answer."""
    v.expect("init: Linux", boot_timeout, never=PANIC)
    v.expect("trivisor# ", STEP, never=PANIC)
    status, out = v.command_output("uname -m", STEP)
    if status or machine not in out:
        raise vm.Failure("uname -m: %r" % out)
    numbers = "".join("%d\n" % n for n in range(1, 5001)).encode()
    status, out = v.command_output("i=0; while [ $i -lt 5000 ]; do i=$((i+1)); echo $i; done | md5sum",
                                   STEP)
    if hashlib.md5(numbers).hexdigest() not in out:
        raise vm.Failure("md5sum: %r" % out)
    status, out = v.command_output("cat /proc/interrupts | head -n 3; false", STEP)
    if status != 1:
        raise vm.Failure("false returned %d" % status)
    v.send("sleep 1; poweroff -f\n")
    status = v.wait(STEP)
    if status != 0:
        raise vm.Failure("exit status %d after poweroff -f" % status)


@case
def linux_amd64(c):
    """linux-image-amd64 with a busybox initramfs to a shell on ttyS0, and power-off"""
    initrd = c.write("initrd", initramfs.make(c.guests, "amd64"))
    with c.emu.start("-m", "256", "-kernel", guests.kernel(c.guests), "-initrd", initrd,
                     "-append", APPEND) as v:
        use_shell(v, "x86_64", 400)


@case
def linux_interp(c):
    """the same on the interpreter"""
    initrd = c.write("initrd", initramfs.make(c.guests, "amd64"))
    with c.emu.start("-m", "256", "-engine", "interp", "-kernel", guests.kernel(c.guests),
                     "-initrd", initrd, "-append", APPEND) as v:
        use_shell(v, "x86_64", 400)


@case
def linux_small_cache(c):
    """the same with room for a hundredth of the code: emptied all the time"""
    initrd = c.write("initrd", initramfs.make(c.guests, "amd64"))
    with c.emu.start("-m", "256", "-engine", "bt,cache=512K", "-kernel", guests.kernel(c.guests),
                     "-initrd", initrd, "-append", APPEND) as v:
        use_shell(v, "x86_64", 400)


def lockstep(c, kernel, arch, engines, *options):
    initrd = c.write("initrd", initramfs.make(c.guests, arch))
    r = subprocess.run([c.emu.program, "lockstep", "-engines", engines, "-m", "256",
                        "-kernel", kernel, "-initrd", initrd, "-append", APPEND,
                        "-until", "trivisor#", *options], capture_output=True, text=True, timeout=1200)
    print(r.stdout[-2000:], r.stderr[-2000:])
    if r.returncode != 0 or "are equal over" not in r.stdout:
        raise vm.Failure("status %d" % r.returncode)


@case
def linux_lockstep(c):
    """interpreter and translator agree over a whole boot to the shell, registers and memory"""
    lockstep(c, guests.kernel(c.guests), "amd64", "interp,bt-hot")


@case
def i386_lockstep(c):
    """and over one of the i386 kernel"""
    lockstep(c, guests.installer(c.guests, "i386")[0], "i386", "interp,bt")


@case
def linux_i386(c):
    """the i386 installer's kernel with a busybox initramfs to a shell on ttyS0, and power-off"""
    kernel, _ = guests.installer(c.guests, "i386")
    initrd = c.write("initrd", initramfs.make(c.guests, "i386"))
    with c.emu.start("-m", "256", "-kernel", kernel, "-initrd", initrd, "-append", APPEND) as v:
        use_shell(v, "i686", 400)


@case
def installer_amd64(c):
    """the amd64 installer with its full initrd to its first screen"""
    kernel, initrd = guests.installer(c.guests, "amd64")
    # With less memory its first screen would be about that instead.
    with c.emu.start("-m", "1024", "-kernel", kernel, "-initrd", initrd, "-append", APPEND) as v:
        v.expect("Select a language", 600, never=PANIC)
        v.expect("English")


@case
def grub_iso(c):
    """a CD made by grub-mkrescue, through SeaBIOS and GRUB into Linux"""
    initrd = c.write("initrd", initramfs.make(c.guests, "amd64"))
    iso = media.grub_iso(c.work, guests.kernel(c.guests), initrd, APPEND)
    with c.emu.start("-m", "256", "-cdrom", iso, "-boot", "d") as v:
        v.expect("GRUB loads the kernel")
        use_shell(v, "x86_64", 400)


@case
def isolinux_iso(c):
    """a CD with isolinux, through SeaBIOS into Linux"""
    initrd = c.write("initrd", initramfs.make(c.guests, "amd64"))
    iso = media.isolinux_iso(c.work, guests.kernel(c.guests), initrd, APPEND)
    with c.emu.start("-m", "256", "-cdrom", iso, "-boot", "d") as v:
        v.expect("Loading /linux")
        use_shell(v, "x86_64", 400)


@case
def grub_disk(c):
    """a raw disk: GRUB in its MBR, kernel and initramfs on a FAT partition"""
    initrd = c.write("initrd", initramfs.make(c.guests, "amd64"))
    disk = media.grub_disk(c.work, guests.kernel(c.guests), initrd, APPEND)
    with c.emu.start("-m", "256", "-drive", "file=%s,format=raw" % disk, "-snapshot",
                     "-boot", "c") as v:
        v.expect("GRUB loads the kernel")
        use_shell(v, "x86_64", 400)
