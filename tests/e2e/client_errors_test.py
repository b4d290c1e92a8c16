#!/usr/bin/env python3
"""The classes of errors that the official Python clients make of the server's refusals: a full queue, keys, unknown models, a
server that stops."""

import hashlib
import pathlib
import tempfile

from harness import require_program
from random_model import write_random_model
from serving import SHIPPED, Server, client_python, refused, running, wait_until

require_program()
client_python("openai", "anthropic", "ollama")

import anthropic  # noqa: E402  (only in the virtual environment)
import ollama  # noqa: E402
import openai  # noqa: E402

ASK = [{"role": "user", "content": "37+8*3-5*7=?"}]


class Clients:
    def __init__(self, server, key="none"):
        self.openai = openai.OpenAI(base_url=server.url + "/v1", api_key=key, max_retries=0, timeout=60)
        self.deepseek = openai.OpenAI(base_url=server.url, api_key=key, max_retries=0, timeout=60)
        self.anthropic = anthropic.Anthropic(base_url=server.url, api_key=key, max_retries=0, timeout=60)
        self.ollama = ollama.Client(host=server.url, headers={"Authorization": "Bearer " + key}, timeout=60)

    def expect(self, status, openai_kind, anthropic_kind, model, message=""):
        """Each client's chat with the model is refused so."""
        for client in (self.openai, self.deepseek):
            error = refused(openai_kind, lambda c=client: c.chat.completions.create(model=model, messages=ASK))
            assert error.status_code == status and message in error.message and error.request_id, error
        streamed = refused(openai_kind, lambda: self.openai.chat.completions.create(model=model, messages=ASK, stream=True))
        assert streamed.status_code == status
        error = refused(anthropic_kind, lambda: self.anthropic.messages.create(model=model, messages=ASK, max_tokens=5))
        assert error.status_code == status and error.body["type"] == "error" and error.request_id, error
        return refused(ollama.ResponseError, lambda: self.ollama.chat(model, ASK)).status_code


def full_queue(folder):
    with Server(folder / "random", "--max-batch", "1", "--max-queue", "1", "--no-log") as server:
        clients = Clients(server)
        long = dict(model="random", messages=ASK, stream=True, extra_body={"ignore_eos": True})
        first = clients.openai.chat.completions.create(**long)
        next(first)
        second = clients.openai.chat.completions.create(**long)  # it waits
        status = clients.expect(429, openai.RateLimitError, anthropic.RateLimitError, "random", "queue")
        assert status in (429, 503), status
        error = refused(openai.RateLimitError, lambda: clients.openai.chat.completions.create(model="random", messages=ASK))
        assert int(error.response.headers["retry-after"]) > 0
        first.close()
        second.close()
        wait_until("both are gone", lambda: running(server, "random") == 0)
        assert clients.openai.chat.completions.create(model="random", messages=ASK, max_tokens=3).usage.completion_tokens <= 3


def keys(folder):
    path = folder / "keys.txt"
    lines = {"the-key-of-bob-1": "bob scope=infer models=zero", "the-key-of-ann-1": "ann expires=2020-01-31"}
    path.write_text("".join(f"{hashlib.sha256(key.encode()).hexdigest()} {rest}\n" for key, rest in lines.items()))
    with Server(SHIPPED, folder / "random", "--api-keys", path, "--no-log") as server:
        bob = Clients(server, "the-key-of-bob-1")
        assert bob.openai.chat.completions.create(model="zero", messages=ASK, temperature=0).choices[0].message.content == "37"
        assert {model.id for model in bob.openai.models.list()} == {"zero"}
        assert bob.expect(404, openai.NotFoundError, anthropic.NotFoundError, "random") == 404
        assert bob.expect(404, openai.NotFoundError, anthropic.NotFoundError, "none") == 404
        assert refused(ollama.ResponseError, lambda: bob.ollama.delete("zero")).status_code == 403
        for key in ("the-key-of-ann-1", "another-key-12"):  # expired, unknown
            assert Clients(server, key).expect(401, openai.AuthenticationError, anthropic.AuthenticationError, "zero") == 401


def gone():
    with Server(SHIPPED, "--no-log") as server:
        clients = Clients(server)
        assert clients.ollama.chat("zero", ASK).done
        server.stop()
        refused(openai.APIConnectionError, lambda: clients.openai.chat.completions.create(model="zero", messages=ASK))
        refused(anthropic.APIConnectionError, lambda: clients.anthropic.messages.create(model="zero", messages=ASK, max_tokens=5))
        refused(ConnectionError, lambda: clients.ollama.chat("zero", ASK))


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_random_model(folder / "random")
        full_queue(folder)
        keys(folder)
        gone()
    print("openai, anthropic and ollama: refusals come as each client's own errors")


main()
