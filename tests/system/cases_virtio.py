"""cases_virtio - Debian's stock kernel with its own virtio drivers, from modules in the initramfs."""
import hashlib
import os
import socket
import stat
import subprocess
import threading
import time

from run import case
import guests
import initramfs
import media
import vm

APPEND = "console=ttyS0,115200 panic=-1"
PANIC = "Kernel panic|end Kernel|BUG: |Oops:"
MODULES = ["virtio_pci", "virtio_mmio", "virtio_blk", "virtio_rng", "virtio_console",
           "9pnet_virtio", "9p", "virtio_balloon", "virtio_input", "evdev", "crc32c_generic", "ext4"]


def ext4(c, name, mib):
    path = os.path.join(c.work, name)
    with open(path, "wb") as f:
        f.truncate(mib << 20)
    subprocess.run([guests.tool("mkfs.ext4", "e2fsprogs"), "-q", "-F", path], check=True)
    return path


def check_ext4(path):
    r = subprocess.run([guests.tool("e2fsck", "e2fsprogs"), "-fn", path], capture_output=True,
                       text=True)
    if r.returncode:
        raise vm.Failure("e2fsck says %d:\n%s" % (r.returncode, r.stdout))


def file_of(path, name):
    """A file's contents, out of an ext4 image."""
    r = subprocess.run([guests.tool("debugfs", "e2fsprogs"), "-R", "cat %s" % name, path],
                       capture_output=True, check=True)
    return r.stdout


def shell(c, *options, more=(), extra=()):
    modules = initramfs.modules(c.guests, MODULES + list(more))
    initrd = c.write("initrd", initramfs.make(c.guests, "amd64", modules + list(extra)))
    return c.emu.start("-m", "256", "-kernel", guests.kernel(c.guests), "-initrd", initrd,
                       "-append", APPEND, *options)


def do(v, command, wants="", timeout=vm.PATIENCE):
    status, out = v.command_output(command, timeout)
    if status or wants not in out:
        raise vm.Failure("%s: status %d\n%s" % (command, status, out))
    return out


def use_devices(c, *options):
    disk = ext4(c, "disk", 128)
    folder = os.path.join(c.work, "folder")
    os.makedirs(os.path.join(folder, "sub"), exist_ok=True)
    data = os.urandom(3000000)
    with open(os.path.join(folder, "sub", "data"), "wb") as f:
        f.write(data)
    with open(os.path.join(c.work, "secret"), "w") as f:
        f.write("secret")
    if not os.path.islink(os.path.join(folder, "out")):
        os.symlink("../secret", os.path.join(folder, "out"))
    with shell(c, "-drive", "file=%s,if=virtio,format=raw,serial=abc" % disk, "-virtio-rng",
               "-share", folder, "-share", folder + ",tag=again,ro", *options) as v:
        v.expect("init: Linux", 400, never=PANIC)
        v.expect("trivisor# ", never=PANIC)
        do(v, "cat /sys/block/vda/serial", "abc")
        do(v, "head -c 100000 /dev/hwrng | wc -c", "100000")
        do(v, "mkdir /d /s /r; mount -t ext4 /dev/vda /d")
        do(v, "for d in s:share r:again; do mount -t 9p -o trans=virtio,version=9p2000.L,"
              "msize=262144 ${d#*:} /${d%:*} || exit; done")
        do(v, "md5sum /s/sub/data /r/sub/data | uniq -w 32 -d", hashlib.md5(data).hexdigest())
        # through the disk, from its file after the caches are dropped, and back to the host
        do(v, "cp /s/sub/data /d/data && sync && echo 3 > /proc/sys/vm/drop_caches")
        do(v, "md5sum /d/data", hashlib.md5(data).hexdigest())
        do(v, "cp /d/data /s/back && mv /s/back /s/sub/came-back")
        do(v, "i=0; while [ $i -lt 200 ]; do echo $i > /d/f$i; i=$((i+1)); done; rm /d/f1*; sync")
        do(v, "ls /s | wc -l", "2")
        do(v, "! cat /s/out")
        do(v, "! touch /r/new", "Read-only")
        do(v, "fstrim -v /d", "trimmed")
        do(v, "umount /d /s /r")
        v.send("poweroff -f\n")
        status = v.wait()
        if status != 0:
            raise vm.Failure("exit status %d after poweroff -f" % status)
    check_ext4(disk)
    if file_of(disk, "/data") != data or file_of(disk, "/f77") != b"77\n":
        raise vm.Failure("the image does not hold what was written")
    with open(os.path.join(folder, "sub", "came-back"), "rb") as f:
        if f.read() != data:
            raise vm.Failure("the shared folder does not hold what was written")


@case
def virtio_devices(c):
    """disk, random bytes and shared folders by virtio under Debian's kernel"""
    use_devices(c)


@case
def virtio_interp(c):
    """the same on the interpreter"""
    use_devices(c, "-engine", "interp")


@case
def virtio_microvm(c):
    """the same over virtio-mmio"""
    use_devices(c, "-machine", "microvm")


@case
def virtio_boot(c):
    """SeaBIOS and GRUB from a virtio disk, with the drivers they have of their own"""
    initrd = c.write("initrd", initramfs.make(c.guests, "amd64"))
    disk = media.grub_disk(c.work, guests.kernel(c.guests), initrd, APPEND)
    with c.emu.start("-m", "256", "-drive", "file=%s,if=virtio,format=raw,readonly=on" % disk) as v:
        v.expect("GRUB loads the kernel")
        v.expect("trivisor# ", 400, never=PANIC)
        v.send("poweroff -f\n")
        if v.wait() != 0:
            raise vm.Failure("no orderly end")


@case
def virtio_qcow2(c):
    """a qcow2 disk, which qemu-nbd serves"""
    image, raw, sock = (os.path.join(c.work, n) for n in ("disk.qcow2", "disk.raw", "sock"))
    qemu_img = guests.tool("qemu-img", "qemu-utils")
    subprocess.run([qemu_img, "convert", "-O", "qcow2", ext4(c, "disk", 64), image], check=True)
    server = subprocess.Popen([guests.tool("qemu-nbd", "qemu-utils"), "-k", sock, "-f", "qcow2",
                               image])
    try:
        vm.appears(sock, server)
        with shell(c, "-drive", "file=nbd:unix:%s,if=virtio" % sock) as v:
            v.expect("trivisor# ", 400, never=PANIC)
            do(v, "mkdir /d; mount -t ext4 /dev/vda /d; seq 1 100000 > /d/f; fstrim /d; umount /d")
            v.send("poweroff -f\n")
            v.wait()
        server.wait(vm.PATIENCE)
    finally:
        server.kill()
    subprocess.run([qemu_img, "convert", "-O", "raw", image, raw], check=True)
    check_ext4(raw)
    if file_of(raw, "/f") != "".join("%d\n" % n for n in range(1, 100001)).encode():
        raise vm.Failure("the image does not hold what was written")


def take_all(sock):
    data = b""
    while True:
        part = sock.recv(65536)
        if not part:
            return data
        data += part


@case
def virtio_vsock(c):
    """sockets between guest and host, either way, with more than fits under way"""
    program = os.path.join(c.work, "vsock_guest")
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vsock_guest.c")
    subprocess.run([guests.tool("cc", "gcc"), "-O", "-static", "-o", program, source], check=True)
    with open(program, "rb") as f:
        extra = [("bin/vs", stat.S_IFREG | 0o755, f.read(), (0, 0))]
    path = os.path.join(c.work, "vsock")
    service = socket.socket(socket.AF_UNIX)
    service.bind(path + "_80")
    service.listen(1)
    service.settimeout(vm.PATIENCE)
    got = []

    def serve():
        s, _ = service.accept()
        got.append(take_all(s))
        s.sendall(b"so much: %d\n" % len(got[0]))
        s.close()
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with shell(c, "-vsock", path + ",cid=77", more=["vmw_vsock_virtio_transport"],
               extra=extra) as v:
        v.expect("trivisor# ", 400, never=PANIC)
        do(v, "! vs connect 81 < /dev/null")
        do(v, "seq 1 100000 | vs connect 80", "so much: 588895")
        thread.join(vm.PATIENCE)
        if not got or hashlib.md5(got[0]).digest() != hashlib.md5(
                "".join("%d\n" % n for n in range(1, 100001)).encode()).digest():
            raise vm.Failure("the host got %r..." % got[:1])
        v.send("vs echo 22 &\n")
        v.expect("listens at 22", never=PANIC)
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(vm.PATIENCE)
        s.connect(path)
        s.sendall(b"CONNECT 22\n")
        answer = s.makefile("rb").readline()
        if not answer.startswith(b"OK "):
            raise vm.Failure("the answer to CONNECT: %r" % answer)
        data = os.urandom(500000)
        sender = threading.Thread(target=lambda: s.sendall(data), daemon=True)
        sender.start()
        back = b""
        while len(back) < len(data):
            part = s.recv(65536)
            if not part:
                break
            back += part
        if back != data:
            raise vm.Failure("%d of %d bytes came back, or others" % (len(back), len(data)))
        s.close()
        do(v, "wait")
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(vm.PATIENCE)
        s.connect(path)
        s.sendall(b"CONNECT 23\n")
        if s.recv(100):
            raise vm.Failure("nobody listens at 23")
        v.send("poweroff -f\n")
        v.wait()
    if os.path.exists(path):
        raise vm.Failure("%s is still there" % path)


@case
def virtio_balloon(c):
    """memory that the guest frees goes back to the host; a console and a port carry bytes"""
    port = os.path.join(c.work, "port")
    hvc = os.path.join(c.work, "hvc")
    with shell(c, "-virtio-balloon", "-virtio-input", "-virtio-console", "file:" + hvc,
               "-virtio-port", "org.test,file:" + port) as v:
        v.expect("trivisor# ", 400, never=PANIC)
        do(v, "grep -c Trivisor /proc/bus/input/devices", "2")
        do(v, "cat /sys/class/virtio-ports/*/name", "org.test")
        do(v, "for p in /sys/class/virtio-ports/*; do if grep -q org.test $p/name; then "
              "echo to the port > /dev/${p##*/}; fi; done")
        do(v, "echo to the console > /dev/hvc0")

        def shared():
            with open("/proc/%d/smaps_rollup" % v.process.pid) as f:
                return sum(int(line.split()[1]) for line in f if line.startswith("Rss:")) >> 10
        do(v, "mkdir /t; mount -t tmpfs -o size=150m t /t; dd if=/dev/zero of=/t/big bs=1M count=100")
        full = shared()
        do(v, "rm /t/big")
        limit = time.monotonic() + vm.PATIENCE
        while shared() >= full - 60:  # reporting takes its time, two seconds between rounds
            if time.monotonic() > limit:
                raise vm.Failure("%d MiB with the file, %d without" % (full, shared()))
            v.sleep(0.5)
        do(v, "uname -r")
        v.send("poweroff -f\n")
        v.wait()
    for path, text in ((port, "to the port"), (hvc, "to the console")):
        with open(path) as f:
            if text not in f.read():
                raise vm.Failure("%s did not arrive" % text)
