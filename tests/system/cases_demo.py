"""cases_demo - our own guest, without firmware: its text, its end, and what idling costs."""
import os
import re
import signal
import time

from run import case
import vm

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "demo.golden")


def normalised(text):
    """The console's text with what is measured (written after a tilde) taken out."""
    text = vm.ESCAPES.sub(b"", text).decode("ascii", "replace").replace("\r", "")
    text = re.sub(r"(processor|who runs us)( *)~.*", r"\1\2~", text)
    text = re.sub(r"~\d+", "~", text)
    begin = text.index("Trivisor demo:")
    return text[begin:text.index("Done", begin)]


def whole_demo(c, *options):
    with c.emu.start("-m", "16", *options, flat=c.rom("demo/demo.bin")) as v:
        v.expect("Done: power off", never=r"\[--\]|FAILED")
        if v.wait() != 0:
            raise vm.Failure("exit status %d after power-off" % v.process.returncode)
        got = normalised(v.text)
    with open(GOLDEN) as f:
        want = f.read()
    if got != want:
        raise vm.Failure("the text differs from %s:\n%s" % (GOLDEN, got))
    who = re.search(rb"who runs us +~(.*)", v.text).group(1)
    if c.emu.name == "trivisor" and b"Trivisor answers, emulator" not in who:
        raise vm.Failure("the hypercall was not answered: %r" % who)


@case
def demo(c):
    """the demo says what it always says, and powers the machine off"""
    whole_demo(c)


@case
def demo_engines(c):
    """and it says the same on every engine, under stress too"""
    for engine in ("interp", "generic", "interp-stress", "bt", "bt-hot", "bt-helpers", "bt-stress"):
        print("engine", engine)
        whole_demo(c, "-engine", engine)


def switched(c):
    """One run; how often the engine was changed."""
    with c.emu.start("-m", "16", "-engine", "bt-hot", flat=c.rom("demo/demo.bin")) as v:
        v.expect("Trivisor demo")  # before that the signal may still be the process's end
        n = 0
        while v.process.poll() is None and n < 5000:
            time.sleep(0.003)
            v.process.send_signal(signal.SIGUSR1)
            v._pump(0)
            n += 1
        v.expect("Done: power off", never=r"\[--\]|FAILED")
        if v.wait() != 0:
            raise vm.Failure("exit status %d" % v.process.returncode)
        with open(GOLDEN) as f:
            if normalised(v.text) != f.read():
                raise vm.Failure("the text differs after %d switches" % n)
    return n


@case
def demo_switched(c):
    """nor does it notice when SIGUSR1 changes the engine under it, every few milliseconds"""
    n = 0
    for _ in range(20):  # on a busy host a run may be over before there were many
        n += switched(c)
        if n >= 20:
            break
    print("%d switches" % n)
    if n < 3:
        raise vm.Failure("only %d switches" % n)


@case
def demo_small_cache(c):
    """nor the size of the code cache"""
    whole_demo(c, "-engine", "bt-hot,cache=256K")


@case
def demo_idle(c):
    """a guest asleep in HLT, woken 100 times a second, uses under 2 % of a host core"""
    with c.emu.start("-m", "16", flat=c.rom("demo/demo.bin")) as v:
        v.send("i")
        v.expect("idle until q")
        time.sleep(1)
        before, t0 = v.cpu_seconds(), time.monotonic()
        time.sleep(8)
        share = (v.cpu_seconds() - before) / (time.monotonic() - t0)
        v.send("q")
        v.expect("Done: power off")
        v.wait()
    print("idle: %.2f %% of a core" % (100 * share))
    if share > 0.02 and c.emu.name == "trivisor":
        raise vm.Failure("idle costs %.1f %% of a core" % (100 * share))
