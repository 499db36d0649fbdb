"""vm - runs an emulator under a pseudo-terminal and talks to the guest's serial console.

The same case runs on trivisor and on QEMU (to check the case itself): both take the options that
are spelled alike. PATIENCE, in seconds, is generous on purpose: it only decides when a hung guest is
given up.
"""
import errno
import os
import pty
import re
import select
import signal
import subprocess
import time

PATIENCE = 300
ESCAPES = re.compile(rb"\x1b(\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|[=>78])")


class Failure(Exception):
    """The guest or the emulator did not do what the case wants."""


def appears(path, process=None):
    """Waits for a file (a socket) that a process makes."""
    limit = time.monotonic() + PATIENCE
    while not os.path.exists(path):
        if process and process.poll() is not None:
            raise Failure("ended with %d, without %s" % (process.returncode, path))
        if time.monotonic() > limit:
            raise Failure("%s does not appear" % path)
        time.sleep(0.05)


class Vm:
    """One running emulator. Use as a context manager: leaving kills what is left of it."""

    def __init__(self, command, cwd=None):
        self.command = command
        self.text = b""      # all output so far
        self.at = 0          # where the next expect() begins to look
        self.started = time.monotonic()
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, cwd=cwd,
                                        start_new_session=True, close_fds=True)
        os.close(slave)
        os.set_blocking(self.master, False)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self.master)

    def _pump(self, seconds):
        """Takes output for at most `seconds`; False at its end."""
        ready, _, _ = select.select([self.master], [], [], max(0, seconds))
        if not ready:
            return True
        try:
            data = os.read(self.master, 65536)
        except OSError as e:
            if e.errno in (errno.EAGAIN, errno.EINTR):
                return True
            return False  # EIO: the other end is closed
        self.text += data
        return bool(data)

    def sleep(self, seconds):
        """Takes output for so long; False once it has ended."""
        limit = time.monotonic() + seconds
        while self._pump(limit - time.monotonic()):
            if time.monotonic() >= limit:
                return True
        return False

    def tail(self, lines=40):
        text = ESCAPES.sub(b"", self.text).decode("utf-8", "replace").replace("\r", "")
        return "\n".join(text.splitlines()[-lines:])

    def _fail(self, what):
        raise Failure("%s after %.0f s; the console's end:\n%s"
                      % (what, time.monotonic() - self.started, self.tail()))

    def expect(self, pattern, timeout=PATIENCE, never=None):
        """Waits for a regular expression in what came since the last one; returns the match.

        never: a pattern whose appearance (e.g. a kernel panic) ends the wait at once.
        """
        want = re.compile(pattern.encode(), re.S)
        bad = re.compile(never.encode()) if never else None
        limit = time.monotonic() + timeout
        alive = True
        while True:
            m = want.search(self.text, self.at)
            if m:
                self.at = m.end()
                return m
            if bad and bad.search(self.text, self.at):
                self._fail("saw %r while waiting for %r" % (never, pattern))
            if not alive:
                self._fail("the emulator ended (status %s) while waiting for %r"
                           % (self.process.wait(PATIENCE), pattern))
            left = limit - time.monotonic()
            if left <= 0:
                self._fail("no %r" % pattern)
            alive = self._pump(left)

    def send(self, text, piece=8, pause=0.02):
        """Types text, in small pieces: a serial port's FIFO has 16 bytes, a BIOS's buffer 15 keys."""
        data = text.encode()
        while data:
            try:
                n = os.write(self.master, data[:piece])
                data = data[n:]
            except BlockingIOError:
                pass
            until = time.monotonic() + pause
            while self._pump(until - time.monotonic()) and time.monotonic() < until:
                pass

    def command_output(self, command, timeout=PATIENCE):
        """Runs a shell command in the guest; (exit status, output). The marker is computed by the
        guest's shell, so that the echo of what we typed does not match."""
        self.send("%s; echo \"<<\"$?\">>\"\n" % command)
        start = self.at
        m = self.expect(r"<<(\d+)>>", timeout, never="Kernel panic")
        out = self.text[start:m.start()].decode("utf-8", "replace").replace("\r", "")
        return int(m.group(1)), out

    def wait(self, timeout=PATIENCE):
        """Waits for the emulator to end; its exit status (negative: a signal)."""
        limit = time.monotonic() + timeout
        while self._pump(min(0.5, max(0, limit - time.monotonic()))):
            if time.monotonic() >= limit:
                self._fail("the emulator did not end")
        try:
            return self.process.wait(max(1, limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._fail("the emulator closed its console but did not end")

    def cpu_seconds(self):
        """CPU time the emulator has used, user and system."""
        with open("/proc/%d/stat" % self.process.pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Emulator:
    """How to start one: `name` is trivisor or qemu."""

    def __init__(self, name, program):
        self.name, self.program = name, program

    def start(self, *options, flat=None, snapshot=True):
        """options: those both know (-m, -kernel, -hda ...). flat: a ROM run without firmware."""
        if self.name == "qemu":
            command = [self.program, "-accel", "tcg", "-nographic", "-no-reboot",
                       "-device", "isa-debug-exit,iobase=0x501,iosize=2"]
            command += [] if "-nic" in options else ["-net", "none"]
            command += ["-bios", flat] if flat else []
        else:
            command = [self.program, "run", "-nographic", "-no-reboot"]
            command += ["-rom", flat] if flat else []
        return Vm(command + [str(o) for o in options])
