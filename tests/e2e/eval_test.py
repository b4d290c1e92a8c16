#!/usr/bin/env python3
"""ponder eval as a whole: killed and gone on with, compared, searched for overlap; its report is well-formed HTML."""

import html.parser
import json
import pathlib
import signal
import subprocess
import tempfile
import time
import unittest

import harness
from harness import call, good

PROBLEMS, SAMPLES, KILLS = 120, 6, 3
POLL_SECONDS = 0.0005
VOID = {"meta", "br", "hr", "img", "line", "rect", "path"}


class Page(html.parser.HTMLParser):
    """Fails on tags that do not nest; collects what would need a network or run."""

    def __init__(self):
        super().__init__()
        self.open, self.bad, self.tags = [], [], set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.bad += [(tag, name) for name, _ in attrs if name in ("src", "href") or name.startswith("on")]
        optional = {"td": {"td"}, "th": {"th"}, "tr": {"tr"}}.get(tag, set())
        while self.open and self.open[-1] in optional:
            self.open.pop()
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.bad.append(("/" + tag, "not open"))


def lines_in(path):
    try:
        return path.read_bytes().count(b"\n")
    except OSError:
        return 0


class EvalTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="ponder-eval-")
        cls.tmp = pathlib.Path(cls.folder.name)
        cls.model = harness.train_tiny(cls.tmp) / "model"
        cls.rows = cls.tmp / "rows.jsonl"
        with open(cls.rows, "w") as file:
            for i in range(PROBLEMS):
                a, b = 2 + i % 8, 2 + i // 8 % 8
                row = {"id": f"p{i}", "prompt": f"{i % 11}+{a}*{b}=?", "answer": (i % 11 + a) * b % 11,
                       "level": b, "subject": "left to right <b>" if i % 2 else "& so on"}
                file.write(json.dumps(row) + "\n")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def options(self, *more, samples=SAMPLES):
        return ("eval", "jsonl", "--data", self.rows, "--model", self.model, "--samples", samples, "--max-tokens", 60, *more)

    def refused(self, *arguments, words=()):
        done = call(*arguments)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(done.stderr.count(b"\n"), 1, done.stderr)
        for word in words:
            self.assertIn(str(word).encode(), done.stderr)

    def test_killed_and_gone_on_with(self):
        whole, broken = self.tmp / "whole", self.tmp / "broken"
        good(*self.options("--out", whole))
        partial, found = broken / "result.json.partial", 1
        for kill in range(KILLS):
            command = [harness.PONDER, *map(str, self.options("--out", broken, "--threads", 1 + kill))]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            target = found + PROBLEMS * SAMPLES // (KILLS + 2)
            while process.poll() is None and lines_in(partial) < target:
                time.sleep(POLL_SECONDS)
            process.send_signal(signal.SIGKILL)
            self.assertEqual(process.wait(), -signal.SIGKILL, "the kill came too late")
            self.assertFalse((broken / "result.json").exists())
            self.assertGreaterEqual(lines_in(partial), target)
            found = lines_in(partial)
            # Other settings, and another model, are not mixed in.
            self.refused(*self.options("--out", broken, "--temperature", 0.5), words=("temperature 0.6", "0.5", "--restart"))
            self.assertEqual(lines_in(partial), found)
        output = good(*self.options("--out", broken, "--threads", 2))
        self.assertIn(f"going on: {found - 1} of {PROBLEMS * SAMPLES}".encode(), output)
        self.assertFalse(partial.exists())
        for name in ("result.json", "report.html"):
            self.assertEqual((broken / name).read_bytes(), (whole / name).read_bytes(), name)
        result = json.loads((whole / "result.json").read_text())
        self.assertEqual((result["problems"], result["samples"], len(result["rows"])), (PROBLEMS, SAMPLES, PROBLEMS))
        right = sum(s["correct"] for row in result["rows"] for s in row["samples"])
        self.assertAlmostEqual(result["pass@1"], right / (PROBLEMS * SAMPLES))
        self.assertGreater(right, 0)

    def test_another_model_is_refused(self):
        file = self.tmp / "other.json"
        partial = self.tmp / "other.json.partial"
        good(*self.options("--problems", 2, "--json", file))
        identity = {"model_hash": "0" * 64}
        partial.write_text(json.dumps(identity) + "\n")
        self.refused(*self.options("--problems", 2, "--json", file), words=(partial, "--restart"))
        good(*self.options("--problems", 2, "--json", file, "--restart"))
        self.assertFalse(partial.exists())

    def test_the_report_is_well_formed_and_stands_alone(self):
        file = self.tmp / "report.html"
        good(*self.options("--problems", 20, "--html", file))
        text = file.read_text()
        page = Page()
        page.feed(text)
        page.close()
        self.assertEqual((page.open, page.bad), ([], []))
        self.assertFalse(page.tags & {"script", "link", "iframe", "img"})
        self.assertIn("left to right &lt;b&gt;", text)
        for word in ("pass@1", f"cons@{SAMPLES}", "By level", "Conditions", "Wrong"):
            self.assertIn(word, text)

    def test_more_samples_begin_with_the_same(self):
        few, many = (json.loads(good(*self.options("--problems", 5, "--json", "-", samples=n))) for n in (2, 4))
        for a, b in zip(few["rows"], many["rows"]):
            self.assertEqual(a["samples"], b["samples"][:2])

    def test_greedy_has_a_note(self):
        report = json.loads(good(*self.options("--problems", 3, "--json", "-", "--temperature", 0)))
        self.assertTrue(any("greedy" in note for note in report["notes"]), report["notes"])
        for row in report["rows"]:
            self.assertEqual(len({s["text"] for s in row["samples"]}), 1)

    def test_compare(self):
        a, b, fewer = self.tmp / "a.json", self.tmp / "b.json", self.tmp / "fewer.json"
        good(*self.options("--json", a))
        good(*self.options("--json", b, "--temperature", 0.2))
        good(*self.options("--json", fewer, "--problems", 10))
        report = json.loads(good("eval", "--compare", a, b, "--json", "-"))
        results = [json.loads(file.read_text()) for file in (a, b)]
        self.assertAlmostEqual(report["difference"], results[1]["pass@1"] - results[0]["pass@1"])
        self.assertEqual(report["problems"], PROBLEMS)
        self.assertTrue(0 <= report["p_t"] <= 1 and 0 <= report["p_sign"] <= 1 and 0 < report["p_permutation"] <= 1)
        self.assertTrue(any("temperature" in note for note in report["notes"]))
        self.assertIn(b"detectable", good("eval", "--compare", a, b))
        same = json.loads(good("eval", "--compare", a, a, "--json", "-"))
        self.assertEqual((same["difference"], same["p_t"], same["better"], same["worse"]), (0, 1, 0, 0))
        self.refused("eval", "--compare", a, fewer, words=("same problems", fewer))
        self.refused("eval", "--compare", a, self.rows, words=(self.rows,))

    def test_decontaminate(self):
        bench, train = self.tmp / "bench.jsonl", self.tmp / "train.jsonl"
        text = "how many apples has she if she had three and bought four more"
        bench.write_text(json.dumps({"prompt": text, "answer": 7, "id": "apples"}) + "\n" +
                         json.dumps({"prompt": "another question", "answer": 1}) + "\n")
        train.write_text(json.dumps({"prompt": "clean", "answer": 1}) + "\n" +
                         json.dumps({"messages": [{"content": "So: " + text.upper() + "?"}]}) + "\n")
        report = json.loads(good("eval", "jsonl", "--data", bench, "--decontaminate", train, "--json", "-"))
        self.assertEqual((report["train_rows"], report["train_rows_found"], report["problems_found"]), (2, 1, ["apples"]))
        self.assertEqual(report["rows"][0]["line"], 2)
        self.assertIn(b"1 of 2 rows", good("eval", "jsonl", "--data", bench, "--decontaminate", train))

    def test_bad_input(self):
        broken = self.tmp / "broken.jsonl"
        broken.write_text('{"prompt": "1+2=?", "answer": 3}\n{"prompt": "1+2=?"}\n')
        self.refused("eval", "jsonl", "--data", broken, "--model", self.model, words=(f"{broken}:2", "answer"))
        self.refused("eval", "aime24", "--model", self.model, words=("aime24.jsonl", "--data"))
        self.refused("eval", "aime24", "--model", self.model, "--data-dir", self.tmp, words=(self.tmp / "aime24.jsonl",))
        self.refused("eval", "jsonl", "--model", self.model, words=("--data",))
        self.refused(*self.options("--problems", PROBLEMS + 1), words=("--problems", PROBLEMS))
        words = self.tmp / "words.jsonl"
        words.write_text('{"prompt": "Was ist das?", "answer": 3}\n')
        self.refused("eval", "jsonl", "--data", words, "--model", self.model, words=("problem 1", "no tokens"))
        self.assertEqual(call("eval").returncode, 2)
        self.assertEqual(call("eval", "--compare", broken).returncode, 2)


if __name__ == "__main__":
    harness.require_program()
    unittest.main(verbosity=1)
