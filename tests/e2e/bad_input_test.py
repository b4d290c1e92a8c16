#!/usr/bin/env python3
"""Every error a user, a file or a full disk can cause: one line on stderr that names the file and the key, exit status 1 (2 for
wrong usage), nothing on stdout that is not JSON where JSON was asked for, no half-written file, earlier files intact."""

import json
import os
import pathlib
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import harness
from harness import call, good

VOCAB = 256
MEMORY_LIMIT = 4 << 30  # bytes of addresses, for calls that must not try to allocate what a file claims


def limit(kind, value):
    """A preexec function: a limit on the child, which gets an error instead of a signal."""
    def apply():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(kind, (value, value))
    return apply


class Tmpfs:
    """A small file system in `folder`, or OSError where this process may not mount one."""

    def __init__(self, folder, size):
        self.folder = folder
        folder.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        if done.returncode != 0:
            raise OSError(done.stdout.decode().strip())

    def __enter__(self):
        return self

    def resize(self, size):
        subprocess.run(["mount", "-o", f"remount,size={size}", str(self.folder)], check=True)

    def __exit__(self, *unused):
        subprocess.run(["umount", str(self.folder)], check=True)


class BadInputTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="ponder-bad-")
        cls.tmp = pathlib.Path(cls.folder.name)
        cls.run_dir = harness.train_tiny(cls.tmp)
        cls.model = cls.run_dir / "model"
        cls.ids = cls.tmp / "ids.jsonl"
        cls.ids.write_text("[5,6,7,8]\n")
        cls.hash = json.loads((cls.run_dir / "summary.json").read_text())["weights_hash"]
        cls.count = 0

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def fresh(self, suffix=""):
        """A path that is not there yet."""
        type(self).count += 1
        return self.tmp / f"case{self.count}{suffix}"

    def refused(self, done, *named, status=1, json_output=True):
        """One line on stderr that holds all of `named`, and the exit status."""
        lines = done.stderr.decode().splitlines()
        self.assertEqual(len(lines), 1, done.stderr.decode() + f"(status {done.returncode})")
        self.assertEqual(done.returncode, status, lines[0])
        for word in named:
            self.assertIn(str(word), lines[0])
        if json_output:
            self.assertEqual(done.stdout, b"")

    def refused_call(self, arguments, *named, **keywords):
        self.refused(call(*arguments, preexec_fn=self.memory_limit(), stdin=keywords.pop("stdin", "")), *named, **keywords)

    @staticmethod
    def memory_limit():
        return None if harness.SANITIZED else limit(resource.RLIMIT_AS, MEMORY_LIMIT)

    # Recipes.

    def refused_recipe(self, text, *named, extra=()):
        file, out = self.fresh(".toml"), self.fresh()
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        self.refused_call(("train", file, "--out", out, *extra), file, *named, json_output=False)
        self.assertFalse(out.exists() and list(out.iterdir()), "something was written for a recipe that was refused")

    def edited(self, old, new):
        text = harness.TINY.read_text()
        self.assertEqual(text.count(old), 1, old)
        return text.replace(old, new)

    def test_recipe(self):
        edited = self.edited
        for name, text, *named in (
                ("unknown key of a table", edited("hidden_size = 32", "hiden_size = 32"), "hiden_size", "hidden_size"),
                ("unknown key of a stage", edited("steps = 6", "setps = 6"), "setps", "steps"),
                ("key of another kind of stage", edited("steps = 6", "steps = 6\nlabel_smoothing = 0.1"), "label_smoothing"),
                ("unknown table", harness.TINY.read_text() + "\n[modle]\nx = 1\n", "modle"),
                ("text for a number", edited("hidden_size = 32", 'hidden_size = "wide"'), "hidden_size", "integer"),
                ("fraction for an integer", edited("steps = 6", "steps = 6.5"), "steps", "integer"),
                ("number for a name", edited('name = "zero"', "name = 5"), "name"),
                ("out of range", edited("hidden_size = 32", "hidden_size = -32"), "hidden_size"),
                ("not finite", edited("lr = 3e-3", "lr = nan"), "lr"),
                ("unknown kind", edited('kind = "eval"', 'kind = "dream"'), "kind", "pretrain"),
                ("weights of a later stage", edited('name = "zero"', 'name = "zero"\nfrom = "after"'), "from", "after"),
                ("weights of nowhere", edited('name = "after"', 'name = "after"\nfrom = "nine"'), "from", "nine"),
                ("more kept than sampled", edited('kind = "eval"', 'kind = "reject"\nkeep = 3'), "keep", "samples"),
                ("no kind", edited('kind = "eval"\n', ""), "kind"),
                ("same name twice", edited('name = "after"', 'name = "zero"'), "name", "zero"),
                ("unknown architecture", edited('"llama"', '"mamba"'), "architecture", "qwen2"),
                ("heads do not divide", edited("num_attention_heads = 2", "num_attention_heads = 3"), "num_attention_heads"),
                ("odd heads", edited("num_attention_heads = 2", "num_attention_heads = 2\nhead_dim = 5"), "head_dim"),
                ("key heads do not divide", edited("num_attention_heads = 2", "num_attention_heads = 2\nnum_key_value_heads = 3"),
                 "num_key_value_heads"),
                ("vocabulary too small", edited("hidden_size = 32", "hidden_size = 32\nvocab_size = 16"), "vocab_size"),
                ("answer longer than the context", edited("tokens = 16}", "tokens = 1000}"), "length_cap"),
                ("caps out of order", edited("tokens = 16}", "tokens = 16}, {from_step = 0, tokens = 8}"), "length_cap"),
                ("larger than any machine", edited("hidden_size = 32", "hidden_size = 65536").replace(
                    "intermediate_size = 64", "intermediate_size = 262144").replace("layers = 2", "layers = 1024"), "model"),
                ("missing data file", edited("tokens = 60_000", 'data = "nowhere.jsonl"'), "nowhere.jsonl"),
                ("missing model folder", edited('architecture = "llama"', 'path = "nowhere"').replace("hidden_size = 32\n", "")
                 .replace("intermediate_size = 64\n", "").replace("num_hidden_layers = 2\n", "")
                 .replace("num_attention_heads = 2\n", "").replace("max_position_embeddings = 128\n", ""), "nowhere"),
                ("no stage", harness.TINY.read_text().split("[[stage]]")[0], "stage"),
                ("not TOML", "name = \n", "1"),
                ("same key twice", edited("seed = 7", "seed = 7\nseed = 8"), "seed"),
                ("not text", b"\xff\xfe\x00\x01" * 10),
                ("empty", ""),
                ("deep", "a = " + "[" * 100000)):
            with self.subTest(name):
                self.refused_recipe(text, *named)

    def test_recipe_overrides(self):
        for setting, *named in (("zero.lr=fast", "lr"), ("nostage.lr=1", "nostage"), ("zero.nokey=1", "nokey"),
                                ("garbage", "garbage"), ("zero.steps=", "steps"), ("model.hidden_size=33", "num_attention_heads")):
            with self.subTest(setting):
                out = self.fresh()
                self.refused_call(("train", harness.TINY, "--out", out, "--set", setting), *named, json_output=False)
                self.assertFalse(out.exists())

    def test_recipe_file(self):
        missing = self.fresh(".toml")
        self.refused_call(("train", missing, "--out", self.fresh()), missing)
        self.refused_call(("train", self.tmp, "--out", self.fresh()), self.tmp)

    # Run directories.

    def test_run_directory(self):
        file = self.fresh()
        file.write_text("mine")
        for out in (file, file / "below", pathlib.Path("/proc/ponder")):
            self.refused(call("train", harness.TINY, "--out", out), out, json_output=False)
        self.assertEqual(file.read_text(), "mine")
        before = harness.snapshot(self.run_dir)
        self.refused(call("train", harness.TINY, "--out", self.run_dir), self.run_dir, "--resume", json_output=False)
        self.refused(call("train", harness.TINY, "--out", self.run_dir, "--resume", "--set", "zero.lr=1e-5"),
                     self.run_dir / "recipe.toml", json_output=False)
        self.assertEqual(before, harness.snapshot(self.run_dir))

    @unittest.skipIf(os.geteuid() == 0, "root may write everywhere")
    def test_run_directory_without_permission(self):
        locked = self.fresh()
        locked.mkdir(mode=0o555)
        self.refused(call("train", harness.TINY, "--out", locked / "run"), locked, json_output=False)

    def test_resume_of_nothing_begins(self):
        """A run may be killed before it wrote anything: the same command must then work."""
        out = self.fresh()
        out.mkdir()
        self.assertIn(b"from the beginning", good("train", harness.TINY, "--out", out, "--resume"))
        self.assertEqual(json.loads((out / "summary.json").read_text())["weights_hash"], self.hash)

    def test_broken_checkpoints(self):
        out = self.fresh()
        shutil.copytree(self.run_dir, out)
        older, newest = sorted((out / "checkpoints").iterdir())
        newest.write_bytes(newest.read_bytes()[:-1000])
        self.assertIn(str(newest).encode(), good("train", harness.TINY, "--out", out, "--resume"))
        self.assertEqual(json.loads((out / "summary.json").read_text())["weights_hash"], self.hash)
        for path in (out / "checkpoints").iterdir():
            path.write_bytes(path.read_bytes()[:100])
        before = harness.snapshot(out)
        self.refused(call("train", harness.TINY, "--out", out, "--resume"), out / "checkpoints", json_output=False)
        self.assertEqual(before, harness.snapshot(out))

    # Full disks.

    def begun_run(self):
        """A run that was killed after its first checkpoint."""
        out = self.fresh()
        process = subprocess.Popen([harness.PONDER, "train", str(harness.TINY), "--out", str(out)], stdout=subprocess.DEVNULL)
        while not list((out / "checkpoints").glob("step-*.safetensors")) and process.poll() is None:
            time.sleep(0.0005)
        process.kill()
        process.wait()
        return out

    def refused_write(self, done, file):
        """The disk was full: one line that names the file, and no temporary file anywhere."""
        self.refused(done, file, json_output=False)
        self.assertEqual(harness.temporaries(file if file.is_dir() else file.parent), [])

    def test_full_disk_at_a_checkpoint(self):
        out = self.begun_run()
        for path in (out / "checkpoints").glob("*.tmp"):
            path.unlink()
        kept = harness.snapshot(out / "checkpoints")
        small = min(len(data) for data in kept.values()) // 2
        done = call("train", harness.TINY, "--out", out, "--resume", preexec_fn=limit(resource.RLIMIT_FSIZE, small))
        self.refused_write(done, out / "checkpoints")
        self.assertEqual(kept, harness.snapshot(out / "checkpoints"))
        good("train", harness.TINY, "--out", out, "--resume")
        self.assertEqual(json.loads((out / "summary.json").read_text())["weights_hash"], self.hash)

    def test_full_disk_at_the_model(self):
        out = self.fresh()
        shutil.copytree(self.run_dir, out)
        size = (out / "model" / "model.safetensors").stat().st_size
        shutil.rmtree(out / "model")
        kept = {name: data for name, data in harness.snapshot(out).items() if name != "metrics.jsonl"}
        bound = (size + (out / "metrics.jsonl").stat().st_size) // 2
        done = call("train", harness.TINY, "--out", out, "--resume", preexec_fn=limit(resource.RLIMIT_FSIZE, bound))
        self.refused_write(done, out / "model" / "model.safetensors")
        self.assertFalse((out / "model" / "model.safetensors").exists())
        after = harness.snapshot(out)
        self.assertEqual(kept, {name: after[name] for name in kept})
        good("train", harness.TINY, "--out", out, "--resume")
        self.assertEqual((out / "model" / "model.safetensors").read_bytes(), (self.model / "model.safetensors").read_bytes())

    def test_full_file_system(self):
        """The same on a file system that really is full: one checkpoint fits, a second does not."""
        checkpoint = max(path.stat().st_size for path in (self.run_dir / "checkpoints").iterdir())
        try:
            disk = Tmpfs(self.fresh(), checkpoint * 3 // 2)
        except OSError as error:
            print(f"NOT TESTED on a full file system, none can be mounted here: {error}", file=sys.stderr)
            self.skipTest("no tmpfs")
        with disk:
            out = disk.folder / "run"
            done = call("train", harness.TINY, "--out", out)
            self.refused_write(done, out)
            self.assertIn(b"No space left", done.stderr)
            self.assertEqual(len(list((out / "checkpoints").iterdir())), 1)
            disk.resize(checkpoint * 20)
            good("train", harness.TINY, "--out", out, "--resume")
            self.assertEqual(json.loads((out / "summary.json").read_text())["weights_hash"], self.hash)

    def test_full_disk_elsewhere(self):
        """Verbs that write one file leave none, or the one that was there."""
        bound = limit(resource.RLIMIT_FSIZE, 512)
        logits = self.fresh(".bin")
        logits.write_text("earlier")
        evaluation = ("eval", "chain", "--model", self.model, "--problems", 4, "--samples", 2, "--max-tokens", 8)
        for arguments, file in ((("score", self.model, "--ids", self.ids, "--logits", logits), logits),
                                ((*evaluation, "--json", logits), logits)):
            with self.subTest(arguments[0]):
                self.refused_write(call(*arguments, preexec_fn=bound), file)
                self.assertEqual(file.read_text(), "earlier")

    @unittest.skipUnless(os.path.exists("/dev/full"), "no /dev/full")
    def test_full_standard_output(self):
        many = self.fresh(".jsonl")
        many.write_text((json.dumps([5] * 100) + "\n") * 300)  # more than any buffer
        for arguments in (("score", self.model, "--ids", self.ids), ("score", self.model, "--ids", many),
                          ("show", self.model, "--json"), ("run", self.model, "1+2=?", "--json")):
            with self.subTest(arguments[0]), open("/dev/full", "wb") as full:
                done = subprocess.run([harness.PONDER, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=full,
                                      stderr=subprocess.PIPE)
                done.stdout = b""
                self.refused(done, "standard output")

    # Models.

    def broken_model(self, **files):
        """A copy of the model with these files (suffix _json, _safetensors) replaced."""
        folder = self.fresh()
        shutil.copytree(self.model, folder)
        for name, data in files.items():
            (folder / name.replace("__", ".")).write_bytes(data if isinstance(data, bytes) else data.encode())
        return folder

    def verbs_on(self, model):
        return (("show", model, "--json"), ("score", model, "--ids", self.ids), ("run", model, "1+2=?", "--json"),
                ("bench", model, "-p", 4, "-n", 1, "--json"),
                ("eval", "chain", "--model", model, "--json", "-", "--problems", 2))

    def test_safetensors(self):
        whole = (self.model / "model.safetensors").read_bytes()
        size = struct.unpack("<Q", whole[:8])[0]
        header = json.loads(whole[8:8 + size])

        def with_header(change):
            copy = json.loads(json.dumps(header))
            change(copy)
            raw = json.dumps(copy).encode()
            return struct.pack("<Q", len(raw)) + raw + whole[8 + size:]

        tensors = harness.read_safetensors(self.model / "model.safetensors")
        embed, norm = "model.embed_tokens.weight", "model.norm.weight"
        cases = [("cut at " + str(n), whole[:n]) for n in (0, 4, 8, 100, 8 + size, len(whole) - 1)]
        cases += [("header of 2^63 bytes", struct.pack("<Q", 1 << 63) + whole[8:]),
                  ("header is no JSON", whole[:8] + b"x" * size + whole[8 + size:]),
                  ("bytes behind the end", whole + b"x"),
                  ("wrong shape", with_header(lambda h: h[norm].update(shape=[16, 2])), norm),
                  ("shape that overflows", with_header(lambda h: h[embed].update(shape=[1 << 40, 1 << 40])), embed),
                  ("negative shape", with_header(lambda h: h[embed].update(shape=[-VOCAB, -32])), embed),
                  ("unknown type", with_header(lambda h: h[norm].update(dtype="F33")), norm),
                  ("offsets beyond the file", with_header(lambda h: h[embed].update(data_offsets=[0, 1 << 62])), embed),
                  ("a hole", with_header(lambda h: h.pop(norm))),
                  ("missing tensor", harness.safetensors_bytes({k: v for k, v in tensors.items() if k != norm}), norm),
                  ("unknown tensor", harness.safetensors_bytes({**tensors, "odd.weight": ([1], b"1234")}), "odd.weight"),
                  ("fewer rows than the vocabulary", harness.safetensors_bytes(
                      {**tensors, embed: ([100, 32], tensors[embed][1][:12800])}), embed)]
        for name, data, *named in cases:
            folder = self.broken_model(model__safetensors=data)
            for arguments in self.verbs_on(folder):
                with self.subTest(name, verb=arguments[0]):
                    self.refused_call(arguments, folder, *named)
        folder = self.broken_model()
        (folder / "model.safetensors").unlink()
        self.refused_call(("bench", folder), folder)

    def test_config(self):
        config = json.loads((self.model / "config.json").read_text())
        for name, text, *named in [("not JSON", "nonsense"), ("empty", ""), ("a list", "[]"), ("deep", "[" * 100000),
                                   ("cut", (self.model / "config.json").read_text()[:50])] + [
                (f"{key} = {str(value)[:20]}", json.dumps({**config, key: value}), key) for key, value in (
                    ("hidden_size", -1), ("hidden_size", "wide"), ("hidden_size", 1e300), ("hidden_size", 33.5),
                    ("hidden_size", None), ("vocab_size", 1 << 62), ("vocab_size", 0), ("num_hidden_layers", 1 << 40),
                    ("num_attention_heads", 0), ("num_attention_heads", 3), ("num_key_value_heads", 5),
                    ("rms_norm_eps", -1), ("rope_theta", 0), ("eos_token_id", VOCAB), ("eos_token_id", "x"),
                    ("max_position_embeddings", 0), ("model_type", "mamba"), ("model_type", 5))]:
            folder = self.broken_model(config__json=text)
            with self.subTest(name):
                self.refused_call(("show", folder, "--json"), folder / "config.json", *named)
        for vocab in (VOCAB + 1, VOCAB - 100):  # the tensors have another number of rows
            folder = self.broken_model(config__json=json.dumps({**config, "vocab_size": vocab}))
            for arguments in self.verbs_on(folder):
                with self.subTest(vocab, verb=arguments[0]):
                    self.refused_call(arguments, folder, "embed_tokens")

    def test_tokenizer(self):
        text = (self.model / "tokenizer.json").read_text()
        larger = json.loads(text)
        for i in range(VOCAB):
            larger["model"]["vocab"][f"extra{i}"] = max(larger["model"]["vocab"].values()) + 1
        for name, data in (("cut", text[:100]), ("not JSON", "x"), ("a list", "[]"), ("no model", "{}"),
                           ("larger than the embedding", json.dumps(larger))):
            folder = self.broken_model(tokenizer__json=data)
            for arguments in self.verbs_on(folder)[2:5:2]:
                with self.subTest(name, verb=arguments[0]):
                    self.refused_call(arguments, folder)

    def test_gguf(self):
        whole = harness.gguf_bytes(self.model)
        file = self.fresh(".gguf")
        file.write_bytes(whole)
        good("show", file)  # the file is right before it is broken

        def replaced(old, new):
            assert whole.count(old) == 1 and len(old) == len(new), old
            return whole.replace(old, new)

        def metadata(key, value):
            raw = key.encode()
            start = struct.pack("<Q", len(raw)) + raw + struct.pack("<I", 4)
            at = whole.index(start) + len(start)
            return whole[:at] + struct.pack("<I", value) + whole[at + 4:]

        words = b"".join(struct.pack("<Q", len(w)) + w for w in (b"%d" % i for i in range(VOCAB + 50)))
        tokens = struct.pack("<IQ", 8, VOCAB + 50) + words
        cases = [("cut at " + str(n), whole[:n]) for n in (0, 3, 4, 8, 20, 60, 200, len(whole) // 2, len(whole) - 40)]
        cases += [("another file", b"GGML" + whole[4:]),
                  ("version 99", whole[:4] + struct.pack("<I", 99) + whole[8:]),
                  ("2^60 tensors", whole[:8] + struct.pack("<Q", 1 << 60) + whole[16:]),
                  ("2^60 keys", whole[:16] + struct.pack("<Q", 1 << 60) + whole[24:]),
                  ("a key of 2^60 bytes", whole[:24] + struct.pack("<Q", 1 << 60) + whole[32:]),
                  ("unknown architecture", replaced(struct.pack("<Q", 5) + b"llama", struct.pack("<Q", 5) + b"mamba")),
                  ("missing tensor", replaced(b"output_norm.weight", b"output_form.weight")),
                  ("no heads", metadata("llama.attention.head_count", 0)),
                  ("vocabulary larger than the tensor", metadata("llama.vocab_size", VOCAB + 1)),
                  ("more layers than tensors", metadata("llama.block_count", 3)),
                  ("2^31 layers", metadata("llama.block_count", 1 << 31)),
                  ("another width", metadata("llama.embedding_length", 64)),
                  ("odd alignment", metadata("general.alignment", 7)),
                  ("no alignment", metadata("general.alignment", 0)),
                  ("more tokens than rows", harness.gguf_bytes(self.model, [("tokenizer.ggml.tokens", 9, tokens)]))]
        for name, data in cases:
            file = self.fresh(".gguf")
            file.write_bytes(data)
            for arguments in self.verbs_on(file)[:2]:
                with self.subTest(name, verb=arguments[0]):
                    self.refused_call(arguments, file)
        for arguments in self.verbs_on(self.tmp / "nowhere.gguf"):
            with self.subTest("missing", verb=arguments[0]):
                self.refused_call(arguments, "nowhere.gguf")
        for arguments in self.verbs_on("a" * 5000) + self.verbs_on(self.ids / "below"):
            with self.subTest(arguments[0]):
                self.refused_call(arguments)
        self.refused_call(("train", harness.TINY, "--out", self.tmp / ("a" * 5000)), "aaa", json_output=False)

    # Requests.

    def test_ids(self):
        file, logits = self.fresh(".jsonl"), self.fresh(".bin")
        for line in ("[-1]", f"[{VOCAB}]", "[1.5]", "[true]", '["x"]', "[9223372036854775808]", "[1e300]", "{}", "[]", '"x"', "[1,",
                     json.dumps([1] * 129)):
            with self.subTest(line[:20]):
                file.write_text("[1,2]\n" + line + "\n")
                self.refused_call(("score", self.model, "--ids", file, "--logits", logits), f"{file}:2")
                self.assertFalse(logits.exists())
        file.write_text("")
        self.refused_call(("score", self.model, "--ids", file), file)
        self.refused_call(("score", self.model, "--ids", self.tmp / "none"), self.tmp / "none")
        for line in ("[-1]", f"[{VOCAB * 4}]", "[1.5]", "{}", "7", "[1,"):
            self.refused_call(("detokenize", self.model), "line 1", stdin=line + "\n")
        for line in ("[1]", "7", '"x', "null"):
            self.refused_call(("tokenize", self.model), "line 1", stdin=line + "\n")

    def test_prompts(self):
        for arguments in (("no symbols for this",), ("1+2=?", "--ctx", "1"), ("1" * 500,), (b"\xff\xfe".decode("latin-1"),)):
            self.refused_call(("run", self.model, "--json", *arguments))
        self.refused_call(("run", self.model, "--json"), "no question")

    def test_grading(self):
        file = self.fresh(".jsonl")
        numbers = '"numbers": [3, 5, 7], "target": 22'
        for task, line in (("chain", "[]"), ("chain", "7"), ("chain", "{}"), ("chain", '{"completion": 5, "answer": 7}'),
                           ("chain", '{"completion": "x", "answer": "7"}'), ("chain", '{"completion": "x", "answer": 1e300}'),
                           ("chain", '{"completion": "x", "answer": 7.5}'), ("chain", "nonsense"),
                           ("countdown", "{}"), ("countdown", "{%s}" % numbers),
                           ("countdown", '{"numbers": [4294967299, 5, 7], "target": 22, "expression": "3*5+7"}'),
                           ("countdown", '{"numbers": [], "target": 22, "expression": "3"}'),
                           ("countdown", '{%s, "repeat": {"unit": "(", "times": -1}}' % numbers),
                           ("countdown", '{%s, "repeat": {"unit": "", "times": 9000000000000000000}}' % numbers),
                           ("countdown", '{%s, "repeat": {"unit": "((((", "times": 4611686018427387904}}' % numbers)):
            with self.subTest(line):
                file.write_text(line + "\n")
                self.refused_call(("grade", file, "--task", task), f"{file}:1")
        self.refused_call(("grade", self.tmp / "none", "--task", "chain"), self.tmp / "none")

    def test_evaluations(self):
        self.refused_call(("eval", "nobench", "--model", self.model, "--json", "-"), "nobench", "chain")
        self.refused_call(("eval", "perplexity", "--model", self.model, "--json", "-"), "--data")
        text = self.fresh(".txt")
        for content in ("", "1+2=3;"):  # nothing, and less than a window
            text.write_text(content)
            self.refused_call(("eval", "perplexity", "--model", self.model, "--data", text, "--ctx", 64, "--json", "-"))
        text.write_text("1+2=3;" * 100)
        self.refused_call(("eval", "perplexity", "--model", self.model, "--data", text, "--ctx", 4096, "--json", "-"), "--ctx")
        self.refused_call(("eval", "chain", "--model", self.model, "--ops-min", 5, "--ops-max", 3, "--json", "-"), "ops")
        nowhere = self.tmp / "nowhere" / "result.json"
        self.refused_call(("eval", "chain", "--model", self.model, "--problems", 2, "--max-tokens", 4, "--json", nowhere), nowhere,
                          json_output=False)

    def test_usage(self):
        for arguments in (("bogus",), ("--bogus",), ("run", "--bogus"), ("score", self.model), ("train",), ("grade",),
                          ("grade", self.ids, "--task", "x"), ("score", self.model, "--ids", self.ids, "--chunk", 0),
                          ("score", self.model, "--ids", self.ids, "--threads", -1), ("run", self.model, "x", "--seed", "abc"),
                          ("run", self.model, "x", "--temperature", -1), ("run", self.model, "x", "--top-p", 2),
                          ("run", self.model, "x", "--max-tokens", 0), ("bench", self.model, "-b", "1,x"), ("show",),
                          ("train", harness.TINY, "--threads", 0), ("tokenize",), ("show", self.model, "extra")):
            with self.subTest(arguments[:1] + arguments[2:]):
                self.refused_call(arguments, "--help", status=2)


if __name__ == "__main__":
    harness.require_program()
    unittest.main(verbosity=2)
