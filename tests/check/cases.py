#!/usr/bin/env python3
"""cases - `trivisor check` as a person and as CI meet it.

  cases.py --program build/frontends/trivisor [--vectors DIR] [NAME...]

The vectors are those of tests/vectors (made by make.py there), and copies with something planted.
The public suites run too where they are: $TRIVISOR_VECTORS, or ../shared/vectors beside the source.
Last line: N passed, N failed, N skipped.
"""
import argparse
import filecmp
import gzip
import json
import os
import pty
import re
import shlex
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OURS = os.path.join(SOURCE, "tests", "vectors")
FAILED, USAGE = 1, 2


class Failure(Exception):
    pass


class Skip(Exception):
    pass


class Bench:
    def __init__(self, program, vectors, tmp):
        self.program, self.vectors, self.tmp = os.path.abspath(program), vectors, tmp

    def check(self, *args, status=0, seconds=120):
        r = subprocess.run([self.program, "check", *args], stdin=subprocess.DEVNULL,
                           capture_output=True, text=True, timeout=seconds, errors="replace")
        if re.search(r"Sanitizer|runtime error:|internal error", r.stderr):
            raise Failure(r.stderr[-2000:])
        if r.returncode != status:
            raise Failure("check %s: status %d, not %d\n%s%s" % (
                " ".join(args), r.returncode, status, r.stdout[-1500:], r.stderr[-1500:]))
        return r.stdout + r.stderr

    def user(self, change=None, name="planted.json"):
        """A copy of user.json, changed."""
        with open(os.path.join(OURS, "user.json")) as f:
            tests = json.load(f)
        if change:
            change(tests)
        path = os.path.join(self.tmp, name)
        with open(path, "w") as f:
            json.dump(tests, f)
        return path


def want(text, *patterns):
    for p in patterns:
        if not re.search(p, text, re.M):
            raise Failure("no /%s/ in:\n%s" % (p, text[-2500:]))


def ours(name):
    return os.path.join(OURS, name)


# ---- what passes -------------------------------------------------------------------------------

def case_ours_pass_on_every_engine(b):
    for engine in "interp", "generic":
        want(b.check("--engine", engine, OURS), r"^4 files: 647 passed, 0 failed$")


def case_ours_are_what_make_py_makes(b):
    subprocess.run([sys.executable, ours("make.py"), "--out", b.tmp], check=True)
    for name in "8086.MOO.gz", "286.MOO.gz", "386.MOO.gz", "user.json":
        a, c = ours(name), os.path.join(b.tmp, name)
        if name.endswith(".gz"): # another zlib may pack otherwise
            same = gzip.open(a).read() == gzip.open(c).read()
        else:
            same = filecmp.cmp(a, c, shallow=False)
        if not same:
            raise Failure("%s is not what make.py makes" % name)


def case_user_vectors_pass_on_the_host(b):
    r = subprocess.run([b.program, "check", "--engine", "host", ours("user.json")],
                       capture_output=True, text=True, timeout=60)
    if r.returncode and re.search(r"cannot|not permitted|unsupported", r.stdout):
        raise Skip(r.stdout.split("\n")[0])
    want(r.stdout, r"^1 files: 11 passed, 0 failed$")


def case_a_real_mode_vector_is_not_run_on_the_host(b):
    want(b.check("--engine", "host", ours("286.MOO.gz"), status=FAILED),
         r"host runs no real-mode vectors", r"0 passed, 0 failed, 309 skipped", r"no test was run")


# ---- what fails --------------------------------------------------------------------------------

def planted(tests):
    tests[0]["final"]["regs"]["rax"] = 5
    tests[2]["final"]["ram"][0][1] = 0x5b
    tests[4]["exception"]["number"] = 13
    tests[9]["final"]["regs"]["eflags"] = 0x202


def case_a_wrong_expectation_fails(b):
    out = b.check("--show", "9", b.user(planted), status=FAILED)
    want(out, r"^FAIL .*planted\.json #0: add rax, rbx$", r"^    48 01 d8 +add rax, rbx$",
         r"rax +was 8000000000000000, recorded 0000000000000005, got 0000000000000000",
         r"\[10011fff\] +was 00, recorded 5b, got 5a", r"exception recorded 13, got 14",
         r"eflags +was 00000202, recorded 00000202, got 00000a96: --I------ / O-I-S-AP-$",
         r"^1 files: 7 passed, 4 failed")
    if re.search(r"^    rbx", out, re.M):
        raise Failure("registers that do not differ are listed:\n" + out)


def case_the_command_in_a_report_shows_the_failure_again(b):
    name = "plan ted's.json"
    out = b.check("--show", "9", b.user(planted, name), status=FAILED)
    again = re.findall(r"^    again: trivisor (.*)$", out, re.M)
    if len(again) != 4:
        raise Failure("4 commands wanted:\n" + out)
    for line in again:
        one = b.check(*shlex.split(line)[1:], status=FAILED)
        want(one, r"^1 files: 0 passed, 1 failed")
        if one.split("\n")[0] not in out:
            raise Failure("another failure:\n%s%s" % (one, out))


def case_memory_that_should_not_change_is_seen(b):
    def change(t):
        t[2]["final"]["ram"] = []
    want(b.check(b.user(change), status=FAILED), r"\[10011fff\] +was 00, recorded 00, got 5a")


def case_show_and_stop_on_fail(b):
    out = b.check("--show", "1", b.user(planted), status=FAILED)
    want(out, r"and 3 more in")
    if len(re.findall("^FAIL", out, re.M)) != 1:
        raise Failure(out)
    want(b.check("--jobs", "1", "--stop-on-fail", b.user(planted), OURS, status=FAILED),
         r"0 passed, 1 failed")


def case_a_fault_that_is_another(b):
    def change(t):
        t[4]["exception"]["error"] = 4
        t[5]["exception"]["fault_address"] = 1
    want(b.check(b.user(change), status=FAILED), "another error code", "another fault address")


def case_known_failures_are_listed_and_must_fail(b):
    path = b.user(planted)
    listed = os.path.join(b.tmp, "known.txt")
    with open(listed, "w") as f:
        f.write("# why\nplanted.json 0 planted\nplanted.json 2 planted\nplanted.json 4 planted\n"
                "planted.json 9 planted\n")
    want(b.check("--exceptions", listed, path), r"7 passed, 0 failed, 4 known")
    with open(listed, "a") as f:
        f.write("planted.json 1 not broken\n")
    want(b.check("--exceptions", listed, path, status=FAILED), r"#1 passes: take it out of")
    with open(listed, "a") as f:
        f.write("planted.json 1\n")
    want(b.check("--exceptions", listed, path, status=USAGE), r"known\.txt:7: wants FILE")


# ---- choosing ----------------------------------------------------------------------------------

def case_filter_and_only(b):
    want(b.check("--filter", "user", OURS), r"^4 files: 11 passed, 0 failed")
    want(b.check("--filter", "div*", OURS), r"^4 files: 4 passed, 0 failed")
    want(b.check("--filter", "nothing", OURS, status=FAILED), "no test was run")
    want(b.check(ours("user.json") + "#3"), r"^1 files: 1 passed")
    want(b.check("--only", ours("286.MOO.gz") + "#284"), r"^1 files: 1 passed")
    want(b.check(ours("user.json") + "#11", status=FAILED), "no test was run")


def case_cpu_of_the_file_or_of_the_option(b):
    def change(t):
        for one in t:
            one["cpu"] = "V30 "
    path = b.user(change)
    want(b.check(path, status=FAILED), "recorded on 'V30 ': name a model with --cpu")
    b.check("--cpu", "x86-64", path)
    # 32-bit operands
    b.check("--cpu", "286", ours("386.MOO.gz"), status=FAILED)


def case_jobs_give_the_same(b):
    text = [b.check("--jobs", n, OURS, b.user(planted), status=FAILED) for n in ("1", "2", "7")]
    if len(set(text)) != 1:
        raise Failure("\n----\n".join(text))


def case_mistakes(b):
    for args, says in (([], "no vector files"), (["/nonexistent"], "no such file"),
                       (["--engine", "intrep", OURS], "did you mean 'interp'"),
                       (["--cpu", "287", OURS], "no CPU model '287'"),
                       (["--flter", "x", OURS], "did you mean 'filter'"),
                       (["--jobs", "0", OURS], "no number"), (["--jobs"], "wants an argument"),
                       ([os.path.join(OURS, "user.json#x")], "no such file")):
        out = b.check(*args, status=USAGE)
        want(out, re.escape(says))
        if out.count("\n") != 1:
            raise Failure("more than a line: " + out)


# ---- reports -----------------------------------------------------------------------------------

def case_junit(b):
    path = os.path.join(b.tmp, "report.xml")
    b.check("--junit", path, OURS, b.user(planted, "a<b&c.json"), status=FAILED)
    suite = xml.parse(path).getroot().find("testsuite")
    if (suite.get("tests"), suite.get("failures")) != ("5", "1"):
        raise Failure(str(suite.attrib))
    bad = [c for c in suite if c.find("failure") is not None]
    if [c.get("name") for c in bad] != ["a<b&c.json"]:
        raise Failure("the wrong case failed")
    want(bad[0].find("failure").text, "FAIL .*#0: add rax, rbx", "again: trivisor check")
    b.check("--junit", "/nonexistent/x", OURS, status=4)


def case_tap(b):
    r = subprocess.run([b.program, "check", "--tap", OURS, b.user(planted)], capture_output=True,
                       text=True, timeout=60)
    lines = r.stdout.split("\n")
    if r.returncode != FAILED or lines[:2] != ["TAP version 13", "1..5"]:
        raise Failure(r.stdout)
    want(r.stdout, r"^ok 1 - .*286\.MOO\.gz$", r"^not ok 5 - .*planted\.json$",
         r"^  message: 4 of 11 vectors failed$")


def case_progress_on_a_terminal(b):
    master, slave = pty.openpty()
    p = subprocess.Popen([b.program, "check", "--jobs", "1", OURS], stdout=subprocess.DEVNULL,
                         stderr=slave, stdin=subprocess.DEVNULL)
    p.wait(60)
    os.set_blocking(master, False)
    seen = os.read(master, 65536).decode()
    os.close(slave)
    os.close(master)
    want(seen, r"\[#+ +\] [123]/4 files, \d+ passed, 0 failed")


# ---- hostile files -----------------------------------------------------------------------------

def case_broken_files_are_named(b):
    moo = gzip.open(ours("286.MOO.gz")).read()
    for name, data, says in (("cut.MOO", moo[:-5], "cut short"), ("empty.json", b"", "neither"),
                             ("text.json", b"hello", "neither"), ("a.json", b"[{]", "bad"),
                             ("b.json", b'[{"name":"x"}]', "initial state"),
                             ("cut.MOO.gz", open(ours("286.MOO.gz"), "rb").read()[:3000], "cut.MOO.gz"),
                             ("none.json", b"[]", "name a model")):
        path = os.path.join(b.tmp, name)
        with open(path, "wb") as f:
            f.write(data)
        want(b.check(path, status=FAILED), re.escape(says))


# ---- the public suites -------------------------------------------------------------------------

def public(b, name):
    path = os.path.join(b.vectors, name)
    if not os.path.isdir(path):
        raise Skip("no suite at %s; $TRIVISOR_VECTORS names the folder that has it" % path)
    for engine in "interp", "generic":
        start = time.monotonic()
        out = b.check("--quiet", "--engine", engine, "--exceptions", ours("exceptions.txt"), path,
                      seconds=300)
        print("     %s, %s: %s in %.1f s" % (name, engine, out.strip().split("\n")[-1],
                                             time.monotonic() - start))
        want(out, r"files: \d{6} passed, 0 failed$")


def case_public_8086(b):
    public(b, "8086")


def case_public_80286(b):
    public(b, "80286")


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--program", required=True)
    ap.add_argument("--vectors", default=os.environ.get("TRIVISOR_VECTORS") or
                    os.path.join(os.path.dirname(SOURCE), "shared", "vectors"))
    ap.add_argument("names", nargs="*")
    a = ap.parse_args()
    n = {"ok": 0, "FAIL": 0, "skip": 0}
    for key, run in list(globals().items()):
        name = key[5:]
        if not key.startswith("case_") or (a.names and name not in a.names):
            continue
        said, why = "ok", ""
        with tempfile.TemporaryDirectory() as tmp:
            try:
                run(Bench(a.program, a.vectors, tmp))
            except Skip as e:
                said, why = "skip", ": %s" % e
            except (Failure, subprocess.SubprocessError, OSError, ValueError, xml.ParseError) as e:
                said, why = "FAIL", ": %s" % e
        n[said] += 1
        print("%-4s %s%s" % (said, name, why), flush=True)
    print("%d passed, %d failed, %d skipped" % (n["ok"], n["FAIL"], n["skip"]))
    return n["FAIL"] != 0


if __name__ == "__main__":
    sys.exit(main())
