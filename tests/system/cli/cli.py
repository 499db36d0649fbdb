#!/usr/bin/env python3
"""cli - the command line as a person meets it: wrong input, and what goes in and out of a run.

  cli.py --program build/frontends/trivisor [NAME...]

Bad input is a table: arguments, the exit status, and what the one line on stderr must say. The
rest runs guests of a few bytes (guest_files.py). No firmware, no downloads. Sanitizer reports fail any
case. Last line: N passed, N failed, N skipped.
"""
import argparse
import fcntl
import glob
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import termios
import time

import bad_sound
import bad_virtio
from guest_files import Files

USAGE, HOST, RESET, TRIPLE, SIGNAL = 2, 4, 6, 8, 10
TIMEOUT = 60  # seconds; only decides when something hung is given up
SANITIZER = re.compile(r"Sanitizer|runtime error:|internal error")


class Failure(Exception):
    pass


def waiting(pid):
    """What each thread of a process that does not end is doing."""
    found = []
    try:
        r = subprocess.run(["gdb", "-batch", "-p", str(pid), "-ex", "thread 1", "-ex", "bt 12"],
                           capture_output=True, text=True, timeout=60)
        found += [line for line in r.stdout.splitlines() if line.startswith("#")]
    except (OSError, subprocess.TimeoutExpired):
        pass
    for task in glob.glob("/proc/%d/task/*" % pid):
        text = []
        for name in ("comm", "wchan", "syscall"):
            try:
                with open(os.path.join(task, name)) as f:
                    text.append(f.read().strip())
            except OSError as e:
                text.append(str(e))
        found.append(" ".join(text))
    return "; ".join(found)


# ---- bad input: name, arguments, status, what stderr says. @name is a file of Files. -----------

BAD = [
    ("command unknown", ["rnu"], USAGE, r"'rnu' \(did you mean 'run'\?\)"),
    ("command is an option", ["-m", "64"], USAGE, r"trivisor run -m"),
    ("command empty", [""], USAGE, r"unknown command ''"),
    ("help of nothing", ["help", "rune"], USAGE, r"did you mean 'run'"),

    ("option unknown", ["run", "-frobnicate"], USAGE, r"unknown option '-frobnicate'.*-help"),
    ("option misspelt", ["run", "-kernal", "x"], USAGE, r"did you mean '-kernel'"),
    ("option misspelt, two dashes", ["run", "--no-rebot"], USAGE, r"did you mean '-no-reboot'"),
    ("option of 10000 letters", ["run", "-" + "x" * 10000], USAGE, r"unknown option"),
    ("gdb nowhere", ["run", "-gdb", "com1"], USAGE, r"-gdb: 'com1': wants tcp:"),
    ("gdb without a port", ["run", "-gdb", "tcp:localhost"], USAGE, r"wants HOST:PORT"),
    ("gdb port too large", ["run", "-gdb", "tcp::65536"], USAGE, r"wants HOST:PORT"),
    ("gdb socket without a name", ["run", "-gdb", "unix:"], USAGE, r"unix:PATH"),
    ("gdb arch unknown", ["run", "-gdb", "tcp::1234,arch=arm"], USAGE, r"not 'arm'"),
    ("gdb option unknown", ["run", "-gdb", "tcp::1234,wait=on"], USAGE, r"not 'wait'"),
    ("hold without gdb", ["run", "-S"], USAGE, r"-S waits for a debugger"),
    ("gdb socket is a file", ["run", "-rom", "@idle.rom", "-display", "none", "-gdb", "unix:@text"],
     HOST, r"-gdb: .*not a socket"),
    ("loadvm nothing", ["run", "-loadvm", "/nonexistent/s", "-rom", "@idle.rom", "-nographic"], HOST,
     r"-loadvm: cannot open /nonexistent/s"),
    ("loadvm no snapshot", ["run", "-loadvm", "@text", "-rom", "@idle.rom", "-nographic"], HOST,
     r"-loadvm: \S+ is not a snapshot"),
    ("loadvm a folder", ["run", "-loadvm", "/tmp", "-rom", "@idle.rom", "-nographic"], HOST,
     r"-loadvm: /tmp is not a regular file"),
    ("loadvm key unknown", ["run", "-loadvm", "x,disk=any"], USAGE, r"knows FILE\[,disks=any\]"),
    ("monitor and serial on stdio", ["run", "-monitor", "stdio", "-serial", "stdio", "-rom",
                                     "@idle.rom"], USAGE, r"stdio is taken"),
    ("monitor nowhere", ["run", "-monitor", "com1", "-rom", "@idle.rom"], USAGE, r"none of stdio"),
    ("snapshot of nothing", ["snapshot"], USAGE, r"snapshot: info, verify or picture"),
    ("snapshot misspelt", ["snapshot", "inof", "x"], USAGE, r"did you mean 'info'"),
    ("snapshot info of text", ["snapshot", "info", "@text"], HOST, r"is not a snapshot"),
    ("snapshot verify of nothing", ["snapshot", "verify", "/nonexistent/s"], HOST, r"cannot open"),
    ("option is a dash", ["run", "-"], USAGE, r"'-' is no option"),
    ("option is two dashes", ["run", "--"], USAGE, r"unknown option"),
    ("no option", ["run", "@disk"], USAGE, r"given with -hda"),
    ("value missing", ["run", "-m"], USAGE, r"-m wants a value"),
    ("value missing, boot", ["run", "-boot"], USAGE, r"-boot wants a value"),
    ("value too many", ["run", "--stats=yes"], USAGE, r"-stats takes no value"),

    ("memory word", ["run", "-m", "lots"], USAGE, r"-m: 'lots' is no size"),
    ("memory empty", ["run", "-m", ""], USAGE, r"is no size"),
    ("memory zero", ["run", "-m", "0"], USAGE, r"1M to 64G"),
    ("memory negative", ["run", "-m", "-64"], USAGE, r"'-64' is no size"),
    ("memory fraction", ["run", "-m", "1.5G"], USAGE, r"is no size"),
    ("memory unit unknown", ["run", "-m", "64Q"], USAGE, r"is no size"),
    ("memory too little", ["run", "-m", "512K"], USAGE, r"1M to 64G"),
    ("memory too much", ["run", "-m", "65G"], USAGE, r"1M to 64G"),
    ("memory overflows", ["run", "-m", "99999999999999999999"], USAGE, r"is no size"),
    ("memory overflows by its unit", ["run", "-m", "18446744073709551615G"], USAGE, r"is no size"),
    ("memory not in pages", ["run", "-m", "1048577b"], USAGE, r"multiple of 4K"),

    ("cpu unknown", ["run", "-cpu", "host1"], USAGE, r"no CPU model 'host1' \(did you mean 'host'"),
    ("cpu empty", ["run", "-cpu", ""], USAGE, r"no CPU model ''"),
    ("machine unknown", ["run", "-machine", "q35"], USAGE, r"no machine 'q35'"),
    ("engine unknown", ["run", "-engine", "warp"], USAGE, r"no engine 'warp'"),
    ("engine's property unknown", ["run", "-engine", "bt,colour=red"], USAGE,
     r"-engine: .*(no property 'colour'|has no translator|-Dbt=false)"),
    ("engine without properties", ["run", "-engine", "interp,cache=1M"], USAGE, r"no property 'cache'"),
    ("code cache too small", ["run", "-engine", "bt,cache=1K"], USAGE, r"256K to 1G|-Dbt=false"),
    ("code cache no size", ["run", "-engine", "bt,cache=big"], USAGE, r"no size|-Dbt=false"),
    ("perf map of the interpreter", ["run", "-engine", "interp", "-perfmap"], USAGE,
     r"-perfmap: interp does not translate"),
    ("block at no address", ["run", "-dump-block", "main"], USAGE, r"'main' is no address"),
    ("personality unknown", ["run", "-pv", "kwm"], USAGE,
     r"no personality 'kwm' \(did you mean 'kvm'"),
    ("personality missing", ["run", "-pv"], USAGE, r"-pv wants a value"),
    ("several CPUs", ["run", "-smp", "4"], USAGE, r"one CPU"),
    ("no CPUs", ["run", "-smp", "0"], USAGE, r"no number of CPUs"),

    ("kernel missing", ["run", "-kernel", "@nowhere"], HOST, r"-kernel: .*nowhere: No such file"),
    ("kernel is a folder", ["run", "-kernel", "@dir"], HOST, r"is a directory"),
    ("kernel is a pipe", ["run", "-kernel", "@pipe"], HOST, r"not a regular file"),
    ("kernel empty", ["run", "-kernel", "@empty"], HOST, r"is empty"),
    ("kernel of one byte", ["run", "-kernel", "@one"], HOST, r"neither a Linux bzImage nor"),
    ("kernel is text", ["run", "-kernel", "@text"], HOST, r"neither a Linux bzImage nor"),
    ("kernel without magic", ["run", "-kernel", "@kernel-nomagic"], HOST, r"neither a Linux"),
    ("kernel without boot flag", ["run", "-kernel", "@kernel-noboot"], HOST, r"neither a Linux"),
    ("kernel too old", ["run", "-kernel", "@kernel-old"], HOST, r"boot protocol"),
    ("kernel loads low", ["run", "-kernel", "@kernel-low"], HOST, r"zImage"),
    ("kernel cut in its setup", ["run", "-kernel", "@kernel-setup"], HOST, r"truncated"),
    ("kernel cut", ["run", "-kernel", "@kernel-cut"], HOST, r"truncated"),
    ("kernel needs more memory", ["run", "-m", "16", "-kernel", "@kernel-big"], HOST, r"memory|fit"),
    ("kernel huge", ["run", "-kernel", "@huge"], HOST, r"too large"),
    ("kernel is an ELF file without PVH", ["run", "-kernel", "@elf"], HOST, r"elf"),
    ("kernel is a cut ELF file", ["run", "-kernel", "@elf-short"], HOST, r"elf-short"),
    ("kernel is a big-endian ELF file", ["run", "-kernel", "@elf32-big"], HOST, r"elf32-big"),
    ("initrd without kernel", ["run", "-initrd", "@disk"], USAGE, r"-initrd wants -kernel"),
    ("append without kernel", ["run", "-append", "quiet"], USAGE, r"-append wants -kernel"),
    ("initrd missing", ["run", "-kernel", "@kernel", "-initrd", "@nowhere"], HOST, r"-initrd: "),
    ("initrd huge", ["run", "-kernel", "@kernel", "-initrd", "@huge"], HOST, r"too large|fit"),
    ("command line too long", ["run", "-kernel", "@kernel", "-append", "x" * 5000], HOST,
     r"command line"),
    ("firmware missing", ["run", "-bios", "@nowhere"], HOST, r"-bios: .*No such file"),
    ("firmware of one byte", ["run", "-bios", "@one"], HOST, r"one"),
    ("firmware huge", ["run", "-bios", "@huge"], HOST, r"too large"),
    ("video firmware is a folder", ["run", "-vgabios", "@dir"], HOST, r"is a directory"),
    ("ROM missing", ["run", "-rom", "@nowhere"], HOST, r"-rom: "),
    ("ROM of one byte", ["run", "-rom", "@one"], HOST, r"one"),
    ("ROM and kernel", ["run", "-rom", "@idle.rom", "-kernel", "@kernel"], USAGE, r"not with -kern"),
    ("ROM and firmware", ["run", "-rom", "@idle.rom", "-bios", "@idle.rom"], USAGE, r"not with -b"),

    ("disk missing", ["run", "-hda", "@nowhere"], HOST, r"nowhere: No such file"),
    ("disk is a dangling link", ["run", "-hda", "@dangling"], HOST, r"dangling: No such file"),
    ("disk is a folder", ["run", "-hda", "@dir"], HOST, r"is a directory"),
    ("disk is a pipe", ["run", "-hda", "@pipe"], HOST, r"neither a regular file nor"),
    ("disk is a device of another kind", ["run", "-hda", "/dev/null"], HOST, r"neither a regular"),
    ("disk empty", ["run", "-hda", "@empty"], HOST, r"is empty"),
    ("disk without a name", ["run", "-hda", ""], USAGE, r"-hda: wants a path"),
    ("disk below a file", ["run", "-hda", "@disk/x"], HOST, r"Not a directory"),
    ("disk with a long name", ["run", "-hda", "x" * 5000], HOST, r"x{100}"),
    ("disk is QCOW", ["run", "-hda", "@qcow2"], HOST, r"is a QCOW image"),
    ("disk is VMDK", ["run", "-hdb", "@vmdk"], HOST, r"is a VMDK image"),
    ("disk is compressed", ["run", "-fda", "@gz"], HOST, r"compressed \(gzip\)"),
    ("disk used twice", ["run", "-hda", "@disk", "-hdb", "@disk"], HOST, r"in use"),
    ("place used twice", ["run", "-hda", "@disk", "-drive", "file=@odd,index=0"], USAGE,
     r"-hda and -drive are both the primary master"),
    ("CD and disk in one place", ["run", "-cdrom", "@iso", "-hdc", "@disk"], USAGE, r"secondary m"),
    ("five disks", ["run"] + ["-drive", "file=@disk"] * 5, USAGE, r"no more than 4"),
    ("many drives", ["run"] + ["-drive", "file=@disk"] * 15, USAGE, r"too many drives"),
    ("three floppies", ["run"] + ["-drive", "if=floppy,file=@floppy"] * 3, USAGE, r"no more than 2"),
    ("drive without a file", ["run", "-drive", "if=ide"], USAGE, r"wants file=PATH"),
    ("drive empty", ["run", "-drive", ""], USAGE, r"wants file=PATH"),
    ("drive with an empty file", ["run", "-drive", "file="], USAGE, r"file=: wants a path"),
    ("drive is a path", ["run", "-drive", "@disk"], USAGE, r"named by file="),
    ("drive key unknown", ["run", "-drive", "fil=@disk"], USAGE, r"did you mean 'file'"),
    ("drive key far off", ["run", "-drive", "file=@disk,werror=stop"], USAGE, r"no such key 'werror'"),
    ("drive commas", ["run", "-drive", ",=,=,,"], USAGE, r"no such key|wants file"),
    ("drive interface", ["run", "-drive", "file=@disk,if=scsi"], USAGE, r"if=scsi: wants ide, flo"),
    ("drive medium", ["run", "-drive", "file=@disk,media=tape"], USAGE, r"media=tape"),
    ("drive index", ["run", "-drive", "file=@disk,index=4"], USAGE, r"index=4"),
    ("network kind", ["run", "-nic", "usr"], USAGE, r"did you mean 'user'"),
    ("network without a kind", ["run", "-nic", "model=e1000"], USAGE, r"none of user, tap, socket"),
    ("network nothing", ["run", "-nic", ""], USAGE, r"none of user"),
    ("network none and some", ["run", "-nic", "none", "-nic", "user"], USAGE, r"do not go together"),
    ("old network option", ["run", "-net", "nic"], USAGE, r"see -nic"),
    ("five network cards", ["run"] + ["-nic", "user"] * 5, USAGE, r"at most 4 network"),
    ("network key", ["run", "-nic", "user,modle=e1000"], USAGE, r"did you mean 'model'"),
    ("network key far off", ["run", "-nic", "user,smb=/"], USAGE, r"user: no key 'smb'"),
    ("network key of another kind", ["run", "-nic", "tap,hostfwd=::1-:2"], USAGE, r"tap: no key"),
    ("network key without value", ["run", "-nic", "user,model"], USAGE, r"'model' wants a value"),
    ("network model", ["run", "-nic", "user,model=ne2k_pci"], USAGE, r"e1000 and virtio"),
    ("network MAC", ["run", "-nic", "user,mac=52:54:00:12:34"], USAGE, r"no MAC address"),
    ("network MAC of many", ["run", "-nic", "user,mac=53:54:00:12:34:56"], USAGE, r"multicast"),
    ("network forward", ["run", "-nic", "user,hostfwd=tcp:5555"], USAGE, r"hostfwd=tcp:5555: wants"),
    ("network forward port", ["run", "-nic", "user,hostfwd=tcp::65536-:22"], USAGE, r"hostfwd=.*wants"),
    ("network forward protocol", ["run", "-nic", "user,hostfwd=sctp::1-:22"], USAGE, r"hostfwd=.*want"),
    ("network forward address", ["run", "-nic", "user,hostfwd=tcp:localhost:1-:2"], USAGE, r"wants \["),
    ("network restrict", ["run", "-nic", "user,restrict=maybe"], USAGE, r"wants on or off"),
    ("network size", ["run", "-nic", "user,net=10.0.0.0/31"], USAGE, r"4 to 27 bits"),
    ("network place", ["run", "-nic", "user,net=10.9.0.0/16,dns=10.8.0.1"], USAGE, r"dns= is not ins"),
    ("network address", ["run", "-nic", "user,host=router"], USAGE, r"wants an address"),
    ("tap without a name", ["run", "-nic", "tap"], USAGE, r"wants ifname="),
    ("tap with a script", ["run", "-nic", "tap,ifname=t,script=/bin/up"], USAGE, r"no scripts"),
    ("socket without ends", ["run", "-nic", "socket,udp=127.0.0.1:1"], USAGE, r"localaddr="),
    ("socket end", ["run", "-nic", "socket,udp=here"], USAGE, r"wants ADDRESS:PORT"),
    ("drive index negative", ["run", "-drive", "file=@disk,index=-1"], USAGE, r"index=-1"),
    ("floppy index", ["run", "-drive", "file=@floppy,if=floppy,index=2"], USAGE, r"index=2"),
    ("floppy CD", ["run", "-drive", "file=@iso,if=floppy,media=cdrom"], USAGE, r"do not go together"),
    ("drive readonly", ["run", "-drive", "file=@disk,readonly=maybe"], USAGE, r"on or off"),
    ("drive snapshot", ["run", "-drive", "file=@disk,snapshot"], USAGE, r"on or off"),
    ("drive format", ["run", "-drive", "file=@disk,format=qcow2"], USAGE, r"format=qcow2: wants raw"),
    ("drive comma in a name", ["run", "-drive", "file=@a,b"], USAGE, r"no such key 'b'"),

    ("boot letter", ["run", "-boot", "cz"], USAGE, r"-boot: 'z' is none of"),
    ("boot letter twice", ["run", "-boot", "cc"], USAGE, r"twice"),
    ("boot empty", ["run", "-boot", ""], USAGE, r"wants letters"),
    ("boot key", ["run", "-boot", "menu=on"], USAGE, r"nothing else"),

    ("serial kind", ["run", "-serial", "stido"], USAGE, r"serial0: 'stido'.*did you mean 'stdio'"),
    ("serial empty", ["run", "-serial", ""], USAGE, r"serial0: ''"),
    ("serial file without a name", ["run", "-serial", "file:"], USAGE, r"wants a path"),
    ("serial file in no folder", ["run", "-serial", "file:@nowhere/x"], HOST, r"No such file"),
    ("serial file is a folder", ["run", "-serial", "file:@dir"], HOST, r"Is a directory"),
    ("serial socket without a name", ["run", "-serial", "unix:"], USAGE, r"wants a path"),
    ("serial socket missing", ["run", "-serial", "unix:@nowhere"], HOST, r"No such file"),
    ("serial socket is a file", ["run", "-serial", "unix:@disk,server,nowait"], HOST, r"not a socket"),
    ("serial socket key", ["run", "-serial", "unix:@s,sever"], USAGE, r"'sever'"),
    ("serial socket with a long name", ["run", "-serial", "unix:" + "x" * 200], USAGE, r"at most"),
    ("serial very long", ["run", "-serial", "x" * 5000], USAGE, r"too long"),
    ("serial twice on the terminal", ["run", "-serial", "stdio", "-serial", "stdio"], USAGE, r"one"),
    ("five serial ports", ["run"] + ["-serial", "null"] * 5, USAGE, r"at most 4"),
    ("debug console kind", ["run", "-debugcon", "tcp:1"], USAGE, r"debugcon: 'tcp:1'"),
    ("display unknown", ["run", "-display", "sld"], USAGE, r"no display 'sld' \(did you mean 'sdl'"),
    ("display without a session", ["run", "-display", "sdl"], HOST,
     r"-display: (no X or Wayland session|this build has no window)"),
    ("display scale", ["run", "-display", "sdl,scale=big"], USAGE, r"smooth, sharp or integer"),
    ("display key", ["run", "-display", "sdl,fulscreen=on"], USAGE, r"did you mean 'fullscreen'"),
    ("display none with keys", ["run", "-display", "none,scale=sharp"], USAGE, r"takes no keys"),
    ("display and -nographic", ["run", "-nographic", "-display", "sdl"], USAGE, r"-nographic has no screen: not with -display"),

    ("clock", ["run", "-rtc", "now"], USAGE, r"base=utc"),
    ("clock date", ["run", "-rtc", "base=2006-13-01"], USAGE, r"base=utc"),
    ("clock date with a tail", ["run", "-rtc", "base=2006-06-17x"], USAGE, r"base=utc"),
    ("clock too early", ["run", "-rtc", "base=1969-12-31"], USAGE, r"1970"),
    ("clock too late", ["run", "-rtc", "base=9999-01-01"], USAGE, r"2199"),
    ("icount", ["run", "-icount", "shift=11"], USAGE, r"shift of 0 to 10"),
    ("icount word", ["run", "-icount", "auto"], USAGE, r"shift of 0 to 10"),
    ("log", ["run", "-d", "gest"], USAGE, r"did you mean 'guest'"),
]


class Run:
    """Starts the program; what a failed case leaves running is killed after it."""

    def __init__(self, program, files):
        self.program, self.files, self.children = program, files, []

    def popen(self, args, **kw):
        p = subprocess.Popen(args, **kw)
        self.children.append(p)
        return p

    def clean(self):
        for p in self.children:
            if p.poll() is None:
                p.kill()
                p.wait()
        self.children = []

    def args(self, args):
        return [self.program] + [re.sub(r"@(?=[a-z])", self.files.dir + "/", a) for a in args]

    def start(self, *args, **kw):
        kw.setdefault("stdin", subprocess.DEVNULL)
        return self.popen(self.args(["run", *args]), stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, start_new_session=True, **kw)

    def finish(self, p, want, data=None, timeout=TIMEOUT):
        try:
            o, e = p.communicate(data, timeout=timeout)
        except subprocess.TimeoutExpired:
            waits = waiting(p.pid)
            p.kill()
            raise Failure("did not end (%s); stderr: %r" % (waits, p.communicate()[1][:200]))
        e = e.decode("utf-8", "replace") if e else ""
        if SANITIZER.search(e):
            raise Failure(e)
        if p.returncode != want:
            raise Failure("status %d, not %d; stderr: %s" % (p.returncode, want, e[:400]))
        return o, e

    def bad(self, args, status, says):
        p = self.popen(self.args(args), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        o, e = self.finish(p, status)
        lines = [x for x in e.splitlines() if not x.startswith("trivisor: no window (")]
        if len(lines) != 1 or not lines[0].startswith("trivisor: error: "):
            raise Failure("stderr is not one error line: %r" % e[:400])
        if not re.search(says, lines[0]):
            raise Failure("%r does not say %r" % (lines[0][:300], says))
        if o:
            raise Failure("stdout: %r" % o[:100])


# ---- what works -------------------------------------------------------------------------------

GOOD = []


def good(f):
    GOOD.append(f)
    return f


def need(condition, what):
    if not condition:
        raise Failure(what)


@good
def helps(r):
    """help, lists and the version go to stdout, status 0"""
    for args, says in ((["help"], "Commands"), (["--help"], "Commands"), (["-h"], "Commands"),
                       (["help", "run"], "-kernel"), (["run", "-help"], "Exit status"),
                       (["run", "--help"], "Exit status"), (["version"], "trivisor "),
                       (["--version"], "trivisor "), (["run", "-cpu", "help"], "    host"),
                       (["run", "-machine", "help"], "    pc"), (["run", "-engine", "help"], "interp")):
        p = r.popen(r.args(args), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        o, e = r.finish(p, 0)
        need(says in o.decode() and not e, "%s: %r %r" % (args, o[:100], e))
    p = r.popen(r.args([]), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    o, e = r.finish(p, USAGE)
    need("usage:" in e and not o, "no arguments: usage on stderr")


@good
def help_is_complete(r):
    """the help names real options, the manual page too, and its lines fit a terminal"""
    o = subprocess.run(r.args(["run", "-help"]), capture_output=True, text=True,
                       timeout=TIMEOUT).stdout
    names = re.findall(r"^  -(\S+)", o, re.M)
    need(len(names) > 25, "only %d options" % len(names))
    need(all(len(x) <= 100 for x in o.splitlines()), "a line is longer than 100 columns")
    with open(r.manual) as f:
        manual = f.read()
    for n in names:
        need(re.search(r"Fl %s\b" % re.escape(n), manual) or n == "help",
             "the manual page does not know -%s" % n)
        e = subprocess.run(r.args(["run", "-" + n, "-no-such-option", "-no-such-option"]),
                           capture_output=True, text=True, stdin=subprocess.DEVNULL,
                           timeout=TIMEOUT).stderr
        need("unknown option '-%s'" % n not in e, n)


@good
def exit_statuses(r):
    """debug exit, triple fault and reset are told apart"""
    for name, options, status in (("exit", [], 0x21), ("triple", ["-no-reboot"], TRIPLE),
                                  ("reset", ["-no-reboot"], RESET)):
        r.finish(r.start("-nographic", "-rom", "@%s.rom" % name, *options), status)
    _, e = r.finish(r.start("-nographic", "-rom", "@triple.rom", "-no-reboot", "-d", "guest"), TRIPLE)
    need("triple fault" in e and re.search(r"(?i)\b[er]?ip\b", e), "registers: %r" % e)


@good
def spellings(r):
    """-opt, --opt, --opt=value, and -flat for -rom"""
    r.finish(r.start("--nographic", "--m=2M", "--rom=@exit.rom"), 0x21)
    r.finish(r.start("-nographic", "-m", "size=1G", "-flat", "@exit.rom", "-boot", "order=dc",
                     "-cpu", "host", "-M", "pc", "-smp", "cpus=1", "-pv", "trv", "-icount", "-rtc",
                     "base=2006-06-17T16:01:21", "-name", "x", "-vgabios", "none"), 0x21)


@good
def drives(r):
    """images of every kind open; the file behind a snapshot stays"""
    r.finish(r.start("-nographic", "-rom", "@exit.rom", "-hda", "@disk", "-hdb", "@odd", "-cdrom",
                     "@iso", "-fda", "@floppy", "-drive", "file=@a,,b,index=3,format=raw"), 0x21)
    r.finish(r.start("-nographic", "-rom", "@exit.rom", "-snapshot", "-hda", "@disk", "-hdb", "@huge",
                     "-drive", "file=@qcow2,format=raw", "-drive", "if=ide,media=cdrom"), 0x21)
    r.finish(r.start("-nographic", "-rom", "@exit.rom", "-share", "/tmp,ro", "-virtfs",
                     "local,path=/tmp,mount_tag=b,security_model=none,id=x", "-virtio-console",
                     "null", "-virtio-port", "a.b,pty", "-virtio-console", "none",
                     "-virtio-balloon", "-virtio-input"), 0x21)
    r.finish(r.start("-nographic", "-rom", "@exit.rom", "-virtio-rng", "-drive",
                     "file=@disk,if=virtio,serial=a,queues=4", "-drive",
                     "file=@odd,if=virtio,readonly=on,index=7"), 0x21)


@good
def networks(r):
    """cards of both kinds; a port that is taken is the host's trouble"""
    r.finish(r.start("-nographic", "-rom", "@exit.rom", "-nic", "none"), 0x21)
    r.finish(r.start("-nographic", "-rom", "@exit.rom", "-net", "none"), 0x21)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        r.bad(["run", "-nographic", "-rom", "@exit.rom", "-nic",
               "user,hostfwd=tcp:127.0.0.1:%d-:22" % port], HOST,
              r"-nic: hostfwd: cannot listen on tcp 127.0.0.1:%d: Address already in use" % port)
    r.finish(r.start("-nographic", "-rom", "@exit.rom", "-nic",
                     "user,model=virtio,restrict=on,ipv6=off,hostfwd=:127.0.0.1:%d-10.9.0.15:22,"
                     "net=10.9.0.0/255.255.0.0,host=10.9.0.1,hostname=a,domainname=b" % port,
                     "-nic", "user,model=e1000,mac=02:00:00:00:00:01,id=n",
                     "-nic", "user,model=virtio,mtu=65521",
                     "-nic", "socket,udp=127.0.0.1:%d,localaddr=127.0.0.1:%d" % (port, port)), 0x21)


@good
def outputs(r):
    """serial ports and the debug console: terminal, files, nothing"""
    o, e = r.finish(r.start("-nographic", "-rom", "@hello.rom"), 1)
    need(o == b"hello\n", repr(o))
    r.finish(r.start("-display", "none", "-serial", "file:@out", "-debugcon", "file:@dbg", "-rom",
                     "@hello.rom"), 1)
    with open(r.files.path("out"), "rb") as f:
        need(f.read() == b"hello\n", "serial file")
    with open(r.files.path("dbg"), "rb") as f:
        need(f.read() == b"D", "debug console file")
    o, e = r.finish(r.start("-display", "none", "-rom", "@hello.rom"), 1)
    need(o == b"" and e == "", "-display none is silent: %r %r" % (o, e))
    o, e = r.finish(r.start("-rom", "@hello.rom"), 1)
    need(o == b"hello\n" and "no window" in e, "without -nographic: %r %r" % (o, e))
    for port in ("null", "none"):
        o, e = r.finish(r.start("-nographic", "-serial", port, "-rom", "@hello.rom"), 1)
        need(o == b"", repr(o))


@good
def stats(r):
    """-stats: a table on stderr"""
    o, e = r.finish(r.start("-nographic", "-stats", "-rom", "@exit.rom"), 0x21)
    need(re.search(r"^instructions +\d+$", e, re.M) and "device accesses" in e, e)


@good
def stats_json(r):
    """-stats-json: counters and exits by cause; a file that cannot be is told of at the start"""
    path = r.files.path("stats.json")
    r.finish(r.start("-nographic", "-stats-json", path, "-rom", "@hello.rom"), 1)
    with open(path) as f:
        s = json.load(f)
    ports = s["exits"]["port"]["n"]
    need(ports >= 7 and s["exits"]["port"]["ns"] > 0, s)  # "hello", its end of line, the exit
    need(s["machine"]["device_accesses"] == ports + s["exits"]["mmio"]["n"], s)
    need(s["machine"]["instructions"] > 7 and s["engine"]["name"], s)
    o, e = r.finish(r.start("-nographic", "-stats-json", "/no/where", "-rom", "@hello.rom"), 4)
    need(o == b"" and "-stats-json: /no/where" in e, (o, e))


def translates(r):
    """Whether this build has the translator."""
    o, _ = r.finish(r.start("-engine", "help"), 0)
    return re.search(rb"^ +bt$", o, re.M)


@good
def engine_views(r):
    """counters, a block's two codes, names for perf"""
    image = ["-nographic", "-rom", "@loop.rom"]
    o, _ = r.finish(r.start(*image, "-engine", "interp", "-dump-block", "0x8015"), 0x21)
    need(o == b"no block at 0x8015 was translated (engine: interp)\n", repr(o))
    if not translates(r):
        p = r.start(*image, "-engine", "bt")
        _, e = r.finish(p, USAGE)
        need("this build has no translator" in e and e.count("\n") == 1, repr(e))
        return
    p = r.start(*image, "-engine", "bt", "-stats", "-perfmap", "--dump-block", "0x8015")
    o, e = r.finish(p, 0x21)
    need(re.search(rb"^block 0x8015, 32 bits, kernel: 3 instructions, 5 bytes", o), repr(o))
    need(re.search(rb"^ +8015  add eax, ecx +\| [0-9a-f]+  add eax, ecx$", o, re.M), repr(o))
    need(re.search(r"^insns copied +\d+$", e, re.M) and "exits slice end" in e, e)
    path = "/tmp/perf-%d.map" % p.pid
    with open(path) as f:
        text = f.read()
    os.unlink(path)
    need(re.search(r"^[0-9a-f]+ [0-9a-f]+ guest:32:kernel:8015$", text, re.M), text)


@good
def engine_switches(r):
    """SIGUSR1 changes the engine and nothing else"""
    p = r.start("-nographic", "-rom", "@echo.rom", "-d", "info", stdin=subprocess.PIPE)
    for n in range(10):
        p.stdin.write(b"%d" % n)
        p.stdin.flush()
        read_until(p.stdout.fileno(), b"%d" % n)  # before the first one it may not listen
        p.send_signal(signal.SIGUSR1)
    o, e = r.finish(p, 5, b"Q")
    need(o == b"Q", repr(o))
    need("engine: " in e, e)


@good
def input_flows(r):
    """256 KiB through a serial port arrives whole and in order, however slow the guest"""
    data = bytes(0x20 + (k * 7 + k // 95) % 48 for k in range(1 << 18)).replace(b"\x01", b"")
    o, e = r.finish(r.start("-nographic", "-rom", "@echo.rom", stdin=subprocess.PIPE), 5,
                    data + b"Q")
    need(o == data + b"Q", "%d of %d bytes, first difference at %s" % (
        len(o), len(data) + 1, next((k for k in range(min(len(o), len(data)))
                                     if o[k] != data[k]), "the end")))


@good
def snapshots(r):
    """savevm, info, verify and -loadvm, over the monitor on a pipe"""
    state = r.files.path("state")
    p = r.start("-display", "none", "-monitor", "stdio", "-rom", "@idle.rom", stdin=subprocess.PIPE)
    o, _ = r.finish(p, 0, ("pause\nsavevm \"%s\" a title\nquit\n" % state).encode())
    need(o == b"ok\nok\nok\n", repr(o))
    p = r.popen([r.program, "snapshot", "info", state], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    need(b"title    a title\n" in r.finish(p, 0)[0], "info")
    p = r.popen([r.program, "snapshot", "verify", state], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    need(b": good\n" in r.finish(p, 0)[0], "verify")
    p = r.start("-display", "none", "-monitor", "stdio", "-rom", "@idle.rom", "-loadvm", state,
                "-engine", "interp", stdin=subprocess.PIPE)
    o, _ = r.finish(p, 0, b"info\nquit\n")
    need(o.startswith(b"running\nengine interp\n"), repr(o))
    r.bad(["run", "-display", "none", "-m", "99", "-rom", "@idle.rom", "-loadvm", state], USAGE,
          "memory .* KiB, not 101376 KiB")


@good
def escapes(r):
    """Ctrl-A: literal, break, help, monitor, and x ends the run with status 0"""
    def session(typed, status):
        p = r.start("-nographic", "-rom", "@echo.rom", stdin=subprocess.PIPE)
        return r.finish(p, status, typed)[0]
    need(session(b"a\x01ab\x01\x01cQ", 5) == b"a\x01b\x01cQ", "literal")
    need(b"Ctrl-A x" in session(b"\x01hQ", 5), "help")
    o = session(b"\x01cinfo\n\x01cQ", 5)
    need(b"The monitor" in o and b"running" in o and o.endswith(b"Q"), "monitor: %r" % o)
    need(session(b"\x01zQ", 5) == b"Q", "unknown")
    need(b"ended by" in session(b"\x01x", 0), "quit")
    p = r.start("-nographic", "-rom", "@echo.rom", stdin=subprocess.PIPE)
    p.stdin.write(b"\x01b")
    p.stdin.flush()
    read_until(p.stdout.fileno(), b"!")
    r.finish(p, 5, b"Q")


def read_until(fd, want, timeout=TIMEOUT):
    got, limit = b"", time.monotonic() + timeout
    while want not in got:
        left = limit - time.monotonic()
        need(left > 0 and select.select([fd], [], [], left)[0], "no %r in %r" % (want, got))
        data = os.read(fd, 4096)
        need(data, "end of file, no %r in %r" % (want, got))
        got += data
    return got


@good
def terminal_restored(r):
    """a terminal is raw meanwhile and as before after Ctrl-A x, an exit, and each signal"""
    for how in ("x", "Q", signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGABRT,
                signal.SIGQUIT):
        master, slave = pty.openpty()
        before = termios.tcgetattr(slave)
        p = r.popen(r.args(["run", "-nographic", "-rom", "@echo.rom"]), stdin=slave,
                             stdout=slave, stderr=subprocess.PIPE, start_new_session=True)
        os.write(master, b"k")
        read_until(master, b"k")
        limit = time.monotonic() + TIMEOUT
        while termios.tcgetattr(slave)[3] & termios.ICANON:  # the tty's echo was first
            need(time.monotonic() < limit, "%s: the terminal never becomes raw" % how)
            time.sleep(0.01)
        during = termios.tcgetattr(slave)
        need(not during[3] & (termios.ECHO | termios.ISIG), "%s: not raw" % how)
        if how == "x":
            os.write(master, b"\x01x")
        elif how == "Q":
            os.write(master, b"Q")
        else:
            p.send_signal(how)
        try:
            _, e = p.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            raise Failure("%s: did not end (%s)" % (how, waiting(p.pid)))
        want = {"x": 0, "Q": 5, signal.SIGABRT: -signal.SIGABRT,
                signal.SIGQUIT: -signal.SIGQUIT}.get(how, SIGNAL)
        need(p.returncode == want or b"Sanitizer" in e, "%s: status %d" % (how, p.returncode))
        need(termios.tcgetattr(slave) == before, "%s: the terminal is not as before" % how)
        os.close(master)
        os.close(slave)


@good
def terminal_while_stopped(r):
    """SIGTSTP gives the terminal back, SIGCONT makes it raw again"""
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    p = r.popen(r.args(["run", "-nographic", "-rom", "@echo.rom"]), stdin=slave, stdout=slave,
                stderr=subprocess.PIPE, start_new_session=True,
                preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def becomes(raw):
        limit = time.monotonic() + TIMEOUT
        while bool(termios.tcgetattr(slave)[3] & termios.ICANON) == raw:
            need(time.monotonic() < limit, "the terminal does not become %s"
                 % ("raw" if raw else "cooked"))
            time.sleep(0.01)

    becomes(True)
    p.send_signal(signal.SIGTSTP)
    becomes(False)
    need(termios.tcgetattr(slave) == before, "not as before while stopped")
    p.send_signal(signal.SIGCONT)
    becomes(True)
    os.write(master, b"Q")
    r.finish(p, 5)
    need(termios.tcgetattr(slave) == before, "not as before at the end")
    os.close(master)
    os.close(slave)


@good
def signals_end_an_idle_guest(r):
    """SIGTERM and SIGINT end a halted and a busy guest"""
    for image in ("@halt.rom", "@echo.rom"):
        for sig in (signal.SIGTERM, signal.SIGINT):
            p = r.start("-nographic", "-rom", image, stdin=subprocess.PIPE)
            if image == "@echo.rom":
                p.stdin.write(b".")
                p.stdin.flush()
            read_until(p.stdout.fileno(), b".")
            time.sleep(0.3)  # the one falls asleep, the other looks for more
            p.send_signal(sig)
            r.finish(p, SIGNAL)  # nothing else would ever wake it


@good
def sockets_at_once(r):
    """of machines that want one socket at the same moment exactly one gets it"""
    for _ in range(5):
        path = r.files.path("race")
        runs = [r.start("-display", "none", "-serial", "unix:%s,server,nowait" % path, "-rom",
                        "@echo.rom") for _ in range(4)]
        limit = time.monotonic() + TIMEOUT
        while sum(p.poll() is None for p in runs) > 1 and time.monotonic() < limit:
            time.sleep(0.01)
        alive = [p for p in runs if p.poll() is None]
        for p in alive:
            p.terminate()
        for p in runs:
            _, e = r.finish(p, SIGNAL if p in alive else HOST)
            need(p in alive or "another program listens" in e, "who lost says so: %r" % e)
        need(len(alive) == 1, "%d machines run" % len(alive))
        need(not glob.glob(path + "*"), "a socket file is left")


@good
def sockets(r):
    """unix: server takes one after the other, cleans up; client connects"""
    path = r.files.path("sock")
    p = r.start("-display", "none", "-serial", "unix:%s,server,nowait" % path, "-rom", "@echo.rom")
    limit = time.monotonic() + TIMEOUT
    while not os.path.exists(path) and time.monotonic() < limit:
        time.sleep(0.01)
    other = r.start("-display", "none", "-serial", "unix:%s,server,nowait" % path, "-rom",
                    "@echo.rom")
    need("another program listens" in r.finish(other, HOST)[1], "second server")
    for text in (b"one", b"two"):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(TIMEOUT)
        s.connect(path)
        s.sendall(text)
        got = b""
        while len(got) < len(text):
            got += s.recv(16)
        need(got == text, repr(got))
        if text == b"two":
            s.sendall(b"Q")
            r.finish(p, 5)
        s.close()
    need(not os.path.exists(path), "the socket file is left")

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1)
    p = r.start("-display", "none", "-serial", "unix:" + path, "-rom", "@echo.rom")
    listener.settimeout(TIMEOUT)
    s, _ = listener.accept()
    s.sendall(b"hQ")
    got = b""
    s.settimeout(TIMEOUT)
    while len(got) < 2:
        got += s.recv(16)
    r.finish(p, 5)
    s.close()
    listener.close()
    # a file left by a server that was killed is no obstacle; wait=on waits
    p = r.start("-display", "none", "-serial", "unix:%s,server" % path, "-rom", "@echo.rom")
    need(b"waits" in p.stderr.readline(), "says that it waits")
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    s.sendall(b"Q")
    r.finish(p, 5)
    s.close()


@good
def pseudo_terminal(r):
    """-serial pty says which, and is a raw terminal at the other end"""
    p = r.start("-display", "none", "-serial", "pty", "-rom", "@echo.rom")
    m = re.search(rb"serial0 is (/dev/\S+)", p.stderr.readline())
    need(m, "no name")
    fd = os.open(m.group(1).decode(), os.O_RDWR | os.O_NOCTTY)
    os.write(fd, b"line\r")
    need(read_until(fd, b"\r") == b"line\r", "echo")
    os.close(fd)
    fd = os.open(m.group(1).decode(), os.O_RDWR | os.O_NOCTTY)  # hanging up is no end
    os.write(fd, b"Q")
    r.finish(p, 5)
    os.close(fd)


@good
def closed_standard_files(r):
    """no stdin, stdout or stderr: images do not take their numbers"""
    p = r.popen(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *r.args(
        ["run", "-nographic", "-hda", "@disk", "-rom", "@hello.rom"])])
    p.wait(TIMEOUT)
    need(p.returncode == 1, "status %d" % p.returncode)
    with open(r.files.path("disk"), "rb") as f:
        need(f.read(5) == bytes(5), "the serial port wrote to the disk")


@good
def stuck_reader(r):
    """a reader that never reads does not stop the guest"""
    rd, wr = os.pipe()
    p = r.popen(r.args(["run", "-nographic", "-rom", "@echo.rom"]), stdin=subprocess.PIPE,
                         stdout=wr, stderr=subprocess.PIPE, start_new_session=True)
    os.close(wr)
    p.stdin.write(b"x" * 100000 + b"Q")
    p.stdin.close()
    p.stdin = None
    r.finish(p, 5)
    os.close(rd)


def main():
    # the children of nohup, or of a shell's background, would ignore them, rightly
    for sig in (signal.SIGHUP, signal.SIGQUIT):
        signal.signal(sig, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    a = argparse.ArgumentParser()
    a.add_argument("--program", required=True)
    a.add_argument("--manual", default=os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                                    "../../../docs/trivisor.1"))
    a.add_argument("names", nargs="*")
    a = a.parse_args()
    files = Files()
    r = Run(os.path.abspath(a.program), files)
    r.manual = a.manual
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):  # where there is a session, a window is the default
        os.environ.pop(name, None)
    os.environ.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    cases = [(name, lambda args=args, status=status, says=says: r.bad(args, status, says))
             for name, args, status, says in BAD + bad_sound.BAD + bad_virtio.BAD]
    cases += [(f.__name__, lambda f=f: f(r)) for f in GOOD]
    passed = failed = 0
    for name, run in cases:
        if a.names and name not in a.names:
            continue
        try:
            run()
            passed += 1
            print("ok %s" % name, flush=True)
        except (Failure, OSError, subprocess.SubprocessError) as e:
            failed += 1
            print("FAIL %s: %s" % (name, e), flush=True)
        r.clean()
    files.close()
    print("%d passed, %d failed, 0 skipped" % (passed, failed))
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
