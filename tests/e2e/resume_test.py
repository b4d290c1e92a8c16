#!/usr/bin/env python3
"""Kills a training run at random moments, resumes it each time, and compares the end with the unbroken run's, bit for bit.

resume_test.py [RECIPE [KILLS]]: tests/e2e/resume.toml and the number in PONDER_KILLS (4) unless told otherwise. A third of the
kills fall while a checkpoint is being written, one while the final model is. Every part runs with another number of threads.
"""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

import harness

SEED = 20250120
POLL_SECONDS = 0.0002
MEASURED = ("seconds", "tokens_per_second", "peak_memory_bytes")  # and seconds_*: may differ in a row of metrics.jsonl


def last_step(out):
    """The newest global_step in metrics.jsonl; 0 if there is none."""
    try:
        with open(out / "metrics.jsonl", "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            lines = file.read().split(b"\n")
        return json.loads(lines[-2])["global_step"] if len(lines) > 1 else 0
    except (OSError, ValueError, KeyError):
        return 0


def temporary_in(folder):
    try:
        return any(name.endswith(".tmp") for name in os.listdir(folder))
    except OSError:
        return False


def start(recipe, out, threads, resume):
    command = [harness.PONDER, "train", str(recipe), "--out", str(out), "--threads", str(threads)]
    log = open(out.parent / "log.txt", "ab")
    return subprocess.Popen(command + (["--resume"] if resume else []), stdin=subprocess.DEVNULL, stdout=log,
                            stderr=subprocess.STDOUT)


def wait_for(process, condition):
    """Until condition() or the end of the process; whether the condition came first."""
    while process.poll() is None:
        if condition():
            return True
        time.sleep(POLL_SECONDS)
    return False


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


def broken_run(recipe, out, kills, steps, step_seconds, rng):
    """The run with its kills. Returns the files that they left half-written."""
    half_written, resume = set(), False
    for i in range(kills):
        last = i == kills - 1
        process = start(recipe, out, 1 + i % 3, resume)
        resume = True
        if last:
            hit = wait_for(process, lambda: temporary_in(out / "model"))
            what = "writing the model"
        else:
            target = int(steps * (i + rng.random()) / kills)
            in_writing = i % 3 == 1 or (kills < 4 and i == 0)
            hit = wait_for(process, lambda: last_step(out) >= target)
            if hit and in_writing:
                hit = wait_for(process, lambda: temporary_in(out / "checkpoints"))
            elif hit:
                time.sleep(rng.random() * 3 * step_seconds)
            what = "writing a checkpoint" if in_writing else f"after step {target}"
        if not hit:
            process.wait()
            raise AssertionError(f"kill {i + 1} came too late: the run ended first with status {process.returncode}; "
                                 f"see {out.parent}/log.txt")
        kill(process)
        found = set(harness.temporaries(out)) - half_written
        half_written |= found
        print(f"kill {i + 1}: {what}, at step {last_step(out)}; half-written: {sorted(found)}", flush=True)
    process = start(recipe, out, 2, resume)
    if process.wait() != 0:
        raise AssertionError(f"the last resume failed with status {process.returncode}; see {out.parent}/log.txt")
    return half_written


def without_measured(rows):
    return [{k: v for k, v in row.items() if k not in MEASURED and not k.startswith("seconds_")} for row in rows]


def compare(whole, broken):
    summaries = [json.loads((out / "summary.json").read_text()) for out in (whole, broken)]
    for key in ("weights_hash", "seed", "parameters", "steps", "evals"):
        assert summaries[0][key] == summaries[1][key], (key, summaries[0][key], summaries[1][key])
    rows = [without_measured(harness.rows_of(out / "metrics.jsonl")) for out in (whole, broken)]
    assert len(rows[0]) == len(rows[1]), ("rows of metrics.jsonl", len(rows[0]), len(rows[1]))
    for a, b in zip(*rows):
        differ = {key: (a.get(key), b.get(key)) for key in a.keys() | b.keys() if a.get(key) != b.get(key)}
        assert not differ, f"metrics.jsonl, step {a['global_step']}: unbroken and resumed differ in {differ}"
    for name in ("recipe.toml", "completions.jsonl", "model/model.safetensors", "model/config.json"):
        assert (whole / name).read_bytes() == (broken / name).read_bytes(), f"{name} differs"
    names = [sorted(path.name for path in (out / "checkpoints").iterdir()) for out in (whole, broken)]
    assert names[0] == names[1], f"checkpoints differ: {names}"
    left = harness.temporaries(broken)
    assert not left, f"left behind: {left}"
    print(f"same weights: {summaries[1]['weights_hash']}")


def main():
    recipe = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else harness.HERE / "resume.toml"
    kills = int(sys.argv[2] if len(sys.argv) > 2 else os.environ.get("PONDER_KILLS", "4"))
    rng = random.Random(SEED)
    with tempfile.TemporaryDirectory(prefix="ponder-resume-") as folder:
        whole, broken = pathlib.Path(folder) / "whole", pathlib.Path(folder) / "broken"
        begun = time.monotonic()
        harness.good("train", recipe, "--out", whole)
        seconds = time.monotonic() - begun
        rows = harness.rows_of(whole / "metrics.jsonl")
        steps = rows[-1]["global_step"]
        print(f"{recipe.name}: {steps} steps in {seconds:.1f} s; {kills} kills", flush=True)
        try:
            half_written = broken_run(recipe, broken, kills, steps, seconds / steps, rng)
            compare(whole, broken)
        except AssertionError:
            print((broken.parent / "log.txt").read_text(errors="replace")[-4000:])
            raise
        for folder, least in (("checkpoints/", 2), ("model/", 1)):
            hit = any(name.startswith(folder) for name in half_written)
            assert hit or kills < least, f"no kill left a half-written file in {folder}: the test did not test that"


if __name__ == "__main__":
    harness.require_program()
    main()
