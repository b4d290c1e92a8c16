#!/usr/bin/env python3
"""The terminal chat, on a terminal: commands, several lines, Ctrl-C, saved conversations, and what survives the program."""

import os
import pathlib
import pty
import re
import select
import signal
import tempfile
import time
import unittest

import harness

WAIT_SECONDS = 120
ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\r")


class Terminal:
    """`ponder run ...` on a terminal of its own."""

    def __init__(self, *arguments, home):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(PONDER_HOME=str(home), TERM="xterm", LC_ALL="C.UTF-8")
            os.execv(harness.PONDER, [harness.PONDER, "run", *map(str, arguments)])
        self.seen = b""

    def send(self, text):
        os.write(self.fd, text.encode())

    def until(self, wanted, count=1):
        """What the terminal showed up to and including `wanted` for the count-th time; it is then forgotten."""
        wanted = wanted.encode()
        end = time.monotonic() + WAIT_SECONDS
        while True:
            text = ESCAPES.sub(b"", self.seen)
            if text.count(wanted) >= count:
                self.seen = b""
                return text.decode(errors="replace")
            if time.monotonic() > end:
                raise AssertionError(f"no {wanted!r} in {text[-2000:]!r}")
            if select.select([self.fd], [], [], 0.5)[0]:
                try:
                    self.seen += os.read(self.fd, 65536)
                except OSError:  # the program is gone
                    raise AssertionError(f"ended before {wanted!r}: {text[-2000:]!r}") from None

    def command(self, line):
        """Sends a line at the prompt; returns what came before the next prompt."""
        self.send(line + "\r")
        return self.until(">>> ", count=1)

    def end(self):
        while select.select([self.fd], [], [], 5)[0]:
            try:
                if not os.read(self.fd, 65536):
                    break
            except OSError:
                break
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


class Chat(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.tmp = pathlib.Path(cls.folder.name)
        cls.model = harness.train_tiny(cls.tmp) / "model"

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def open(self, *arguments, name="home"):
        terminal = Terminal(self.model, *arguments, home=self.tmp / name)
        terminal.until(">>> ")
        return terminal

    def test_commands(self):
        t = self.open("--seed", 3)
        self.assertIn("/bye", t.command("/?"))
        self.assertIn("Ctrl-W", t.command("/? shortcuts"))
        t.command("/set parameter temperature 0.25")
        t.command("/set parameter stop \"wait\"")
        shown = t.command("/show parameters")
        self.assertIn("0.25", shown)
        self.assertIn("\"wait\"", shown)
        self.assertIn("expected a number from 0 to 100", t.command("/set parameter temperature hot"))
        self.assertIn("no parameter", t.command("/set parameter warmth 1"))
        self.assertIn("no command", t.command("/nonsense"))
        t.command("/set system Be brief.")
        self.assertIn("Be brief.", t.command("/show system"))
        self.assertIn("expected a number", t.command("/set budget some"))
        t.command("/set budget 5")
        info = t.command("/show info")
        self.assertIn("llama", info)
        self.assertIn("at most 5 tokens", info)
        t.command("/set budget")
        self.assertNotIn("at most", t.command("/show info"))
        self.assertIn("FROM", t.command("/show modelfile"))
        t.send("/bye\r")
        self.assertEqual(t.end(), 0)

    def test_answers_and_saved_conversations(self):
        t = self.open("--seed", 3, "--temperature", 0)
        first = t.command("3+4*2=?")
        self.assertIn("Saved", t.command("/save evening"))
        self.assertIn("letters, digits", t.command("/save ../evil"))
        t.send("\x04")
        self.assertEqual(t.end(), 0)
        t = self.open(name="home")
        self.assertIn("2 messages", t.command("/load evening"))
        self.assertIn("Loaded", t.command(f"/load {self.model}"))
        self.assertIn("no such model", t.command("/load nowhere"))
        self.assertEqual(t.command("3+4*2=?").rsplit("=?", 1)[1], first.rsplit("=?", 1)[1])
        t.send("\x1b[A")  # the line before, from the history
        t.until("3+4*2=?")
        t.send("\x15/bye\r")
        self.assertEqual(t.end(), 0)
        self.assertTrue((self.tmp / "home" / "history").exists())

    def test_several_lines(self):
        t = self.open("--seed", 3)
        t.send('"""3+4\r')
        t.until("... ")
        t.send('*2=?"""\r')
        self.assertRegex(t.until(">>> "), r'"""\n.+\n')  # one message, one answer
        t.send("/bye\r")
        self.assertEqual(t.end(), 0)

    def test_interrupt_at_the_prompt_stays(self):
        t = self.open()
        os.kill(t.pid, signal.SIGINT)
        t.until("leave.\n>>> ")
        self.assertIn("/set", t.command("/?"))
        t.send("/bye\r")
        self.assertEqual(t.end(), 0)


if __name__ == "__main__":
    harness.require_program()
    unittest.main()
