#!/usr/bin/env python3
"""sanitized - runs a test of a sanitized build and looks for leaks that it would not tell of.

  sanitized.py TEST [ARGUMENT...]

Criterion runs each test in a process of its own and does not look at that one's status at its end,
which is where LeakSanitizer speaks. So its reports on stderr decide. What libcriterion itself
allocates and keeps is no leak of ours; a list of suppressions cannot say that, because it matches
any frame, and every test is called by libcriterion. Python's tests judge what they start themselves.
Status: the test's; 1 for a leak.
"""
import os
import re
import subprocess
import sys

LEAK = re.compile(r"^(?:Direct|Indirect) leak of .*\n((?: +#\d.*\n)*)", re.M)
ALLOCATOR = re.compile(r" #\d+ 0x\w+ in (__interceptor_|operator new)")


def ours(frames):
    """Whether who asked for the memory is anybody but libcriterion."""
    asked = [f for f in frames.splitlines() if not ALLOCATOR.search(f)]
    return not asked or "/libcriterion.so" not in asked[0]


def main():
    command = sys.argv[1:]
    with open(command[0], "rb") as f:
        compiled = b"__asan_init" in f.read()
    if not compiled:
        os.execvp(command[0], command)
    options = os.environ.get("LSAN_OPTIONS", "")
    r = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace",
                       env=dict(os.environ, LSAN_OPTIONS=(options + ":exitcode=0").strip(":")))
    sys.stderr.write(r.stderr)
    leaks = LEAK.findall(r.stderr)
    if any(map(ours, leaks)) or (not leaks and "LeakSanitizer" in r.stderr):
        print("sanitized: there are leaks")
        return r.returncode or 1
    return r.returncode if r.returncode >= 0 else 128 - r.returncode


if __name__ == "__main__":
    sys.exit(main())
