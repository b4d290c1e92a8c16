#!/usr/bin/env python3
"""show, convert, quantize and imatrix on a tiny model that the program itself trained."""

import json
import pathlib
import tempfile
import unittest

import harness
from harness import call, good


class FilesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="ponder-files-")
        cls.tmp = pathlib.Path(cls.folder.name)
        cls.model = harness.train_tiny(cls.tmp) / "model"
        cls.gguf = cls.tmp / "model.gguf"
        good("convert", cls.model, cls.gguf)
        cls.text = cls.tmp / "text.txt"
        cls.text.write_text("".join(f"{a}+{b}={a + b};" for a in range(40) for b in range(20)))

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def hash_of(self, path):
        return json.loads(good("show", path, "--json"))["weights_hash"]

    def refused(self, *arguments):
        done = call(*arguments)
        self.assertEqual((done.returncode, done.stdout), (1, b""), arguments)
        self.assertEqual(done.stderr.count(b"\n"), 1)
        return done.stderr.decode()

    def test_there_and_back(self):
        good("convert", self.gguf, self.tmp / "folder")
        self.assertEqual(self.hash_of(self.gguf), self.hash_of(self.model))
        self.assertEqual(self.hash_of(self.tmp / "folder"), self.hash_of(self.model))
        lines = "".join(json.dumps(t) + "\n" for t in ("3+4=?", "<think>7</think>", ""))
        want = good("tokenize", self.model, stdin=lines)
        for path in (self.gguf, self.tmp / "folder"):
            self.assertEqual(good("tokenize", path, stdin=lines), want)
        self.assertIn("not empty", self.refused("convert", self.gguf, self.tmp / "folder"))

    def test_plan(self):
        facts = json.loads(good("show", self.model, "--json"))
        plan = json.loads(good("show", self.gguf, "--plan", "--json"))
        self.assertEqual(plan["parameters"], facts["parameters"])
        self.assertEqual(sum(g["parameters"] for g in plan["groups"]), facts["parameters"])
        self.assertEqual(sum(g["bytes"] for g in plan["groups"]), plan["bytes"])
        self.assertEqual(plan["kv_bytes_per_token"], 2 * 2 * facts["layers"] * facts["kv_heads"] * facts["head_dim"])
        alone = self.tmp / "config-only"
        alone.mkdir()
        (alone / "config.json").write_bytes((self.model / "config.json").read_bytes())
        self.assertEqual(json.loads(good("show", alone, "--plan", "--json"))["parameters"], facts["parameters"])

    def test_quantize(self):
        q8 = self.tmp / "q8.gguf"
        good("quantize", self.gguf, q8, "q8_0")
        types = {t["type"] for t in json.loads(good("show", q8, "--json"))["tensors"]}
        self.assertEqual(types, {"f32", "q8_0"})
        good("quantize", self.model, self.tmp / "again.gguf", "Q8_0", "--threads", 3)
        self.assertEqual(self.hash_of(self.tmp / "again.gguf"), self.hash_of(q8))
        self.assertIn("Q4_K_M", self.refused("quantize", self.gguf, self.tmp / "x.gguf", "Q4_K_XL"))
        self.assertIn("same file", self.refused("quantize", self.gguf, self.gguf, "q8_0"))
        self.assertEqual(harness.temporaries(self.tmp), [])

    def test_imatrix(self):
        matrix = self.tmp / "m.gguf"
        good("imatrix", self.model, self.text, "-o", matrix, "--ctx", 64, "--chunks", 4)
        good("quantize", self.gguf, self.tmp / "q4.gguf", "q4_0", "--imatrix", matrix)
        good("quantize", self.gguf, self.tmp / "plain.gguf", "q4_0")
        self.assertNotEqual(self.hash_of(self.tmp / "q4.gguf"), self.hash_of(self.tmp / "plain.gguf"))
        short = self.tmp / "short.txt"
        short.write_text("3+4=7;")
        self.assertIn("fewer than one chunk", self.refused("imatrix", self.model, short, "-o", matrix, "--ctx", 64))


if __name__ == "__main__":
    harness.require_program()
    unittest.main(verbosity=2)
