"""guests - where the unpacked Debian packages keep what the system tests boot.

./dev downloads and unpacks them (docs/testing.md); nothing is installed on the host. Each function
returns a path or raises Missing with the sentence a skipped test gives as its reason.
"""
import glob
import os
import shutil


class Missing(Exception):
    """Something a case needs is not on this machine."""


def _newest(guest_dir, pattern, what):
    found = sorted(glob.glob(os.path.join(guest_dir, pattern)))
    if not found:
        raise Missing("%s is not there (./dev setup test fetches it)" % what)
    return found[-1]


def kernel(guest_dir):
    return _newest(guest_dir, "linux-image-*/boot/vmlinuz-*", "Debian's linux-image-amd64")


def module_dir(guest_dir):
    return _newest(guest_dir, "linux-image-*/lib/modules/*", "Debian's linux-image-amd64")


def busybox(guest_dir):
    try:
        return _newest(guest_dir, "busybox-static/bin/busybox", "busybox-static")
    except Missing:
        return _newest(guest_dir, "busybox-static/usr/bin/busybox", "busybox-static")


def installer(guest_dir, arch):
    """(kernel, initrd) of the text installer."""
    base = "debian-installer-*-netboot-%s/usr/lib/debian-installer/images/*/%s/text/" \
           "debian-installer/%s/" % (arch, arch, arch)
    what = "debian-installer-netboot-" + arch
    return _newest(guest_dir, base + "linux", what), _newest(guest_dir, base + "initrd.gz", what)


def memtest(guest_dir, arch):
    """arch: x64 or ia32. Debian 13 dropped the file's long name."""
    try:
        return _newest(guest_dir, "memtest86+/boot/memtest86+%s.bin" % arch, "memtest86+")
    except Missing:
        return _newest(guest_dir, "memtest86+/boot/mt86+%s" % arch, "memtest86+")


def tool(name, package):
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if not path:
        raise Missing("%s is not installed (package %s)" % (name, package))
    return path


def host_file(path, package):
    if not os.path.exists(path):
        raise Missing("%s is not there (package %s)" % (path, package))
    return path
