#!/usr/bin/env python3
"""summary - counts the cases of a meson test run: "N passed, N failed, N skipped".

A meson test may hold many cases. Criterion's synthesis line and our own runners' closing line
("N passed, N failed, N skipped") are added up; any other test counts as one. A test that meson
calls failed (time-out, crash, sanitizer) never counts as less than one failure.
"""
import json
import re
import sys

CRITERION = re.compile(r"Tested: .*?(\d+).*?Passing: .*?(\d+).*?Failing: .*?(\d+).*?Crashing: .*?(\d+)")
OWN = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", re.M)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def count(test):
    text = COLOUR.sub("", test.get("stdout") or "") + "\n" + COLOUR.sub("", test.get("stderr") or "")
    passed = failed = skipped = 0
    found = False
    for tested, ok, bad, crashed in CRITERION.findall(text):
        found = True
        passed += int(ok)
        failed += int(bad)
        # Criterion 2.4 counts a crash both as failing and as crashing.
        failed += max(0, int(tested) - int(ok) - int(bad))
    for ok, bad, skip in OWN.findall(text):
        found = True
        passed, failed, skipped = passed + int(ok), failed + int(bad), skipped + int(skip)
    result = test["result"]
    if result in ("FAIL", "TIMEOUT", "ERROR", "INTERRUPT", "UNEXPECTEDPASS"):
        failed = max(failed, 1)
    elif not found and result == "SKIP":
        skipped = 1
    elif not found:
        passed = 1
    return passed, failed, skipped


def main():
    total = [0, 0, 0]
    bad, skips = [], []
    try:
        with open(sys.argv[1]) as f:
            tests = [json.loads(line) for line in f if line.strip()]
    except OSError as e:
        sys.exit("summary: %s" % e)
    for t in tests:
        c = count(t)
        total = [a + b for a, b in zip(total, c)]
        if c[1]:
            bad.append(t["name"])
        # Runners say why in lines that begin "SKIP".
        for line in (t.get("stdout") or "").splitlines():
            if line.startswith("SKIP "):
                skips.append("  %s: %s" % (t["name"], line[5:]))
    if skips:
        print("Skipped:\n" + "\n".join(skips))
    if bad:
        print("Failed: " + ", ".join(bad))
    print("%d passed, %d failed, %d skipped" % tuple(total))
    sys.exit(1 if total[1] or not tests else 0)


if __name__ == "__main__":
    main()
