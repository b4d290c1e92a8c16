#!/usr/bin/env python3
"""`ponder train --watch DIR`: a run's progress from another terminal, and one summary where there is no terminal."""

import os
import pathlib
import pty
import select
import signal
import subprocess
import tempfile
import time
import unittest

import harness
from harness import PONDER, call, good


def in_terminal(arguments, until, then=None):
    """Runs the program on a terminal of its own; calls then(process) when its output holds `until`.
    Returns its exit status and what it wrote."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([PONDER, *map(str, arguments)], stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    written, called = b"", False
    end = time.monotonic() + harness.TIMEOUT_SECONDS
    try:
        while time.monotonic() < end:
            if select.select([ours], [], [], 0.2)[0]:
                try:
                    part = os.read(ours, 65536)
                except OSError:  # the other side is closed
                    part = b""
                if not part:
                    break
                written += part
            if then and not called and until in written:
                called = True
                then(process)
        return process.wait(timeout=30), written.decode(errors="replace")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(ours)


class WatchTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="ponder-watch-")
        cls.tmp = pathlib.Path(cls.folder.name)
        cls.run_dir = harness.train_tiny(cls.tmp)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_into_a_pipe_it_is_one_summary(self):
        text = good("train", "--watch", self.run_dir).decode()
        self.assertNotIn("\x1b", text)
        self.assertEqual(text.count("finished"), 1)
        for part in ("tiny", "zero 6/6", "reward", "accuracy", "length", "tokens/s", "asked:", "answered:", "pass@1",
                     "weights "):
            self.assertIn(part, text)

    def test_a_folder_without_a_run_is_a_one_line_error(self):
        for folder in (self.tmp / "nowhere", self.tmp):
            done = call("train", "--watch", folder)
            self.assertEqual(done.returncode, 1)
            self.assertEqual(done.stdout, b"")
            self.assertRegex(done.stderr.decode(), r"\A[^\n]*holds no run[^\n]*\n\Z")

    def test_it_takes_the_place_of_a_recipe(self):
        for arguments in ([], [harness.TINY, "--watch", self.run_dir]):
            done = call("train", *arguments)
            self.assertNotEqual(done.returncode, 0)
            self.assertRegex(done.stderr.decode(), r"\A[^\n]+\n\Z")

    def test_a_run_that_nobody_trains_is_said_to_be_stopped(self):
        out = self.tmp / "stopped"
        trainer = subprocess.Popen([PONDER, "train", str(harness.TINY), "--out", str(out), "--set", "base.tokens=1e8"],
                                   stdout=subprocess.DEVNULL)
        try:
            end = time.monotonic() + 60
            while time.monotonic() < end and not ((out / "metrics.jsonl").exists()
                                                  and (out / "metrics.jsonl").stat().st_size):
                time.sleep(0.05)
            text = good("train", "--watch", out).decode()
            self.assertIn("running", text)
            self.assertIn("base ", text)
            self.assertIn("loss", text)
            # Ctrl-C ends the watching and not the run.
            status, shown = in_terminal(["train", "--watch", out], b"running",
                                        lambda process: process.send_signal(signal.SIGINT))
            self.assertEqual(status, 0)
            self.assertIn("loss", shown)
            self.assertIsNone(trainer.poll())
        finally:
            trainer.kill()
            trainer.wait()
        self.assertIn("stopped", good("train", "--watch", out).decode())
        status, shown = in_terminal(["train", "--watch", out], b"")
        self.assertEqual(status, 0)
        self.assertIn("stopped", shown)

    def test_on_a_terminal_it_follows_the_run_to_its_end(self):
        out = self.tmp / "followed"
        trainer = subprocess.Popen([PONDER, "train", str(harness.TINY), "--out", str(out)], stdout=subprocess.DEVNULL)
        try:
            end = time.monotonic() + 60
            while time.monotonic() < end and not (out / "recipe.toml").exists():
                time.sleep(0.02)
            status, shown = in_terminal(["train", "--watch", out], b"")
            self.assertEqual(status, 0)
            self.assertIn("finished", shown)
            self.assertIn("zero 6/6", shown)
        finally:
            trainer.wait(timeout=harness.TIMEOUT_SECONDS)
        self.assertEqual(trainer.returncode, 0)

    def test_what_the_files_hold_does_not_steer_the_terminal(self):
        out = self.tmp / "hostile"
        out.mkdir()
        (out / "recipe.toml").write_text((self.run_dir / "recipe.toml").read_text())
        (out / "metrics.jsonl").write_text('{"stage": "zero", "step": 1, "global_step": 1, "reward_mean": 1}\n')
        (out / "completions.jsonl").write_text(
            '{"stage": "zero", "step": 1, "prompt": "a\\u001b[2Jb\\u0007", "text": "c\\u009b31md\\n\\r\\u007fe"}\n')
        text = good("train", "--watch", out).decode()
        self.assertIn("a [2Jb", text)
        for sign in ("\x1b", "\x07", "\x9b", "\r", "\x7f"):
            self.assertNotIn(sign, text)


if __name__ == "__main__":
    harness.require_program()
    unittest.main(verbosity=2)
