#!/usr/bin/env python3
"""What `ponder serve` answers, held to the description that it gives of itself at /openapi.json."""

import json
import tempfile

from harness import require_program
from serving import SHIPPED, Server, client_python

require_program()
client_python("jsonschema", "openapi-spec-validator")

import jsonschema  # noqa: E402  (only in the virtual environment)
import openapi_spec_validator  # noqa: E402

QUESTION = [{"role": "user", "content": "37+8*3-5*7=?"}]
CHAT = {"messages": QUESTION, "temperature": 0}
OLLAMA = {"model": "zero", "stream": False}
STREAMS = {"/v1/chat/completions": "ChatChunk", "/chat/completions": "ChatChunk", "/v1/completions": "Completion",
           "/completion": "LlamaCompletion", "/api/chat": "OllamaChatReply", "/api/generate": "OllamaGenerateReply"}
# (method, path as described, path as asked, body): requests that are answered, and their variants.
ASKED = [
    ("POST", "/v1/chat/completions", None, CHAT),
    ("POST", "/v1/chat/completions", None, dict(CHAT, n=3, temperature=1, max_tokens=9)),
    ("POST", "/v1/chat/completions", None, dict(CHAT, logprobs=True, top_logprobs=4)),
    ("POST", "/v1/chat/completions", None, dict(CHAT, thinking={"type": "disabled"}, no_such_field=1)),
    ("POST", "/v1/chat/completions", None, dict(CHAT, stream=True, stream_options={"include_usage": True}, logprobs=True)),
    ("POST", "/chat/completions", None, CHAT),
    ("POST", "/chat/completions", None, dict(CHAT, stream=True)),
    ("POST", "/beta/chat/completions", None, CHAT),
    ("POST", "/beta/v1/chat/completions", None, CHAT),
    ("POST", "/v1/completions", None, {"prompt": ["3+4=", "2*3="], "n": 2, "echo": True}),
    ("POST", "/v1/completions", None, {"prompt": "3+4=", "logprobs": 2}),
    ("POST", "/v1/completions", None, {"prompt": "3+4=", "stream": True, "stop": ["x", "y"]}),
    ("POST", "/completions", None, {"prompt": "3+4="}),
    ("POST", "/beta/completions", None, {"prompt": "3+4="}),
    ("POST", "/v1/responses", None, {"input": "37+8*3-5*7=?"}),
    ("POST", "/v1/responses", None, {"input": "37+8*3-5*7=?", "max_output_tokens": 3, "top_logprobs": 2}),
    ("POST", "/v1/embeddings", None, {"input": ["3+4=?", "1+1=?"]}),
    ("POST", "/v1/embeddings", None, {"input": "3+4=?", "encoding_format": "base64"}),
    ("GET", "/v1/models", None, None),
    ("GET", "/v1/models/{model}", "/v1/models/zero", None),
    ("GET", "/models", None, None),
    ("GET", "/beta/models", None, None),
    ("GET", "/models/{model}", "/models/zero", None),
    ("GET", "/user/balance", None, None),
    ("POST", "/v1/messages", None, {"messages": QUESTION, "max_tokens": 200}),
    ("POST", "/v1/messages", None, {"messages": QUESTION, "max_tokens": 3, "stop_sequences": ["x"]}),
    ("POST", "/anthropic/v1/messages", None, {"messages": QUESTION, "max_tokens": 200}),
    ("POST", "/v1/messages/count_tokens", None, {"messages": QUESTION}),
    ("POST", "/anthropic/v1/messages/count_tokens", None, {"messages": QUESTION}),
    ("GET", "/anthropic/v1/models", None, None),
    ("GET", "/anthropic/v1/models/{model}", "/anthropic/v1/models/zero", None),
    ("GET", "/", None, None),
    ("GET", "/api/version", None, None),
    ("POST", "/api/chat", None, dict(OLLAMA, messages=QUESTION, logprobs=True)),
    ("POST", "/api/chat", None, {"model": "zero", "messages": QUESTION}),
    ("POST", "/api/generate", None, dict(OLLAMA, prompt="37+8*3-5*7=?")),
    ("POST", "/api/generate", None, {"model": "zero", "prompt": "37+8*3-5*7=?", "options": {"num_predict": 4}}),
    ("POST", "/api/generate", None, OLLAMA),
    ("POST", "/api/embed", None, {"model": "zero", "input": ["3+4=?"]}),
    ("POST", "/api/embeddings", None, {"model": "zero", "prompt": "3+4=?"}),
    ("GET", "/api/tags", None, None),
    ("GET", "/api/ps", None, None),
    ("POST", "/api/show", None, {"model": "zero"}),
    ("POST", "/completion", None, {"prompt": "3+4=", "n_predict": 5, "n_probs": 2, "return_tokens": True}),
    ("POST", "/completion", None, {"prompt": ["3+4=", "5+5="], "n_predict": 5}),
    ("POST", "/completion", None, {"prompt": "3+4=", "n_predict": 5, "stream": True}),
    ("POST", "/tokenize", None, {"content": "3+4=", "with_pieces": True}),
    ("POST", "/detokenize", None, {"tokens": [5, 6]}),
    ("POST", "/apply-template", None, CHAT),
    ("GET", "/slots", None, None),
    ("GET", "/props", None, None),
    ("GET", "/lora-adapters", None, None),
    ("GET", "/health", None, None),
    ("GET", "/ping", None, None),
    ("GET", "/version", None, None),
    ("GET", "/metrics", None, None),
    ("GET", "/openapi.json", None, None),
]
REFUSED = [
    ("POST", "/v1/chat/completions", None, {"messages": []}),
    ("POST", "/v1/responses", None, {}),
    ("POST", "/v1/embeddings", None, {"input": 3}),
    ("GET", "/v1/models/{model}", "/v1/models/none", None),
    ("POST", "/v1/messages", None, {"messages": QUESTION}),
    ("POST", "/api/chat", None, {"model": "none"}),
    ("POST", "/api/pull", None, {"model": ""}),
    ("POST", "/api/push", None, {}),
    ("POST", "/api/create", None, {}),
    ("POST", "/api/copy", None, {"source": "none", "destination": "other"}),
    ("DELETE", "/api/delete", None, {"model": "none"}),
    ("GET", "/api/blobs/{digest}", "/api/blobs/sha256:00", None),
    ("POST", "/api/blobs/{digest}", "/api/blobs/sha256:00", None),
    ("POST", "/completion", None, {}),
    ("POST", "/infill", None, {"input_prefix": "3+", "input_suffix": "=7"}),  # its vocabulary has no marks for it
    ("POST", "/tokenize", None, {}),
    ("POST", "/props", None, {}),
    ("POST", "/slots/{id}", "/slots/0", {}),
    ("POST", "/v1/rerank", None, {}),
    ("POST", "/rerank", None, {}),
    ("POST", "/v1/reranking", None, {}),
    ("POST", "/reranking", None, {}),
    ("GET", "/v1/receipts/{id}", "/v1/receipts/none", None),
    ("GET", "/v1/streams/{id}", "/v1/streams/none", None),
]


class Description:
    def __init__(self, document):
        self.document = document
        self.seen = set()

    def holds(self, schema, value, what):
        # References are looked up in the whole document.
        whole = dict(schema, components=self.document["components"])
        errors = sorted(jsonschema.Draft202012Validator(whole).iter_errors(value), key=str)
        if errors:
            raise AssertionError(f"{what}: {errors[0].json_path}: {errors[0].message[:500]}")

    def check(self, method, path, status, headers, body):
        operation = self.document["paths"][path][method.lower()]
        self.seen.add((method, path))
        response = operation["responses"].get(str(status)) or operation["responses"]["default"]
        if "$ref" in response:
            response = self.document["components"]["responses"][response["$ref"].rsplit("/", 1)[1]]
            assert status >= 400, (method, path, status)
        kind = headers.get("Content-Type")
        content = response.get("content", {})
        if not content:
            assert not body, (path, body)
            return
        found = content.get(kind) or content.get((kind or "").split(";")[0])
        assert found, f"{method} {path}: {status} has the type {kind}, described are {list(content)}"
        self.holds(found["schema"], body, f"{method} {path} {status}")
        if path in STREAMS and kind in ("text/event-stream", "application/x-ndjson"):
            self.check_stream(path, kind, body)

    def check_stream(self, path, kind, body):
        lines = body.splitlines()
        if kind == "text/event-stream":
            lines = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
        if lines[-1] == "[DONE]":
            lines.pop()
        assert len(lines) > 1, body
        for line in lines:
            self.holds(self.document["components"]["schemas"][STREAMS[path]], json.loads(line), f"{path}: {line}")


def check_requests(description):
    """The bodies asked here are themselves as described."""
    for method, path, _, body in ASKED:
        operation = description.document["paths"][path][method.lower()]
        if body is not None:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            description.holds(schema, body, f"the request {method} {path}")


def main():
    with tempfile.TemporaryDirectory() as name, Server(SHIPPED, "--no-log", "--receipts", name + "/receipts") as server:
        document = server.call("GET", "/openapi.json")[2]
        openapi_spec_validator.validate(document)
        description = Description(document)
        check_requests(description)
        for requests, good in ((ASKED, True), (REFUSED, False)):
            for method, path, asked, body in requests:
                status, headers, reply = server.call(method, asked or path, body)
                assert (status < 300) == good, (method, path, body, status, reply)
                description.check(method, path, status, headers, reply)
        status, headers, models = server.call("GET", "/v1/models", headers={"anthropic-version": "2023-06-01"})
        description.check("GET", "/v1/models", status, headers, models)
        body = dict(CHAT, stream=True)
        _, headers, stream = server.call("POST", "/v1/chat/completions", body, {"X-Ponder-Resumable": "1"})
        answer = headers["X-Ponder-Id"]
        for path in ("/v1/receipts", "/v1/streams"):
            description.check("GET", path + "/{id}", *server.call("GET", f"{path}/{answer}"))
        description.check("GET", "/v1/receipts/{id}", *server.call("GET", f"/v1/receipts/{answer}"))
        routes = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
        assert routes == description.seen, sorted(routes ^ description.seen)
    print(f"{len(ASKED) + len(REFUSED)} replies on {len(routes)} routes are as described")


main()
