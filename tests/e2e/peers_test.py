#!/usr/bin/env python3
"""Whether transformers and llama.cpp load what the program writes, and agree with it.

transformers: a Python with torch and transformers, this one or PONDER_TRANSFORMERS_PYTHON.
llama.cpp: llama-server on PATH or in the folder PONDER_LLAMA_CPP. Where neither is there, the test is skipped.
"""

import array
import json
import math
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

import harness
from harness import good

PYTHON = os.environ.get("PONDER_TRANSFORMERS_PYTHON", sys.executable)
LLAMA_SERVER = shutil.which("llama-server", path=os.environ.get("PONDER_LLAMA_CPP")) or shutil.which("llama-server")

COMMON = {"vocab_size": 256, "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 4,
          "num_key_value_heads": 2, "max_position_embeddings": 256, "rms_norm_eps": 1e-6, "bos_token_id": 1, "eos_token_id": 2,
          "hidden_act": "silu", "torch_dtype": "float32", "rope_theta": 10000.0, "tie_word_embeddings": False}
LATENT = {"kv_lora_rank": 64, "qk_nope_head_dim": 32, "qk_rope_head_dim": 32, "v_head_dim": 32, "num_key_value_heads": 4,
          "moe_intermediate_size": 256, "n_routed_experts": 8, "num_experts_per_tok": 2, "first_k_dense_replace": 1,
          "n_shared_experts": 1, "rope_interleave": True}
CONFIGS = {
    "llama": {"architectures": ["LlamaForCausalLM"], "model_type": "llama",
              "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                               "original_max_position_embeddings": 64}},
    "qwen2": {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "tie_word_embeddings": True},
    "qwen3": {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "head_dim": 64},
    "deepseek_v3": {"architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", **LATENT, "q_lora_rank": 64,
                    "n_group": 4, "topk_group": 2, "norm_topk_prob": True, "routed_scaling_factor": 2.5,
                    "scoring_func": "sigmoid", "topk_method": "noaux_tc"},
}
RECIPE = """
name = "peers"
[model]
path = "{path}"
[task]
name = "chain"
[[stage]]
kind = "pretrain"
name = "base"
tokens = 20_000
tokens_per_step = 512
lr = 3e-3
"""
TYPES = ("F16", "Q8_0", "Q5_1", "Q6_K", "Q4_K_M", "IQ4_XS")

# Reads {"folders": [...], "ids": [[...]], "texts": [...]}; writes {folder: {"logits": [one file per list], "ids": [...],
# "chat": text}}.
TRANSFORMERS = """
import json, sys
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
asked = json.load(sys.stdin)
out = {}
for folder in asked["folders"]:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager",
                                                 experts_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = []
    for ids in asked["ids"]:
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0].float()
        rows.append(logits.numpy().astype("<f4").tobytes().hex())
    out[folder] = {"logits": rows, "ids": [tokenizer(t)["input_ids"] for t in asked["texts"]],
                   "chat": tokenizer.apply_chat_template([{"role": "user", "content": "1+2=?"}], tokenize=False,
                                                         add_generation_prompt=True)}
json.dump(out, sys.stdout)
"""


def has_transformers():
    done = subprocess.run([PYTHON, "-c", "import torch, transformers"], capture_output=True, check=False)
    return done.returncode == 0


def probe_ids():
    """Token ids that no tokenizer had to make: a fixed walk through the vocabulary."""
    return [[(7 * i * i + 13 * i + 5 * row) % 256 for i in range(48)] for row in range(3)]


def log_softmax(row):
    top = max(row)
    total = math.log(sum(math.exp(x - top) for x in row)) + top
    return [x - total for x in row]


def divergence(exact, other):
    """KL in nats of two rows of log-probabilities."""
    return sum(math.exp(p) * (p - q) for p, q in zip(exact, other))


class LlamaServer:
    """llama.cpp's server with a model, on a port of its own."""

    def __init__(self, model):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        environment = dict(os.environ, LD_LIBRARY_PATH=str(pathlib.Path(LLAMA_SERVER).parent))
        self.process = subprocess.Popen([LLAMA_SERVER, "-m", str(model), "--port", str(self.port), "-t", "2", "-c", "256", "-np", "1",
                                         "--no-webui", "--no-warmup"], env=environment, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)

    def __enter__(self):
        for _ in range(600):
            if self.process.poll() is not None:
                raise AssertionError(f"llama-server ended with status {self.process.returncode}: it does not load the file")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5) as answer:
                    if answer.status == 200:
                        return self
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        raise AssertionError("llama-server does not come up")

    def __exit__(self, *unused):
        self.process.terminate()
        self.process.wait()

    def next_logprobs(self, ids):
        """Log-probabilities of all 256 tokens after `ids`."""
        body = json.dumps({"prompt": ids, "n_predict": 1, "n_probs": 256, "temperature": 1.0, "samplers": [],
                           "cache_prompt": False}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/completion", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            found = json.load(answer)["completion_probabilities"][0]["top_logprobs"]
        row = [-math.inf] * 256
        for entry in found:
            row[entry["id"]] = entry["logprob"]
        if -math.inf in row:
            raise AssertionError("llama-server did not give every token's probability")
        return row


class PeersTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="ponder-peers-")
        cls.tmp = pathlib.Path(cls.folder.name)
        tokenizer = harness.train_tiny(cls.tmp) / "model"
        cls.models = {}
        for name, config in CONFIGS.items():
            shape = cls.tmp / f"{name}-shape"
            shape.mkdir()
            (shape / "config.json").write_text(json.dumps({**COMMON, **config}))
            for file in ("tokenizer.json", "tokenizer_config.json"):
                shutil.copy(tokenizer / file, shape)
            recipe = cls.tmp / f"{name}.toml"
            recipe.write_text(RECIPE.format(path=shape))
            good("train", recipe, "--out", cls.tmp / name)
            cls.models[name] = cls.tmp / name / "model"

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def logits(self, model):
        """Our logits for every list of probe_ids(), (tokens)(256) each."""
        ids, out = self.tmp / "ids.jsonl", self.tmp / "logits.bin"
        ids.write_text("".join(json.dumps(row) + "\n" for row in probe_ids()))
        good("score", model, "--ids", ids, "--logits", out)
        values = array.array("f", out.read_bytes())
        rows = [values[i:i + 256].tolist() for i in range(0, len(values), 256)]
        return [rows[48 * n:48 * (n + 1)] for n in range(len(probe_ids()))]

    @unittest.skipUnless(has_transformers(), f"{PYTHON} has no torch and transformers")
    def test_transformers(self):
        folders = dict(self.models)
        for name, model in self.models.items():  # and after a round trip through GGUF
            good("convert", model, self.tmp / f"{name}.f32.gguf", "--type", "f32")
            good("convert", self.tmp / f"{name}.f32.gguf", self.tmp / f"{name}-back")
            folders[f"{name}-back"] = self.tmp / f"{name}-back"
        texts = ["37+8*3=?", "<think>45;</think>", "three plus four makes N7"]
        asked = {"folders": [str(f) for f in folders.values()], "ids": probe_ids(), "texts": texts}
        done = subprocess.run([PYTHON, "-c", TRANSFORMERS], input=json.dumps(asked), capture_output=True, text=True, check=False,
                              env=dict(os.environ, HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error"), timeout=harness.TIMEOUT_SECONDS)
        self.assertEqual(done.returncode, 0, done.stderr[-3000:])
        theirs = json.loads(done.stdout)
        request = self.tmp / "request.json"
        request.write_text(json.dumps({"messages": [{"role": "user", "content": "1+2=?"}], "add_generation_prompt": True}))
        for name, folder in folders.items():
            answer = theirs[str(folder)]
            for ours, hexed in zip(self.logits(folder), answer["logits"]):
                values = array.array("f", bytes.fromhex(hexed))
                scale = max(1.0, max(abs(x) for x in values))
                worst = max(abs(a - b) for a, b in zip((x for row in ours for x in row), values))
                self.assertLess(worst, 5e-5 * scale, name)  # the bound of the golden logits
            if "llama" in name:  # for the others transformers puts the family's own rules over the file's
                lines = "".join(json.dumps(t) + "\n" for t in texts)
                mine = [json.loads(line) for line in good("tokenize", folder, stdin=lines).splitlines()]
                self.assertEqual(mine, answer["ids"], name)
            self.assertEqual(good("render", folder, request).decode().rstrip("\n"), answer["chat"].rstrip("\n"), name)

    @unittest.skipUnless(LLAMA_SERVER, "llama-server is not on PATH, nor in PONDER_LLAMA_CPP")
    def test_llama_cpp(self):
        for name, model in self.models.items():
            exact = self.tmp / f"{name}.f32.gguf"
            if not exact.exists():
                good("convert", model, exact, "--type", "f32")
            self.compare(name, exact, exact)
            for kind in TYPES if name == "llama" else ("Q4_K_M",):
                coded = self.tmp / f"{name}.{kind}.gguf"
                good("quantize", exact, coded, kind)
                decoded = self.tmp / f"{name}.{kind}.f32.gguf"
                good("convert", coded, decoded, "--type", "f32")
                self.compare(f"{name} {kind}", coded, decoded)

    def compare(self, what, coded, decoded):
        """Both programs' mean divergence from the exact values of the weights in `coded`. Rounding of activations makes it, alike in
        both, but the ratio of two such means over 72 contexts of a small model still swings by a third: twice is wrong, not chance.
        (The golden files hold 1.2 on larger samples.) 1e-6 is what single precision gives."""
        exact = [log_softmax(row) for rows in self.logits(decoded) for row in rows[::2]]
        ours = [log_softmax(row) for rows in self.logits(coded) for row in rows[::2]]
        with LlamaServer(coded) as server:
            theirs = [server.next_logprobs(ids[:n + 1]) for ids in probe_ids() for n in range(0, 48, 2)]
        mine = sum(map(divergence, exact, ours)) / len(exact)
        peer = sum(map(divergence, exact, theirs)) / len(exact)
        print(f"{what}: mean divergence {mine:.3g}, llama.cpp {peer:.3g}", flush=True)
        self.assertLess(peer, 0.05, f"{what}: llama.cpp reads other weights than were written")
        self.assertLessEqual(mine, max(2 * peer, 1e-6), what)


if __name__ == "__main__":
    harness.require_program()
    if not LLAMA_SERVER and not has_transformers():
        print("neither transformers nor llama.cpp is installed: PONDER_TRANSFORMERS_PYTHON and PONDER_LLAMA_CPP say where")
        sys.exit(harness.SKIPPED)
    unittest.main()
