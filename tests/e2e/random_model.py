"""A small llama of random weights in a folder as Hugging Face has it: every byte is a token, and so are pieces of JSON and the
marks of thinking and of tool calls, so that anything can come out of it."""

import json
import pathlib
import random
import struct

from harness import safetensors_bytes

SIZES = dict(hidden=64, inner=96, layers=2, heads=4, kv_heads=2, head=16)
PIECES = ['"', '": "', '", "', '":', '",', '{"', '"}', "}}", "]}", '"name": "', "name", "argu", "ments", "true", "false", "null",
          "12", "000", "-1", "the", "and", "type", "value", "\\n", "\\u", '\\"', "[1, 2]", "]]", "{}", "```", "<tool", "_call>", "é", "你"]
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MARKS = ["<think>", "</think>", "<tool_call>", "</tool_call>"]

HERMES = """
{%- if tools %}<|im_start|>system
You may call tools:{% for tool in tools %}
{{ tool | tojson }}{% endfor %}
as <tool_call>
{"name": NAME, "arguments": OBJECT}
</tool_call><|im_end|>
{% endif %}
{%- for m in messages %}<|im_start|>{{ m.role }}
{{ m.content or '' }}{% for c in m.tool_calls or [] %}
<tool_call>
{{ c.function | tojson }}
</tool_call>{% endfor %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% if enable_thinking is defined and enable_thinking %}<think>
{% endif %}{% endif %}"""

DEEPSEEK = """
{%- if tools %}Tools:{% for tool in tools %}
{{ tool | tojson }}{% endfor %}
{% endif %}
{%- for m in messages %}<|im_start|>{{ m.role }}
{{ m.content or '' }}{% for c in m.tool_calls or [] %}<｜tool▁call▁begin｜>function<｜tool▁sep｜>{{ c.function.name }}
```json
{{ c.function.arguments }}
```<｜tool▁call▁end｜>{% endfor %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def byte_letters():
    """GPT-2's letter for each byte."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters, spare = {}, 256
    for byte in range(256):
        if byte in shown:
            letters[byte] = chr(byte)
        else:
            letters[byte] = chr(spare)
            spare += 1
    return letters


def write_random_model(folder, template=HERMES, context=8192, seed=1):
    """Returns the folder. The same seed makes the same model."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    letters = byte_letters()
    vocab = {letters[byte]: byte for byte in range(256)}
    for piece in PIECES:
        vocab.setdefault("".join(letters[byte] for byte in piece.encode()), len(vocab))
    added = [dict(id=len(vocab) + i, content=text, special=text in SPECIAL, single_word=False, lstrip=False, rstrip=False,
                  normalized=False) for i, text in enumerate(SPECIAL + MARKS)]
    size = len(vocab) + len(added)
    (folder / "tokenizer.json").write_text(json.dumps(dict(
        version="1.0", added_tokens=added, normalizer=None, post_processor=None,
        pre_tokenizer=dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=True),
        decoder=dict(type="ByteLevel", add_prefix_space=True, trim_offsets=True, use_regex=True),
        model=dict(type="BPE", vocab=vocab, merges=[]))))
    (folder / "tokenizer_config.json").write_text(json.dumps(dict(eos_token="<|im_end|>", chat_template=template)))
    s = SIZES
    (folder / "config.json").write_text(json.dumps(dict(
        architectures=["LlamaForCausalLM"], model_type="llama", vocab_size=size, hidden_size=s["hidden"],
        intermediate_size=s["inner"], num_hidden_layers=s["layers"], num_attention_heads=s["heads"],
        num_key_value_heads=s["kv_heads"], head_dim=s["head"], max_position_embeddings=context, rms_norm_eps=1e-5,
        rope_theta=10000.0, tie_word_embeddings=False, torch_dtype="float32", hidden_act="silu",
        eos_token_id=len(vocab) + SPECIAL.index("<|im_end|>"))))
    source, tensors = random.Random(seed), {}

    def add(name, *shape):
        count = 1
        for n in shape:
            count *= n
        values = [1.0] * count if len(shape) == 1 else [source.gauss(0, 0.05) for _ in range(count)]
        tensors[name] = (list(shape), struct.pack(f"<{count}f", *values))

    add("model.embed_tokens.weight", size, s["hidden"])
    for layer in range(s["layers"]):
        name = f"model.layers.{layer}."
        add(name + "input_layernorm.weight", s["hidden"])
        add(name + "post_attention_layernorm.weight", s["hidden"])
        add(name + "self_attn.q_proj.weight", s["heads"] * s["head"], s["hidden"])
        add(name + "self_attn.k_proj.weight", s["kv_heads"] * s["head"], s["hidden"])
        add(name + "self_attn.v_proj.weight", s["kv_heads"] * s["head"], s["hidden"])
        add(name + "self_attn.o_proj.weight", s["hidden"], s["heads"] * s["head"])
        add(name + "mlp.gate_proj.weight", s["inner"], s["hidden"])
        add(name + "mlp.up_proj.weight", s["inner"], s["hidden"])
        add(name + "mlp.down_proj.weight", s["hidden"], s["inner"])
    add("model.norm.weight", s["hidden"])
    add("lm_head.weight", size, s["hidden"])
    (folder / "model.safetensors").write_bytes(safetensors_bytes(tensors))
    return folder
