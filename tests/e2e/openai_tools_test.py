#!/usr/bin/env python3
"""Tools, JSON schemas, streams with log-probabilities, cancelling and time-outs through the official `openai` package, against a
model of random weights: what is right comes from the server's constraints alone."""

import json
import tempfile
import threading

from harness import require_program
from random_model import DEEPSEEK, HERMES, write_random_model
from serving import Server, client_python, refused, running, wait_until

require_program()
client_python("openai")

import openai  # noqa: E402  (only in the virtual environment)

ASK = [{"role": "user", "content": "What is the weather in Paris and Rome?"}]
WEATHER = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
           "required": ["city", "days"], "additionalProperties": False}
NOW = {"type": "object", "properties": {}, "additionalProperties": False}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "Weather of a city", "parameters": WEATHER, "strict": True}},
         {"type": "function", "function": {"name": "now", "parameters": NOW}}]
SILENT = {"enable_thinking": False}
ROWDY = dict(temperature=1.5, max_tokens=900, extra_body=SILENT)


def check_call(call):
    assert call.type == "function" and call.id.startswith("call_"), call
    arguments = json.loads(call.function.arguments)
    if call.function.name == "get_weather":
        assert set(arguments) == {"city", "days"} and arguments["city"] in ("Paris", "Rome") and 1 <= arguments["days"] <= 9
    else:
        assert call.function.name == "now" and arguments == {}, call


def ask(client, model, **more):
    return client.chat.completions.create(**{**dict(model=model, messages=ASK, tools=TOOLS, **ROWDY), **more})


def required(client, model):
    several = cut = 0
    for seed in range(12):
        out = ask(client, model, tool_choice="required", seed=seed).choices[0]
        if out.finish_reason == "length":  # such a model may go on calling
            assert not out.message.tool_calls, out
            cut += 1
            continue
        assert out.finish_reason == "tool_calls" and out.message.content is None, out
        for call in out.message.tool_calls:
            check_call(call)
        several += len(out.message.tool_calls) > 1
        assert len({call.id for call in out.message.tool_calls}) == len(out.message.tool_calls)
    assert several and cut < 4, (several, cut)
    one = {"type": "function", "function": {"name": "now"}}
    for choice in (one, {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [one]}}):
        for seed in range(3):
            calls = ask(client, model, tool_choice=choice, seed=seed, parallel_tool_calls=False).choices[0].message.tool_calls
            assert [call.function.name for call in calls] == ["now"], calls


def streamed(client, model):
    whole = ask(client, model, tool_choice="required", seed=3).choices[0]
    calls, finish = {}, None
    for chunk in ask(client, model, tool_choice="required", seed=3, stream=True):
        for choice in chunk.choices:
            finish = choice.finish_reason or finish
            assert not choice.delta.content
            for part in choice.delta.tool_calls or []:
                one = calls.setdefault(part.index, ["", ""])
                one[0] += part.function.name or ""
                one[1] += part.function.arguments or ""
    assert finish == "tool_calls"
    assert [tuple(calls[i]) for i in sorted(calls)] == [(c.function.name, c.function.arguments) for c in whole.message.tool_calls]


def round_trip(client, model):
    first = ask(client, model, tool_choice="required", seed=1).choices[0].message
    messages = [*ASK, first.model_dump(exclude_none=True)]
    messages += [{"role": "tool", "tool_call_id": call.id, "content": '{"sky": "grey"}'} for call in first.tool_calls]
    again = ask(client, model, messages=messages, tool_choice="none", seed=1)
    assert not again.choices[0].message.tool_calls and "<tool_call>" not in (again.choices[0].message.content or "")
    assert again.usage.prompt_tokens > 0


def automatic(client, model, opener):
    """The model decides; here a bias makes it begin a call, whose rest is held to its form."""
    called = 0
    for seed in range(6):
        out = ask(client, model, seed=seed, logit_bias={str(opener): 100}, parallel_tool_calls=False).choices[0]
        assert out.finish_reason in ("tool_calls", "length"), out
        if out.finish_reason == "length":
            assert not out.message.tool_calls
            continue
        called += 1
        for call in out.message.tool_calls:
            check_call(call)
    assert called
    forbidden = ask(client, model, tool_choice="none", logit_bias={str(opener): 100}, max_tokens=30).choices[0]
    assert not forbidden.message.tool_calls and forbidden.finish_reason in ("stop", "length"), forbidden
    cut = ask(client, model, tool_choice="required", max_tokens=4).choices[0]
    assert cut.finish_reason == "length" and not cut.message.tool_calls, cut


def parsed(client):
    """The package's own helpers, with a schema that it makes."""
    schema = {"name": "point", "strict": True, "schema": {
        "type": "object", "properties": {"x": {"type": "integer", "minimum": 0, "maximum": 99}, "tag": {"enum": ["a", "b"]}},
        "required": ["x", "tag"], "additionalProperties": False}}
    for seed in range(6):
        out = client.chat.completions.create(model="random", messages=ASK, seed=seed, **ROWDY,
                                             response_format={"type": "json_schema", "json_schema": schema})
        value = json.loads(out.choices[0].message.content)
        assert set(value) == {"x", "tag"} and 0 <= value["x"] <= 99 and value["tag"] in "ab", value
    # A schema and tools: an answer is one or the other.
    for seed in range(4):
        out = ask(client, "random", seed=seed, response_format={"type": "json_schema", "json_schema": schema}).choices[0]
        if out.finish_reason == "stop":
            assert set(json.loads(out.message.content)) == {"x", "tag"}
        elif out.finish_reason == "tool_calls":
            for call in out.message.tool_calls:
                check_call(call)
    for seed in range(4):  # it thinks first, and then keeps to the form
        thinks = dict(seed=seed, reasoning_effort="low", extra_body={"thinking_budget": 8})
        out = client.chat.completions.create(**{**ROWDY, **thinks}, model="random", messages=ASK,
                                             response_format={"type": "json_schema", "json_schema": schema})
        assert json.loads(out.choices[0].message.content)["tag"] in "ab", out
        assert 0 < out.usage.completion_tokens_details.reasoning_tokens <= 8
        called = ask(client, "random", tool_choice="required", **thinks).choices[0]
        assert called.finish_reason == "tool_calls" and called.message.reasoning_content, called
        for call in called.message.tool_calls:
            check_call(call)
    response = client.responses.create(model="random", input="hello", tool_choice="required", temperature=1.5,
                                       max_output_tokens=900, parallel_tool_calls=False, extra_body={"seed": 3, **SILENT},
                                       tools=[{"type": "function", "name": "get_weather", "parameters": WEATHER, "strict": True}])
    calls = [item for item in response.output if item.type == "function_call"]
    assert len(calls) == 1 and json.loads(calls[0].arguments)["city"] in ("Paris", "Rome"), response
    assert response.parallel_tool_calls is False


def refusals(client):
    def bad(part, **more):
        error = refused(openai.BadRequestError, lambda: ask(client, "random", **more))
        assert part in error.message, (part, error.message)
        return error

    assert bad("no tool is named sub", tool_choice={"type": "function", "function": {"name": "sub"}}).param == "tool_choice"
    bad("there are no `tools`", tools=[], tool_choice="required")
    bad("tool_choice", tool_choice="perhaps")
    bad("a second tool named now", tools=[TOOLS[1], TOOLS[1]])
    bad("name", tools=[{"type": "function", "function": {"name": "a b"}}])
    for depth in (60, 200_000):  # arguments of an earlier call that a client makes up
        deep = '{"a":' + "[" * depth + "]" * depth + "}"
        call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": deep}}
        turns = [{"role": "user", "content": "1+1"}, {"role": "assistant", "content": "", "tool_calls": [call]},
                 {"role": "tool", "tool_call_id": "c1", "content": "2"}]
        try:
            client.chat.completions.create(model="random", messages=turns, max_tokens=2)
        except openai.BadRequestError as error:  # the prompt is longer than the context
            assert "context" in error.message, error.message
    odd = {"name": "odd", "parameters": {"type": "object", "properties": {"a": {"not": {}}}}}
    error = bad('"not"', tools=[{"type": "function", "function": {**odd, "strict": True}}])
    assert error.param == "tools" and "#/properties/a" in error.message, error.message
    out = ask(client, "random", tools=[{"type": "function", "function": odd}], tool_choice="required", seed=2, max_tokens=7000)
    assert any("`tools[0]`: the parameters of odd" in warning and '"not"' in warning for warning in out.warnings), out.warnings
    for call in out.choices[0].message.tool_calls or []:
        assert isinstance(json.loads(call.function.arguments), dict)


def logprobs_in_streams(client):
    asked = dict(model="random", messages=ASK, seed=4, max_tokens=12, temperature=1, logprobs=True, top_logprobs=3)
    whole = client.chat.completions.create(**asked).choices[0].logprobs.content
    chunks, parts = 0, []
    for chunk in client.chat.completions.create(**asked, stream=True):
        for choice in chunk.choices:
            if choice.logprobs and choice.logprobs.content:
                chunks += 1
                parts += choice.logprobs.content
    assert chunks > 3, "they come with their tokens"
    assert parts == whole and all(len(part.top_logprobs) == 3 for part in parts)
    asked = dict(model="random", prompt="Hello", seed=4, max_tokens=12, temperature=1, logprobs=2)
    whole = client.completions.create(**asked).choices[0].logprobs
    tokens, tops, offsets = [], [], []
    for chunk in client.completions.create(**asked, stream=True):
        for choice in chunk.choices:
            if choice.logprobs:
                tokens += choice.logprobs.tokens
                tops += choice.logprobs.top_logprobs
                offsets += choice.logprobs.text_offset
    assert tokens == whole.tokens and tops == whole.top_logprobs and offsets == whole.text_offset


def cancelling(client, server):
    endless = dict(model="random", messages=ASK, temperature=1, extra_body={"ignore_eos": True})
    with client.chat.completions.create(**endless, stream=True) as answer:
        for _ in range(3):
            next(iter(answer))
        assert running(server, "random") == 1
    wait_until("the server stops when the client goes", lambda: running(server, "random") == 0)
    # A client that loses its patience.
    refused(openai.APITimeoutError, lambda: client.with_options(timeout=0.2).chat.completions.create(
        **{**endless, "n": 16, "extra_body": {"ignore_eos": True, "min_tokens": 7000}}))
    wait_until("the server stops when the client has timed out", lambda: running(server, "random") == 0)
    out = client.chat.completions.create(model="random", messages=ASK, temperature=1, n=16,
                                         extra_body={"ignore_eos": True, "timeout_seconds": 0.2})
    assert {choice.stop_reason for choice in out.choices} == {"deadline"}, out.choices[0]
    # One of several answers that meets its stop string stops costing anything.
    first = client.chat.completions.create(model="random", messages=ASK, seed=8, temperature=1, n=4, max_tokens=200,
                                           extra_body={"ignore_eos": True})
    stop = first.choices[2].message.content[5:8]
    again = client.chat.completions.create(model="random", messages=ASK, seed=8, temperature=1, n=4, max_tokens=200, stop=[stop],
                                           extra_body={"ignore_eos": True})
    assert again.choices[2].finish_reason == "stop" and again.choices[2].message.content == first.choices[2].message.content.split(stop)[0]
    assert again.usage.completion_tokens < first.usage.completion_tokens
    # Several clients at once, all but one of which go away.
    answers = []

    def patient():
        answers.append(client.chat.completions.create(model="random", messages=ASK, seed=8, temperature=1, max_tokens=200,
                                                      extra_body={"ignore_eos": True}).choices[0].message.content)

    waiting = threading.Thread(target=patient)
    streams = [client.chat.completions.create(**endless, stream=True) for _ in range(4)]
    waiting.start()
    for stream in streams:
        next(iter(stream))
        stream.close()
    waiting.join()
    assert answers == [first.choices[0].message.content]
    wait_until("all are gone", lambda: running(server, "random") == 0)


def deepseek_usage(server):
    client = openai.OpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=120)
    asked = dict(model="random", messages=[{"role": "user", "content": "The same beginning, again and again. " * 8}], max_tokens=5)
    first, second = (client.chat.completions.create(**asked).usage for _ in range(2))
    for usage in (first, second):
        assert usage.prompt_cache_hit_tokens + usage.prompt_cache_miss_tokens == usage.prompt_tokens
    assert first.prompt_cache_hit_tokens == 0 and second.prompt_cache_hit_tokens >= 256, (first, second)
    assert second.prompt_cache_hit_tokens % 64 == 0, "units of 64 tokens"
    out = client.chat.completions.create(model="random", messages=ASK, tools=TOOLS, tool_choice="required", seed=5, **ROWDY)
    assert out.choices[0].finish_reason == "tool_calls"
    for call in out.choices[0].message.tool_calls:
        check_call(call)


def main():
    with tempfile.TemporaryDirectory() as name:
        hermes = write_random_model(name + "/random", HERMES)
        deepseek = write_random_model(name + "/r1", DEEPSEEK, seed=2)
        opener = next(t["id"] for t in json.loads((hermes / "tokenizer.json").read_text())["added_tokens"]
                      if t["content"] == "<tool_call>")
        with Server(hermes, deepseek, "--no-log") as server:
            client = openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0, timeout=120)
            for model in ("random", "r1"):
                required(client, model)
                streamed(client, model)
                round_trip(client, model)
                automatic(client, model, opener)
            parsed(client)
            refusals(client)
            logprobs_in_streams(client)
            cancelling(client, server)
            deepseek_usage(server)
    print(f"openai {openai.__version__}: tools, schemas, log-probabilities in streams, cancelling, time-outs")


main()
