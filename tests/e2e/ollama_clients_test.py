#!/usr/bin/env python3
"""The official `ollama` package against `ponder serve` with the shipped model."""

import math

from harness import require_program
from serving import SHIPPED, Server, client_python

require_program()
client_python("ollama")

import ollama  # noqa: E402  (only in the virtual environment)

QUESTION = [{"role": "user", "content": "37+8*3-5*7=?"}]
GREEDY = {"temperature": 0}


def refused(status, call):
    try:
        call()
    except ollama.ResponseError as error:
        assert error.status_code == status, (error.status_code, error.error)
        return error.error
    raise AssertionError(f"expected an error {status}")


def lists(client):
    assert [m.model for m in client.list().models] == ["zero:latest"]
    assert [m.model for m in client.ps().models] == ["zero:latest"]
    shown = client.show("zero")
    family = shown.details.family
    assert shown.modelinfo[f"{family}.context_length"] > 0 and "completion" in shown.capabilities, shown


def chats(client):
    whole = client.chat("zero", QUESTION, options=GREEDY)
    assert whole.done and whole.done_reason == "stop" and whole.message.content == "37", whole
    assert whole.message.thinking.startswith("37+8=45;"), whole
    assert whole.prompt_eval_count > 0 and whole.eval_count > 0
    assert whole.total_duration >= whole.eval_duration >= 0
    content, thinking, last = "", "", None
    for part in client.chat("zero:latest", QUESTION, options=GREEDY, stream=True):
        content += part.message.content or ""
        thinking += part.message.thinking or ""
        last = part
    assert (content, thinking) == (whole.message.content, whole.message.thinking)
    assert last.done and last.eval_count == whole.eval_count
    silent = client.chat("zero", QUESTION, options=GREEDY, think=False)
    assert not silent.message.thinking and silent.message.content, silent
    cut = client.chat("zero", QUESTION, options=dict(GREEDY, num_predict=3))
    assert cut.done_reason == "length" and cut.eval_count == 3, cut


def generates(client):
    whole = client.generate("zero", QUESTION[0]["content"], options=GREEDY)
    assert whole.response == "37" and whole.done, whole
    text = "".join(part.response for part in client.generate("zero", QUESTION[0]["content"], options=GREEDY, stream=True))
    assert text == whole.response
    assert client.generate("zero").done_reason == "load"


def embeds(client):
    two = client.embed("zero", ["3+4", "5*6"]).embeddings
    assert len(two) == 2 and math.isclose(sum(x * x for x in two[0]), 1, rel_tol=1e-5)
    assert list(client.embeddings("zero", "3+4").embedding) == list(two[0])


def errors(client):
    assert "not found" in refused(404, lambda: client.chat("absent", QUESTION))
    assert "not found" in refused(404, lambda: client.show("absent"))
    assert "options.temperature" in refused(400, lambda: client.chat("zero", QUESTION, options={"temperature": -1}))
    assert "images" in refused(400, lambda: client.generate("zero", "1+1=?", images=[b"no image"]))


with Server(SHIPPED) as server:
    client = ollama.Client(host=server.url)
    lists(client)
    chats(client)
    generates(client)
    embeds(client)
    errors(client)
print("the ollama package: lists, chats, generates, embeds, errors")
