"""rsp - a client of the GDB remote serial protocol, and a machine to point it at."""
import os
import shutil
import socket
import subprocess
import tempfile
import time
import xml.etree.ElementTree as ElementTree

TIMEOUT = 60  # seconds; only decides when something hung is given up


class Failure(Exception):
    pass


def check(condition, *what):
    if not condition:
        raise Failure(" ".join(str(w) for w in what))


def equal(got, want, what):
    check(got == want, "%s: %r, not %r" % (what, got, want))


def frame(payload):
    """bytes of a packet; payload must be escaped already where it has to be."""
    return b"$" + payload + b"#%02x" % (sum(payload) & 0xff)


def escape(data):
    out = bytearray()
    for b in data:
        if b in b"#$}*":
            out += bytes([0x7d, b ^ 0x20])
        else:
            out.append(b)
    return bytes(out)


class Client:
    """One connection. `acks` until no_acks() is called."""

    def __init__(self, path, alive=lambda: True):
        tcp = isinstance(path, tuple)
        self.s = socket.socket(socket.AF_INET if tcp else socket.AF_UNIX)
        self.s.settimeout(TIMEOUT)
        limit = time.monotonic() + TIMEOUT
        while True:
            try:
                self.s.connect(path)
                break
            except (FileNotFoundError, ConnectionRefusedError, BlockingIOError):
                check(alive() and time.monotonic() < limit, "nobody listens at", path)
                time.sleep(0.02)
        self.data, self.acks = b"", True

    def close(self):
        self.s.close()

    def raw(self, data):
        self.s.sendall(data)

    def byte(self):
        if not self.data:
            try:
                self.data = self.s.recv(65536)
            except socket.timeout:
                raise Failure("no answer")
            check(self.data, "connection ended")
        b, self.data = self.data[:1], self.data[1:]
        return b

    def reply(self):
        """The next packet's payload, unescaped; its checksum must be right."""
        while True:
            b = self.byte()
            check(b in b"$+-", "stray byte", b)
            check(b != b"-", "the server did not take our packet")
            if b == b"$":
                break
        payload = bytearray()
        while True:
            b = self.byte()
            if b == b"#":
                break
            payload += b
        total = self.byte() + self.byte()
        equal(int(total, 16), sum(payload) & 0xff, "checksum")
        if self.acks:
            try:
                self.raw(b"+")
            except (BrokenPipeError, ConnectionResetError):
                pass  # after the last answer, or the answer to a detach
        out, i = bytearray(), 0
        while i < len(payload):
            if payload[i] == 0x7d:
                i += 1
                out.append(payload[i] ^ 0x20)
            else:
                out.append(payload[i])
            i += 1
        return bytes(out)

    def ask(self, payload):
        self.raw(frame(payload.encode() if isinstance(payload, str) else payload))
        return self.reply().decode("latin-1")

    def no_acks(self):
        equal(self.ask("QStartNoAckMode"), "OK", "QStartNoAckMode")
        self.acks = False

    def monitor(self, command):
        """(text, final reply) of gdb's monitor command."""
        text, answer = "", self.ask("qRcmd," + command.encode().hex())
        while answer.startswith("O") and answer != "OK":
            text += bytes.fromhex(answer[1:]).decode()
            answer = self.reply().decode()
        return text, answer

    def description(self):
        """target.xml, fetched in small parts; the list of (name, bytes)."""
        text = ""
        while True:
            part = self.ask("qXfer:features:read:target.xml:%x,%x" % (len(text), 777))
            text += part[1:]
            if part[0] == "l":
                break
            equal(part[0], "m", "qXfer")
        root = ElementTree.fromstring(text)
        regs = []
        for r in root.iter("reg"):
            equal(int(r.get("regnum")), len(regs), "regnum of " + r.get("name"))
            regs.append((r.get("name"), int(r.get("bitsize")) // 8))
        self.regs = regs
        self.arch = root.find("architecture").text
        self.features = [f.get("name") for f in root.iter("feature")]
        return regs

    def number(self, name):
        return [n for n, _ in self.regs].index(name)

    def read(self, name):
        return int.from_bytes(bytes.fromhex(self.ask("p%x" % self.number(name))), "little")

    def write(self, name, value):
        size = self.regs[self.number(name)][1]
        return self.ask("P%x=%s" % (self.number(name), value.to_bytes(size, "little").hex()))


class Machine:
    """trivisor run with a ROM made here. As a context: what is left is killed."""

    def __init__(self, program, code, *options, gdb="", hold=True):
        self.dir = tempfile.mkdtemp(prefix="trivisor-gdb-")
        self.socket = os.path.join(self.dir, "gdb")
        rom, out = os.path.join(self.dir, "rom"), os.path.join(self.dir, "out")
        with open(rom, "wb") as f:
            f.write(code if len(code) >= 65536 else
                    code.ljust(0xfff0, b"\xf4") + b"\xea\x00\x00\x00\xf0".ljust(16, b"\xf4"))
        self.out = open(out, "w+b")  # text() reads it elsewhere: the child writes at its place
        args = [program, "run", "-display", "none", "-serial", "null", "-debugcon", "stdio",
                "-no-reboot", "-m", "16", "-rom", rom, "-gdb", "unix:" + self.socket + gdb]
        self.process = subprocess.Popen(args + (["-S"] if hold else []) + list(options),
                                        stdin=subprocess.DEVNULL, stdout=self.out,
                                        stderr=subprocess.STDOUT)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        text = self.text()
        self.out.close()
        shutil.rmtree(self.dir, ignore_errors=True)
        check("Sanitizer" not in text and "runtime error" not in text, text)

    def text(self):
        with open(self.out.name, "rb") as f:
            return f.read().decode("latin-1")

    def connect(self):
        return Client(self.socket)

    def until(self, what, name):
        """Waits for what() to be true and returns it."""
        limit = time.monotonic() + TIMEOUT
        while True:
            got = what()
            if got:
                return got
            check(self.process.poll() is None, "ended while waiting for", name, self.text())
            check(time.monotonic() < limit, "no", name, "in", self.text())
            time.sleep(0.02)

    def listens(self):
        self.until(lambda: os.path.exists(self.socket), "socket")

    def wait(self, status):
        try:
            equal(self.process.wait(TIMEOUT), status, "exit status; " + self.text())
        except subprocess.TimeoutExpired:
            raise Failure("did not end")
