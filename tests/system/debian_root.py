#!/usr/bin/env python3
"""debian_root - makes the Debian root file system that system tests and `./dev demo debian` boot.

  debian_root.py --guests DIR [--mirror URL] [--offline]

debootstrap unpacks the packages into a folder, a few files there are changed (no password for root,
DHCP on every card), and mke2fs makes an ext4 image of the folder: root is needed, but neither loop
devices nor namespaces. There is no kernel and no module in it: the initramfs brings those
(initramfs.py --root). The image's name has a hash of this file, so that a change here makes a new
one; if it cannot be made, the reason is left beside it and skipped tests give it as theirs.
"""
import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import guests  # noqa: E402

# systemd as process 1, a compiler, who-runs-us programs, network by systemd-networkd and wget,
# a web server (busybox), fio for disks.
PACKAGES = ["systemd", "systemd-sysv", "udev", "dbus", "kmod", "iproute2", "wget", "busybox-static",
            "virt-what", "gcc", "libc6-dev", "fio", "e2fsprogs"]
SIZE = 1 << 30
MINUTES = 15  # then the registry counts as unreachable

FILES = {
    "etc/hostname": "debian\n",
    "etc/hosts": "127.0.0.1 localhost debian\n::1 localhost\n",
    "etc/resolv.conf": "nameserver 10.0.2.3\n",
    "etc/fstab": "",
    "etc/default/locale": "LANG=C.UTF-8\n",
    "etc/systemd/network/10-any.network": "[Match]\nName=e*\n\n[Network]\nDHCP=yes\n",
}
# They would reach for the registry, or read the whole disk, at a moment of their own.
MASKED = ["apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "fstrim.timer",
          "e2scrub_all.timer", "e2scrub_reap.service"]
# Not needed to run anything.
DROPPED = ["usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info",
           "var/cache/apt", "var/lib/apt/lists", "var/log/bootstrap.log"]


class Failed(Exception):
    """It cannot be made here; the text is the reason."""


def path(guest_dir):
    """Where the image is or would be."""
    with open(os.path.abspath(__file__), "rb") as f:
        digest = hashlib.sha256(f.read()).hexdigest()[:12]
    return os.path.join(guest_dir, "debian-root-%s.img" % digest)


def image(guest_dir):
    """The image's path. Raises guests.Missing with the reason it was not made."""
    p = path(guest_dir)
    if os.path.exists(p):
        return p
    reason = "./dev setup test makes it"
    if os.path.exists(p + ".failed"):
        with open(p + ".failed") as f:
            reason = f.read().strip()
    raise guests.Missing("the Debian root file system is not there (%s)" % reason)


def release():
    """(code name, mirror) of the host: its guest is of the same release."""
    name = platform.freedesktop_os_release().get("VERSION_CODENAME", "bookworm")
    r = subprocess.run(["apt-get", "indextargets", "--format", "$(SITE) $(CODENAME) $(COMPONENT)",
                        "Identifier: Packages"], capture_output=True, text=True)
    for line in r.stdout.splitlines():
        words = line.split()
        if words[1:] == [name, "main"]:
            return name, words[0]
    return name, None  # debootstrap has a default


def run(command, log, seconds):
    env = dict(os.environ, PATH="/usr/sbin:/usr/bin:/sbin:/bin", DEBIAN_FRONTEND="noninteractive",
               LC_ALL="C")
    try:
        r = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                           timeout=seconds, env=env)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise Failed(str(e))
    if r.returncode:
        log.seek(0)
        lines = [x.decode("utf-8", "replace").strip() for x in log if x.strip()]
        raise Failed("%s failed: %s" % (os.path.basename(command[0]), "; ".join(lines[-2:])))


def configure(root):
    for name, text in FILES.items():
        p = os.path.join(root, name)
        if os.path.lexists(p):
            os.unlink(p)
        with open(p, "w") as f:
            f.write(text)
    shadow = os.path.join(root, "etc/shadow")
    with open(shadow) as f:
        lines = [x.split(":") for x in f]
    with open(shadow, "w") as f:
        f.writelines(":".join([x[0], ""] + x[2:] if x[0] == "root" else x) for x in lines)
    units = os.path.join(root, "etc/systemd/system")
    for unit in MASKED:
        p = os.path.join(units, unit)
        if os.path.lexists(p):
            os.unlink(p)
        os.symlink("/dev/null", p)
    wants = os.path.join(units, "multi-user.target.wants")
    os.makedirs(wants, exist_ok=True)
    p = os.path.join(wants, "systemd-networkd.service")
    if not os.path.lexists(p):
        os.symlink("/lib/systemd/system/systemd-networkd.service", p)
    for name in DROPPED:
        p = os.path.join(root, name)
        if os.path.isdir(p):
            shutil.rmtree(p)
        elif os.path.lexists(p):
            os.unlink(p)
    os.makedirs(os.path.join(root, "var/cache/apt/archives/partial"))
    os.makedirs(os.path.join(root, "var/lib/apt/lists/partial"))


def unmount(root):
    """debootstrap mounts /proc and /sys inside and may have been stopped before it undid that."""
    with open("/proc/self/mounts") as f:
        inside = [x.split()[1] for x in f if x.split()[1].startswith(root + "/")]
    for p in sorted(inside, reverse=True):
        subprocess.run(["umount", p], check=False)


def give_up(guest_dir, reason):
    """Leaves the reason for the tests."""
    with open(path(guest_dir) + ".failed", "w") as f:
        f.write("%s\n" % reason)
    raise Failed(reason)


def make(guest_dir, mirror):
    out = path(guest_dir)
    work = tempfile.mkdtemp(prefix=".debian-root.", dir=guest_dir)
    root, partial = os.path.join(work, "root"), os.path.join(work, "image")
    try:
        if os.getuid():
            raise Failed("debootstrap needs root")
        name, found = release()
        with open(os.path.join(work, "log"), "w+b") as log:
            run([guests.tool("debootstrap", "debootstrap"), "--variant=minbase",
                 "--include=" + ",".join(PACKAGES), name, root]
                + ([mirror or found] if mirror or found else []), log, MINUTES * 60)
            unmount(root)
            configure(root)
            run([guests.tool("mke2fs", "e2fsprogs"), "-q", "-F", "-t", "ext4", "-d", root, "-L",
                 "debian", partial, "%dk" % (SIZE >> 10)], log, 600)
        os.rename(partial, out)
        os.chmod(out, 0o644)
    except (Failed, guests.Missing, OSError) as e:
        give_up(guest_dir, str(e))
    finally:
        unmount(root)
        subprocess.run(["rm", "-rf", "--one-file-system", work], check=False)
    for f in os.listdir(guest_dir):  # those of earlier versions of this file, and old reasons
        if f.startswith("debian-root-") and f != os.path.basename(out):
            os.unlink(os.path.join(guest_dir, f))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--guests", required=True)
    p.add_argument("--mirror", help="where the packages are (default: where the host's are from)")
    p.add_argument("--offline", action="store_true", help="make nothing, say whether it is there")
    a = p.parse_args()
    a.guests = os.path.realpath(a.guests)
    os.makedirs(a.guests, exist_ok=True)
    started = time.monotonic()
    if not os.path.exists(path(a.guests)):
        try:
            if a.offline:
                give_up(a.guests, "it is not made offline")
            make(a.guests, a.mirror)
        except Failed as e:
            sys.exit("debian_root: %s" % e)
        print("made in %.0f s:" % (time.monotonic() - started), file=sys.stderr)
    print(path(a.guests))


if __name__ == "__main__":
    main()
