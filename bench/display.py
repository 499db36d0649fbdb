#!/usr/bin/env python3
"""display - what the window costs: CPU time with -display sdl against -display none.

  display.py --program build/frontends/trivisor --rom build/roms/modes/modes.rom [--seconds 8]
             [--engine bt] [--live]

The picture guest animates 1024x768x32 at 60 pictures a second, first every pixel, then one moving
square, for the same time with and without a window (under Xvfb, software rendering: no graphics
card helps). The figure is the difference of the processes' CPU time in percent of one core; the X
server's own is shown apart. --live: the live view's cost instead, window against window with it.
On a busy machine the guest makes fewer pictures: the line says how many.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time

TICKS = os.sysconf("SC_CLK_TCK")


def cpu(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Machine:
    def __init__(self, a, env, window):
        command = [a.program, "run", "-rom", a.rom, "-vgabios", "none", "-serial", "stdio",
                   "-engine", a.engine, "-display", "sdl,scale=integer" if window else "none"]
        self.p = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env,
                                  bufsize=0)
        self.expect(b"READY")

    def expect(self, word):
        line = self.p.stdout.readline()
        while word not in line:
            if not line:
                sys.exit("the machine ended")
            line = self.p.stdout.readline()
        return line

    def measure(self, key, seconds, x=None):
        """CPU seconds a second and pictures a second."""
        self.p.stdin.write(key)
        self.expect(b"MODE")
        time.sleep(1)
        began, before, server = time.monotonic(), cpu(self.p.pid), cpu(x) if x else 0
        time.sleep(seconds)
        spent, took = cpu(self.p.pid) - before, time.monotonic() - began
        server = (cpu(x) - server) / took if x else 0
        self.p.stdin.write(b"9")
        frames = int(self.expect(b"FRAMES").split()[1])
        return spent / took, frames / (took + 1), server

    def close(self):
        self.p.kill()
        self.p.wait()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--program", required=True)
    p.add_argument("--rom", required=True)
    p.add_argument("--engine", default="bt")
    p.add_argument("--seconds", type=float, default=8)
    p.add_argument("--live", action="store_true")
    a = p.parse_args()
    for tool in ["Xvfb"] + ["xdotool"] * a.live:
        if not shutil.which(tool):
            sys.exit("%s is not installed" % tool)
    a.program, a.rom = os.path.abspath(a.program), os.path.abspath(a.rom)
    folder = tempfile.mkdtemp(prefix="trivisor-bench-")
    r, w = os.pipe()
    x = subprocess.Popen(["Xvfb", "-displayfd", str(w), "-screen", "0", "1280x1024x24", "-nolisten",
                          "tcp", "-noreset"], pass_fds=[w], stderr=subprocess.DEVNULL)
    os.close(w)
    with os.fdopen(r) as f:
        env = dict(os.environ, DISPLAY=":" + f.readline().strip(), SDL_VIDEODRIVER="x11",
                   SDL_RENDER_DRIVER="software")
    try:
        for key, what in ((b"6", "every pixel"), (b"7", "a moving square")):
            m = Machine(a, env, a.live)
            base, base_rate, _ = m.measure(key, a.seconds, x.pid)
            if not a.live:
                m.close()
                m = Machine(a, env, True)
            else:
                xdo = ["xdotool", "search", "--name", "^Trivisor", "windowfocus", "--sync"]
                subprocess.run(xdo, env=env, check=True)
                subprocess.run(["xdotool", "key", "ctrl+alt+i"], env=env, check=True)
            cost, rate, server = m.measure(key, a.seconds, x.pid)
            m.close()
            print("%-16s %s %5.1f %% of a core: %5.1f %% at %4.1f/s, without %5.1f %% at %4.1f/s; "
                  "X server %4.1f %%" % (what, "live view" if a.live else "display",
                                         (cost - base) * 100, cost * 100, rate, base * 100,
                                         base_rate, server * 100), flush=True)
    finally:
        x.terminate()
        x.wait()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
