#!/usr/bin/env python3
"""The official `ollama` package against `ponder serve`: the shipped model, and one of random weights for tools and schemas."""

import json
import math
import tempfile

from harness import require_program
from random_model import write_random_model
from serving import SHIPPED, Server, client_python, running, wait_until

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
    assert {m.model for m in client.list().models} == {"zero:latest", "random:latest"}
    assert {m.model for m in client.ps().models} == {"zero:latest", "random:latest"}
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


def get_weather(city: str, days: int) -> str:
    """The weather of a city.

    Args:
      city: which
      days: how many
    """
    return f"grey in {city} for {days}"


def tools_and_schemas(client, server):
    rowdy = {"temperature": 1.5, "seed": 1, "num_predict": 900}
    ask = [{"role": "user", "content": "The weather in Paris?"}]
    schema = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"]}
    held = client.chat("random", ask, format=schema, think=False, options=rowdy)
    assert json.loads(held.message.content)["city"] in ("Paris", "Rome"), held
    assert isinstance(json.loads(client.generate("random", "x", format="json", think=False, options=dict(rowdy, seed=3)).response), dict)
    # The package has no tool_choice, so that the model decides; its own tool class makes the schema.
    free = client.chat("random", ask, tools=[get_weather], options=rowdy)
    assert free.done_reason in ("stop", "length"), free
    status, _, forced = server.call("POST", "/api/chat", {
        "model": "random", "messages": ask, "stream": False, "options": rowdy, "tool_choice": "required", "think": False,
        "tools": [{"type": "function", "function": {"name": "get_weather", "parameters": schema}}]})
    assert status == 200 and forced["message"]["tool_calls"], forced
    for call in forced["message"]["tool_calls"]:
        assert call["function"]["arguments"]["city"] in ("Paris", "Rome"), forced
    told = [*ask, forced["message"], {"role": "tool", "tool_name": "get_weather", "content": "grey"}]
    assert client.chat("random", told, tools=[get_weather], options=dict(rowdy, num_predict=8)).prompt_eval_count > 0
    listed = client.chat("random", ask, logprobs=True, top_logprobs=2, options=dict(rowdy, num_predict=6))
    parts = [one for part in client.chat("random", ask, logprobs=True, top_logprobs=2, stream=True, options=dict(rowdy, num_predict=6))
             for one in part.logprobs or []]
    assert parts == list(listed.logprobs) and all(len(one.top_logprobs) == 2 for one in parts)
    long = {"type": "array", "items": {"type": "integer"}, "minItems": 6000}
    parts = client.chat("random", ask, format=long, stream=True)
    next(parts)
    assert running(server, "random") == 1
    parts.close()
    wait_until("the server stops when the client goes", lambda: running(server, "random") == 0)


def errors(client):
    assert "not found" in refused(404, lambda: client.chat("absent", QUESTION))
    assert "not found" in refused(404, lambda: client.show("absent"))
    assert "options.temperature" in refused(400, lambda: client.chat("zero", QUESTION, options={"temperature": -1}))
    assert "images" in refused(400, lambda: client.generate("zero", "1+1=?", images=[b"no image"]))


with tempfile.TemporaryDirectory() as name:
    with Server(SHIPPED, write_random_model(name + "/random"), "--no-log") as server:
        client = ollama.Client(host=server.url)
        lists(client)
        chats(client)
        generates(client)
        embeds(client)
        tools_and_schemas(client, server)
        errors(client)
print("the ollama package: lists, chats, generates, embeds, tools, schemas, errors")
