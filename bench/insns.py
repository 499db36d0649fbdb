#!/usr/bin/env python3
"""insns - host instructions per guest instruction, counted one by one.

  insns.py [--after TEXT] [--wait S] [--steps N] -- PROGRAM run ...

Starts a machine, waits for TEXT on its output and S seconds more, then single-steps its thread for N
host instructions. Each block of translated code begins by charging its guest instructions to the
slice (sub qword [rsp], n), a strip of a loop many rounds at once; those are added up as they pass. What runs outside the translator's
code is counted apart: C functions that it calls, and the interpreter (whose guest instructions are
not in the ratio). Give the machine -icount: real time does not stand still while we step.
"""
import argparse
import ctypes
import os
import re
import select
import signal
import subprocess
import sys
import time

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
LIBC.ptrace.restype = ctypes.c_long
SINGLESTEP, PEEKUSER, ATTACH, DETACH = 9, 3, 16, 17
R15, R14, RIP = 0, 8, 16 * 8  # of struct user_regs_struct
CHARGE = b"\x48\x81\x6c\x24\x00"  # sub qword [rsp + 0], imm32
STRIP = b"\x4c\x29\x7c\x24\x00"   # sub qword [rsp + 0], r15: many rounds of a loop at once
BACK = b"\x4c\x01\x74\x24\x00"    # add qword [rsp + 0], r14: what was not used of them


def ptrace(what, pid, addr=0, data=0):
    ctypes.set_errno(0)
    r = LIBC.ptrace(what, pid, addr, data)
    if r == -1 and ctypes.get_errno():
        raise OSError(ctypes.get_errno(), "ptrace: " + os.strerror(ctypes.get_errno()))
    return r


def code_range(pid):
    """The executable mapping of the translator's memory."""
    with open("/proc/%d/maps" % pid) as f:
        for line in f:
            m = re.match(r"([0-9a-f]+)-([0-9a-f]+) r-xs .*trivisor-bt", line)
            if m:
                return int(m[1], 16), int(m[2], 16)
    sys.exit("insns: no translated code in this process")


def wait_for(p, text, limit):
    seen, end = b"", time.monotonic() + limit
    while text not in seen:
        if time.monotonic() > end or p.poll() is not None:
            sys.exit("insns: the guest did not say %r" % text)
        if select.select([p.stdout], [], [], 1)[0]:
            seen = seen[-4096:] + os.read(p.stdout.fileno(), 4096)


def count(pid, steps):
    low, high = code_range(pid)
    guest = inside = 0
    with open("/proc/%d/mem" % pid, "rb", buffering=0) as mem:
        for _ in range(steps):
            rip = ptrace(PEEKUSER, pid, RIP)
            if low <= rip < high:
                inside += 1
                code = os.pread(mem.fileno(), 9, rip)
                if code.startswith(CHARGE):
                    guest += int.from_bytes(code[5:9], "little")
                elif code.startswith(STRIP):
                    guest += ptrace(PEEKUSER, pid, R15)
                elif code.startswith(BACK):
                    guest -= ptrace(PEEKUSER, pid, R14)
            ptrace(SINGLESTEP, pid)
            status = os.waitpid(pid, 0)[1]
            if not os.WIFSTOPPED(status):
                sys.exit("insns: the machine ended")
            if os.WSTOPSIG(status) != signal.SIGTRAP:
                sys.exit("insns: the machine got signal %d" % os.WSTOPSIG(status))
    return guest, inside


def main():
    a = argparse.ArgumentParser(usage=__doc__, add_help=False)
    a.add_argument("--after", default="")
    a.add_argument("--wait", type=float, default=0.5)
    a.add_argument("--steps", type=int, default=300000)
    a.add_argument("command", nargs="+")
    a = a.parse_args()
    p = subprocess.Popen(a.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        if a.after:
            wait_for(p, a.after.encode(), 120)
        time.sleep(a.wait)
        ptrace(ATTACH, p.pid)
        os.waitpid(p.pid, 0)
        guest, inside = count(p.pid, a.steps)
        if not guest:
            sys.exit("insns: no translated block began")
        print("%.2f host instructions per guest instruction (%d guest instructions; %.1f %% of the "
              "host's in translated code)" % (a.steps / guest, guest, 100 * inside / a.steps))
    finally:
        p.kill()


main()
