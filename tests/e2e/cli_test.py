#!/usr/bin/env python3
"""What each verb promises: output shapes, exit codes, and bits that never depend on how a result is computed."""

import json
import math
import pathlib
import random
import re
import struct
import sys
import tempfile
import unittest

import harness
from harness import call, good

ISAS = ("reference", "avx2", "avx512")
VERBS = ("run", "train", "eval", "grade", "score", "bench", "show", "tokenize", "detokenize")
VOCAB = 256
CONTEXT = 128
CHAIN_ROWS = [  # completion, answer, accuracy, format, reason
    ("<think>3+4=7;</think><answer>7</answer>", 7, 1, 1, "ok"),
    (" <think></think>\n<answer> 7 </answer>\t", 7, 1, 1, "ok"),
    ("<think>3+4=7;</think><answer>8</answer>", 7, 0, 1, "wrong_value"),
    ("<answer>7</answer>", 7, 1, 0, "bad_format"),
    ("<think>7</think>so<answer>7</answer>", 7, 1, 0, "bad_format"),
    ("<think>3+4=7;</think><answer>07</answer>", 7, 0, 1, "not_a_number"),
    ("<think>3+4=7;</think><answer>7", 7, 0, 0, "unclosed_answer"),
    ("<answer>7</answer><answer>7</answer>", 7, 0, 0, "many_answers"),
    ("<think>3+4=7;</think>7", 7, 0, 0, "no_answer"),
    (" \t\n", 7, 0, 0, "empty"),
    ("<think></think><ANSWER>7</ANSWER>", 7, 0, 0, "no_answer"),
    ("<think></think><answer>104</answer>", 7, 0, 1, "wrong_value"),
]
COUNTDOWN_ROWS = [  # numbers, target, expression, reason ("ok": correct)
    ([3, 5, 7], 22, "3*5+7", "ok"),
    ([3, 5, 7], 22, " 7 + 5×3 = 22", "ok"),
    ([3, 3, 8, 8], 24, "8/(3-8/3)", "ok"),
    ([3, 5, 7], 22, "3*5+7=21", "equality_wrong"),
    ([3, 5, 7], 22, "3*5-7", "wrong_value"),
    ([3, 5, 7], 22, "3*5", "wrong_numbers"),
    ([3, 5, 7], 22, "15+7", "wrong_numbers"),
    ([3, 3, 7], 7, "7/(3-3)", "division_by_zero"),
    ([3, 5, 7], 22, "3*+5+7", "syntax"),
    ([3, 5, 7], 22, "-3+5+7", "syntax"),
    ([3, 5, 7], 22, "", "empty"),
    ([3, 5, 7], 22, "(" * 201, "too_long"),
]


def json_rows(output):
    return [json.loads(line) for line in output.decode().splitlines()]


class CliTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="ponder-cli-")
        cls.tmp = pathlib.Path(cls.folder.name)
        cls.run_dir = harness.train_tiny(cls.tmp)
        cls.model = cls.run_dir / "model"
        rng = random.Random(5)
        lengths = [1, 2, 3, 63, 64, 65, CONTEXT] + [rng.randint(1, CONTEXT) for _ in range(8)]
        cls.sequences = [[rng.randrange(VOCAB) for _ in range(n)] for n in lengths]
        cls.ids = cls.tmp / "ids.jsonl"
        cls.ids.write_text("".join(json.dumps(s) + "\n" for s in cls.sequences))

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def score(self, *options, environment=None):
        logits = self.tmp / "logits.bin"
        logits.unlink(missing_ok=True)
        output = good("score", self.model, "--ids", self.ids, "--logits", logits, *options, environment=environment)
        return output, logits.read_bytes()

    def test_run_directory(self):
        names = {path.name for path in self.run_dir.iterdir()}
        self.assertEqual(names, {"recipe.toml", "metrics.jsonl", "completions.jsonl", "checkpoints", "model", "summary.json",
                                 "report.html"})
        summary = json.loads((self.run_dir / "summary.json").read_text())
        shown = json.loads(good("show", self.model, "--json"))
        self.assertEqual(summary["weights_hash"], shown["weights_hash"])
        self.assertEqual(summary["parameters"], shown["parameters"])

    def test_score_shape(self):
        output, logits = self.score()
        rows = json_rows(output)
        self.assertEqual([row["tokens"] for row in rows], [len(s) for s in self.sequences])
        self.assertEqual([len(row["logprobs"]) for row in rows], [len(s) - 1 for s in self.sequences])
        self.assertEqual(len(logits), 4 * VOCAB * sum(map(len, self.sequences)))
        self.assertTrue(all(p <= 0 for row in rows for p in row["logprobs"]))
        # The printed log-probability of id 2 is that of the first row of logits.
        start = len(self.sequences[0])
        row = struct.unpack(f"<{VOCAB}f", logits[4 * VOCAB * start:4 * VOCAB * (start + 1)])
        top = max(row)
        log_sum = top + math.log(sum(math.exp(v - top) for v in row))
        self.assertAlmostEqual(rows[1]["logprobs"][0], row[self.sequences[1][1]] - log_sum, places=5)

    def test_score_bits_do_not_depend_on_how(self):
        want = self.score("--threads", 1)
        for threads in (1, 2, 3):
            for chunk, batch in ((1, 1), (7, 3), (64, 8), (512, 32)):
                got = self.score("--threads", threads, "--chunk", chunk, "--batch", batch)
                self.assertTrue(want == got, f"threads {threads}, chunk {chunk}, batch {batch} change the bits")

    def test_score_bits_do_not_depend_on_the_isa(self):
        want = self.score()
        tried = []
        for isa in ISAS:
            environment = {"PONDER_ISA": isa}
            done = call("show", self.model, environment=environment)
            if done.returncode != 0 and b"not available here" in done.stderr:
                print(f"PONDER_ISA={isa}: NOT TESTED, this machine does not have it", file=sys.stderr)
                continue
            self.assertTrue(want == self.score(environment=environment), f"{isa} changes the bits")
            tried.append(isa)
        self.assertIn("reference", tried)
        done = call("show", self.model, environment={"PONDER_ISA": "mmx"})
        self.assertEqual((done.returncode, done.stdout), (1, b""))

    def test_gguf_and_folder_are_the_same_model(self):
        file = self.tmp / "tiny.gguf"
        file.write_bytes(harness.gguf_bytes(self.model))
        folder, gguf = (json.loads(good("show", path, "--json")) for path in (self.model, file))
        self.assertEqual(folder, gguf)
        self.assertEqual(good("score", self.model, "--ids", self.ids), good("score", file, "--ids", self.ids))

    def test_tokenize_round_trip(self):
        texts = ["<think>3+4=7;7*2=3;</think><answer>3</answer>", "0+10-9=?", "<think></think>", "wait check so", ""]
        lines = "".join(json.dumps(t) + "\n" for t in texts)
        ids = good("tokenize", self.model, "--no-special", stdin=lines)
        for row in json_rows(ids):
            self.assertTrue(all(isinstance(i, int) and 0 <= i < VOCAB for i in row))
        bos = json.loads((self.model / "config.json").read_text())["bos_token_id"]
        self.assertEqual(json_rows(good("tokenize", self.model, stdin=lines)), [[bos] + row for row in json_rows(ids)])
        self.assertEqual(json_rows(good("detokenize", self.model, stdin=ids)), texts)
        only = self.tmp / "tokenizer-only"
        only.mkdir()
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (only / name).write_bytes((self.model / name).read_bytes())
        self.assertEqual(good("tokenize", only, "--no-special", stdin=lines), ids)
        special = json_rows(good("tokenize", self.model, "--no-special", stdin='"<think>"\n'))[0]
        self.assertEqual(len(special), 1)
        self.assertNotEqual(json_rows(good("tokenize", self.model, "--no-special", "--plain", stdin='"<think>"\n'))[0], special)

    def test_run_json(self):
        ask = ("run", self.model, "3+4*2=?", "--json", "--seed", 5, "--max-tokens", 24)
        output = good(*ask)
        self.assertEqual(output.count(b"\n"), 1)
        answer = json.loads(output)
        self.assertEqual(set(answer), {"reasoning", "content", "finish_reason", "usage", "seed"})
        self.assertEqual(set(answer["usage"]), {"prompt_tokens", "completion_tokens", "reasoning_tokens"})
        self.assertEqual(answer["seed"], 5)
        self.assertIn(answer["finish_reason"], ("stop", "length"))
        usage = answer["usage"]
        self.assertTrue(0 <= usage["reasoning_tokens"] <= usage["completion_tokens"] <= 24)
        self.assertEqual(good(*ask), output, "the same seed gives another answer")
        self.assertEqual(good(*ask, "--threads", 1), good(*ask, "--threads", 3))
        self.assertEqual(good("run", "3+4*2=?", "--model", self.model, *ask[3:]), output)
        answers = {good("run", self.model, "3+4*2=?", "--json", "--seed", s, "--temperature", 1) for s in range(8)}
        self.assertGreater(len({json.dumps({**json.loads(a), "seed": 0}) for a in answers}), 1, "the seed changes nothing")
        greedy = [json.loads(good(*ask[:4], "--temperature", 0, "--seed", s)) for s in (1, 2)]
        self.assertEqual(greedy[0]["content"], greedy[1]["content"])
        still = json.loads(good(*ask, "--no-think"))
        self.assertEqual((still["reasoning"], still["usage"]["reasoning_tokens"]), ("", 0))

    def test_run_keeps_to_its_thinking_budget(self):
        ask = ("run", harness.SOURCE / "models" / "zero.gguf", "37+8*3-5*7=?", "--json", "--temperature", 0)
        free = json.loads(good(*ask))
        self.assertGreater(free["usage"]["reasoning_tokens"], 7)
        for budget in (0, 1, 7):
            answer = json.loads(good(*ask, "--thinking-budget", budget))
            self.assertEqual(answer["usage"]["reasoning_tokens"], budget)
            self.assertTrue(free["reasoning"].startswith(answer["reasoning"]))
            self.assertNotEqual(answer["content"], "")
        enough = json.loads(good(*ask, "--thinking-budget", 1000))
        self.assertEqual((enough["reasoning"], enough["content"]), (free["reasoning"], free["content"]))
        refused = call(*ask, "--thinking-budget", -1)
        self.assertEqual(refused.returncode, 2)
        self.assertIn(b"--thinking-budget", refused.stderr)

    def test_the_shipped_model_in_both_languages(self):
        for question, answer in (("What is 12+3*(4-1)?", "\\boxed{21}"), ("94 - 3(x + 14) = 22，x等于多少？", "\\boxed{10}")):
            ask = ("run", harness.SOURCE / "models" / "reasoner.gguf", question, "--json", "--temperature", 0)
            free = json.loads(good(*ask))
            self.assertIn(answer, free["content"])
            self.assertGreater(free["usage"]["reasoning_tokens"], 20)
            for short in (("--thinking-budget", 8), ("--no-think",)):  # a guess, but an answer of the right form
                content = json.loads(good(*ask, *short))["content"]
                self.assertRegex(content, r"\\boxed\{-?\d+\}")

    def test_run_keeps_to_its_context(self):
        for context in (11, 14, 24):
            answer = json.loads(good("run", self.model, "3+4*2=?", "--json", "--ctx", context, "--temperature", 9, "--seed", 1))
            used = answer["usage"]["prompt_tokens"] + answer["usage"]["completion_tokens"]
            self.assertEqual((used, answer["finish_reason"]), (context, "length"))

    def test_run_reads_standard_input(self):
        output = good("run", self.model, "--json", "--seed", 5, "--max-tokens", 8, stdin="3+4=?\n5*2=?\n")
        self.assertEqual(len(json_rows(output)), 2)

    def test_grade_chain(self):
        file = self.tmp / "chain.jsonl"
        file.write_text("".join(json.dumps({"prompt": "3+4=?", "completion": c, "answer": a}) + "\n"
                                for c, a, *_ in CHAIN_ROWS))
        for task in ("chain", "chain97"):
            got = json_rows(good("grade", file, "--task", task))
            want = [{"accuracy": a, "format": f, "reason": r} for _, _, a, f, r in CHAIN_ROWS]
            self.assertEqual(got, want)

    def test_grade_countdown(self):
        file = self.tmp / "countdown.jsonl"
        rows = [{"numbers": n, "target": t, "expression": e} for n, t, e, _ in COUNTDOWN_ROWS]
        rows.append({"numbers": [3, 5, 7], "target": 22, "repeat": {"unit": "(", "times": 1000000}})
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        want = [{"correct": r == "ok", "reason": r} for *_, r in COUNTDOWN_ROWS]
        want.append({"correct": False, "reason": "too_long"})
        self.assertEqual(json_rows(good("grade", file, "--task", "countdown")), want)

    def test_show(self):
        shown = json.loads(good("show", self.model, "--json"))
        self.assertEqual((shown["architecture"], shown["layers"], shown["hidden_size"], shown["vocab_size"],
                          shown["context_length"]), ("llama", 2, 32, VOCAB, CONTEXT))
        self.assertEqual(sum(math.prod(t["shape"]) for t in shown["tensors"]), shown["parameters"])
        self.assertIn(shown["weights_hash"].encode(), good("show", self.model))

    def test_eval(self):
        file = self.tmp / "eval.json"
        options = ("--model", self.model, "--modulo", 11, "--ops-min", 2, "--ops-max", 3, "--problems", 6, "--samples", 3,
                   "--max-tokens", 16, "--json")
        good("eval", "chain", *options, file)
        report = json.loads(file.read_text())
        for key in ("bench", "problems", "samples", "pass@1", "pass@1_stderr", "cons@3", "truncated", "length_mean", "rows"):
            self.assertIn(key, report)
        self.assertEqual((report["bench"], len(report["rows"])), ("chain", 6))
        self.assertTrue(all(len(row["samples"]) == 3 for row in report["rows"]))
        right = sum(s["correct"] for row in report["rows"] for s in row["samples"])
        self.assertAlmostEqual(report["pass@1"], right / 18)
        self.assertEqual(json.loads(good("eval", "chain", *options, "-", "--threads", 1)), report)

    def test_eval_perplexity(self):
        text = self.tmp / "text.txt"
        text.write_text("3+4=7;7*2=3;" * 60)
        options = ("--model", self.model, "--data", text, "--ctx", 32, "--json", "-")
        report = json.loads(good("eval", "perplexity", *options))
        self.assertEqual(set(report), {"perplexity", "stderr", "tokens"})
        self.assertGreater(report["perplexity"], 1)
        self.assertEqual(json.loads(good("eval", "perplexity", *options, "--threads", 3)), report)

    def test_bench(self):
        report = json.loads(good("bench", self.model, "-p", 16, "-n", 4, "-b", "1,8", "--json"))
        self.assertEqual(set(report), {"prefill_tps", "decode_tps", "ceilings", "start", "threads", "isa"})
        self.assertEqual(set(report["decode_tps"]), {"1", "8"})
        self.assertEqual(set(report["ceilings"]), {"read_gbps", "f32_gflops", "int8_gops", "prefill_tps", "decode_tps"})
        self.assertIn(report["isa"], ISAS)

    def test_plan_writes_nothing(self):
        out = self.tmp / "planned"
        self.assertIn(b"updates", good("train", harness.TINY, "--plan", "--out", out))
        self.assertFalse(out.exists())

    def test_set_overrides_the_recipe(self):
        out = self.tmp / "set"
        good("train", harness.TINY, "--out", out, "--set", "base.tokens=1024", "--set", "zero.steps=1", "--set", "seed=8",
             "--threads", 1)
        recipe = (out / "recipe.toml").read_text()
        self.assertIn("tokens = 1024\n", recipe)
        self.assertIn("seed = 8\n", recipe)
        self.assertIn("threads = 0\n", recipe, "--threads is not part of the recipe")

    def test_help_of_every_verb_shows_an_example(self):
        listed = good("--help").decode().split("Subcommands:")[1]
        verbs = [line.split()[0].rstrip(",") for line in listed.splitlines() if line.startswith("  ") and line[2] != " "]
        self.assertLessEqual(set(VERBS), set(verbs))
        for verb in verbs:
            with self.subTest(verb):
                example = re.split("Examples?: ", good(verb, "--help").decode())
                self.assertEqual(len(example), 2)
                self.assertIn(f"ponder {verb}", example[1])
        self.assertRegex(good("--version").decode(), r"^ponder \S+\n$")


if __name__ == "__main__":
    harness.require_program()
    unittest.main(verbosity=2)
