#!/usr/bin/env python3
"""Runs the tests of a built preset and counts them: run_tests.py PRESET [NAME].

These are all ctest cases, the include check, and the scripts SCRIPTS lists below (exit status 0: passed, 77: skipped,
anything else: failed). NAME is a regular expression that a test's name must match. Scripts find the build folder in
PONDER_BUILD_DIR and the source tree in PONDER_SOURCE_DIR. The last line is "N passed, N failed, N skipped".
"""

import os
import pathlib
import re
import subprocess
import sys
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCRIPTS = ["tools/*_test.py", "tools/*_test.sh", "tests/e2e/*_test.py", "tests/e2e/*_test.sh"]
BY_HAND = {"bare_debian_test.sh"}  # needs root, a network and an hour
SCRIPT_TIMEOUT_SECONDS = 1800
SKIPPED = 77  # exit status of a script that cannot run here
SHOWN_LINES = 80  # of a failed test's output


class Counts:
    def __init__(self):
        self.passed = 0
        self.failures = []  # (name, output)
        self.skips = []  # (name, reason)


def run_ctest(build, name, counts):
    """All matching ctest cases. ctest's own lines that are not plain passes are shown as they come."""
    report = build / "ctest.xml"
    report.unlink(missing_ok=True)
    command = ["ctest", "--test-dir", str(build), "-j2", "--no-tests=ignore", "--output-junit", str(report)]
    if name:
        command += ["-R", name]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    for line in process.stdout:
        match = re.match(r"\s*(\d+)/(\d+) Test\s", line)
        if match and ("***" in line or int(match[1]) % 100 == 0 or match[1] == match[2]):
            print(line.rstrip(), flush=True)
    status = process.wait()
    if not report.exists():
        counts.failures.append(("ctest", f"ctest exited with status {status} and left no {report}"))
        return
    cases = xml.etree.ElementTree.parse(report).getroot().findall("testcase")
    failed_before = len(counts.failures)
    for case in cases:
        output = case.findtext("system-out") or ""
        if case.get("status") == "run":
            counts.passed += 1
        elif case.get("status") in ("notrun", "disabled") and case.find("skipped") is not None:
            counts.skips.append((case.get("name"), skip_reason(output)))
        else:
            message = case.find("failure")
            why = message.get("message", "") if message is not None else case.get("status")
            counts.failures.append((case.get("name"), output or why))
    if status != 0 and len(counts.failures) == failed_before:
        counts.failures.append(("ctest", f"ctest exited with status {status} though its report shows no failure"))


def skip_reason(output):
    """The text of GTEST_SKIP: between 'file:line: Skipped' and the closing line."""
    match = re.search(r": Skipped\n(.*?)\n*\[  SKIPPED \]", output, re.DOTALL)
    return " ".join(match[1].split()) if match and match[1].strip() else "no reason given"


def run_script(path, arguments, name, environment, counts):
    start = time.monotonic()
    try:
        done = subprocess.run([str(path), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, env=environment, cwd=ROOT, timeout=SCRIPT_TIMEOUT_SECONDS)
        status, output = done.returncode, done.stdout.decode(errors="replace")
    except subprocess.TimeoutExpired as error:
        status, output = "timeout", (error.stdout or b"").decode(errors="replace")
    except OSError as error:
        status, output = "not started", str(error)
    word = {0: "passed", SKIPPED: "skipped"}.get(status, "FAILED")
    print(f"{name}: {word}, {time.monotonic() - start:.1f} s", flush=True)
    if status == 0:
        counts.passed += 1
    elif status == SKIPPED:
        lines = output.strip().splitlines()
        counts.skips.append((name, lines[-1] if lines else "no reason given"))
    else:
        counts.failures.append((name, f"{output}\n(exit status: {status})"))


def run_scripts(build, name, counts):
    environment = dict(os.environ, PONDER_BUILD_DIR=str(build), PONDER_SOURCE_DIR=str(ROOT))
    scripts = [(ROOT / "tools/check_includes.py", [], "include_order")]
    for pattern in SCRIPTS:
        scripts += [(path, [], str(path.relative_to(ROOT))) for path in sorted(ROOT.glob(pattern))
                    if path.name not in BY_HAND]
    for path, arguments, test in scripts:
        if not name or re.search(name, test):
            run_script(path, arguments, test, environment, counts)


def print_summary(counts):
    by_reason = {}
    for test, reason in counts.skips:
        by_reason.setdefault(reason, []).append(test)
    for reason, tests in by_reason.items():
        print(f"\nSKIPPED {len(tests)}: {reason}")
        print("  " + ", ".join(tests[:8]) + (f" and {len(tests) - 8} more" if len(tests) > 8 else ""))
    for test, output in counts.failures:
        print(f"\nFAILED {test}")
        lines = output.strip().splitlines()
        if len(lines) > SHOWN_LINES:
            print(f"  ... {len(lines) - SHOWN_LINES} lines before these ...")
        for line in lines[-SHOWN_LINES:]:
            print(f"  {line}")
    print()


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: run_tests.py PRESET [NAME]")
    build = ROOT / "build" / sys.argv[1]
    name = sys.argv[2] if len(sys.argv) == 3 else ""
    try:
        re.compile(name)
    except re.error as error:
        print(f"'{name}' is no regular expression: {error}", file=sys.stderr)
        sys.exit(2)
    counts = Counts()
    run_ctest(build, name, counts)
    run_scripts(build, name, counts)
    print_summary(counts)
    nothing = counts.passed + len(counts.failures) == 0
    if nothing:
        print("no test ran" + (": all were skipped" if counts.skips else f": none matches '{name}'" if name else ""))
    print(f"{counts.passed} passed, {len(counts.failures)} failed, {len(counts.skips)} skipped")
    sys.exit(1 if counts.failures or nothing else 0)


if __name__ == "__main__":
    main()
