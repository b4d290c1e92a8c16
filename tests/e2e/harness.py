"""What the end-to-end tests share: the built program, a tiny trained model, and expectations on how a call ends.

The program is PONDER_BUILD_DIR/ponder; without that variable the release build of this tree.
"""

import json
import os
import pathlib
import struct
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = pathlib.Path(os.environ.get("PONDER_SOURCE_DIR", HERE.parent.parent))
BUILD = pathlib.Path(os.environ.get("PONDER_BUILD_DIR", SOURCE / "build" / "release"))
PONDER = str(BUILD / "ponder")
SANITIZED = BUILD.name in ("asan", "tsan")  # no limits on addresses there
TINY = HERE / "tiny.toml"
SKIPPED = 77
TIMEOUT_SECONDS = 3600 if SANITIZED else 600


def require_program():
    if not os.access(PONDER, os.X_OK):
        print(f"{PONDER}: not built")
        sys.exit(SKIPPED)


def call(*arguments, stdin="", environment=None, **keywords):
    """Runs `ponder ARGUMENTS` to its end; stdout and stderr are bytes."""
    data = stdin if isinstance(stdin, bytes) else stdin.encode()
    return subprocess.run([PONDER, *map(str, arguments)], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=dict(os.environ, **(environment or {})), timeout=TIMEOUT_SECONDS, **keywords)


def good(*arguments, **keywords):
    """As call(), and it must succeed and say nothing on stderr; returns stdout."""
    done = call(*arguments, **keywords)
    if done.returncode != 0 or done.stderr:
        raise AssertionError(f"ponder {' '.join(map(str, arguments))}\n  status {done.returncode}\n"
                             f"  stderr {done.stderr.decode(errors='replace')}")
    return done.stdout


def train_tiny(folder):
    """A finished run of tiny.toml in `folder`/tiny; returns the run directory."""
    out = pathlib.Path(folder) / "tiny"
    good("train", TINY, "--out", out)
    return out


def rows_of(path):
    return [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]


def temporaries(folder):
    return sorted(str(path.relative_to(folder)) for path in pathlib.Path(folder).rglob("*.tmp"))


def snapshot(folder):
    """Every file under `folder` with its bytes."""
    root = pathlib.Path(folder)
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def read_safetensors(path):
    """{name: (shape, bytes)} of a file of float32 tensors."""
    data = pathlib.Path(path).read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    body = data[8 + size:]
    return {name: (entry["shape"], body[slice(*entry["data_offsets"])])
            for name, entry in header.items() if name != "__metadata__"}


def safetensors_bytes(tensors):
    """The inverse of read_safetensors."""
    header, body = {}, b""
    for name, (shape, data) in tensors.items():
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    raw = json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + body


GGUF_NAMES = {"input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
              "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm",
              "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}


def gguf_name(name):
    whole = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
             "lm_head.weight": "output.weight"}
    if name in whole:
        return whole[name]
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{GGUF_NAMES[rest.removesuffix('.weight')]}.weight"


def interleaved(data, rows, heads):
    """GGUF keeps the two halves of each rotary pair of llama's q and k side by side."""
    width, half = len(data) // rows, rows // heads // 2
    order = [head * 2 * half + part * half + i for head in range(heads) for i in range(half) for part in (0, 1)]
    return b"".join(data[row * width:(row + 1) * width] for row in order)


def gguf_bytes(model_folder, extra=()):
    """The llama model of a Hugging Face folder (float32) as GGUF, without its tokenizer; `extra`: further (key, type, bytes)."""
    folder = pathlib.Path(model_folder)
    config = json.loads((folder / "config.json").read_text())
    tensors = read_safetensors(folder / "model.safetensors")

    def text(value):
        raw = value.encode()
        return struct.pack("<Q", len(raw)) + raw

    head = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    pairs = [("general.architecture", 8, text("llama")), ("general.alignment", 4, struct.pack("<I", 32))]
    for key, value in (("context_length", config["max_position_embeddings"]), ("embedding_length", config["hidden_size"]),
                       ("block_count", config["num_hidden_layers"]), ("feed_forward_length", config["intermediate_size"]),
                       ("attention.head_count", config["num_attention_heads"]),
                       ("attention.head_count_kv", config["num_key_value_heads"]), ("rope.dimension_count", head),
                       ("vocab_size", config["vocab_size"])):
        pairs.append(("llama." + key, 4, struct.pack("<I", value)))
    pairs.append(("llama.attention.layer_norm_rms_epsilon", 6, struct.pack("<f", config["rms_norm_eps"])))
    pairs.append(("llama.rope.freq_base", 6, struct.pack("<f", config.get("rope_theta", 10000.0))))
    pairs += list(extra)
    out = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs))
    for key, kind, value in pairs:
        out += text(key) + struct.pack("<I", kind) + value
    body = b""
    for name, (shape, data) in sorted(tensors.items()):
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            data = interleaved(data, shape[0], shape[0] // head)
        out += text(gguf_name(name)) + struct.pack("<I", len(shape))
        out += b"".join(struct.pack("<Q", n) for n in reversed(shape)) + struct.pack("<IQ", 0, len(body))
        body += data + b"\0" * (-len(data) % 32)
    return out + b"\0" * (-len(out) % 32) + body
