#!/usr/bin/env python3
"""The official `anthropic` package against `ponder serve`: the shipped model, and one of random weights for tools and schemas."""

import json
import tempfile

from harness import require_program
from random_model import write_random_model
from serving import SHIPPED, Server, client_python, refused, running, wait_until

require_program()
client_python("anthropic")

import anthropic  # noqa: E402  (only in the virtual environment)

QUESTION = [{"role": "user", "content": "37+8*3-5*7=?"}]
# The package has no argument for these any more; the server has them.
GREEDY = {"temperature": 0}
ASKED = dict(model="zero", messages=QUESTION, max_tokens=200, extra_body=GREEDY)
WEATHER = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
           "required": ["city", "days"], "additionalProperties": False}
TOOLS = [{"name": "get_weather", "description": "Weather of a city", "input_schema": WEATHER, "strict": True},
         {"name": "now", "input_schema": {"type": "object", "properties": {}}}]
CALLING = dict(model="random", messages=[{"role": "user", "content": "The weather in Paris?"}], max_tokens=900, tools=TOOLS,
               thinking={"type": "disabled"})


def rowdy(seed):
    return {"extra_body": {"temperature": 1.5, "seed": seed}}


def message(client):
    out = client.messages.create(**ASKED)
    assert out.type == "message" and out.role == "assistant" and out.model == "zero", out
    assert [block.type for block in out.content] == ["thinking", "text"], out
    assert out.content[0].thinking.startswith("37+8=45;") and out.content[0].signature, out
    assert out.content[1].text == "37" and out.stop_reason == "end_turn" and out.stop_sequence is None
    assert out.usage.output_tokens > 0 and out._request_id
    return out


def stream(client, whole):
    kinds = []
    with client.messages.stream(**ASKED) as events:
        for event in events:
            kinds.append(event.type)
        final = events.get_final_message()
    assert [(block.type, block.to_dict()[block.type]) for block in final.content] == [
        (block.type, block.to_dict()[block.type]) for block in whole.content], final
    assert final.stop_reason == whole.stop_reason and final.content[0].signature == whole.content[0].signature, final
    assert final.usage.output_tokens == whole.usage.output_tokens
    assert prompt_tokens(final.usage) == prompt_tokens(whole.usage)
    raw = list(client.messages.create(stream=True, **ASKED))
    first = raw[0].message.usage
    assert prompt_tokens(first) == prompt_tokens(whole.usage) and first.output_tokens == 0, first
    kinds = [event.type for event in raw if event.type != "ping"]
    assert kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"], kinds
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 2, kinds
    deltas = [event.delta.type for event in raw if event.type == "content_block_delta"]
    assert deltas[0] == "thinking_delta" and deltas[-1] == "text_delta" and deltas.count("signature_delta") == 1, deltas


def prompt_tokens(usage):
    return usage.input_tokens + usage.cache_read_input_tokens


def thinking(client, whole):
    off = client.messages.create(thinking={"type": "disabled"}, **ASKED)
    assert [block.type for block in off.content] == ["text"], off
    short = client.messages.create(thinking={"type": "enabled", "budget_tokens": 4}, **ASKED)
    assert short.content[0].type == "thinking" and len(short.content[0].thinking) < len(whole.content[0].thinking), short
    assert short.usage.output_tokens_details.thinking_tokens <= 5, short.usage
    # What was thought goes back as it came.
    again = client.messages.create(model="zero", max_tokens=50, messages=[
        *QUESTION, {"role": "assistant", "content": whole.content}, {"role": "user", "content": "2*3=?"}])
    assert again.content, again


def stops(client):
    out = client.messages.create(**ASKED, stop_sequences=["7"])
    assert out.stop_reason == "stop_sequence" and out.stop_sequence == "7" and out.content[-1].text == "3", out
    cut = client.messages.create(**{**ASKED, "max_tokens": 3})
    assert cut.stop_reason == "max_tokens" and cut.usage.output_tokens == 3, cut


def counting(client, whole):
    counted = client.messages.count_tokens(model="zero", messages=QUESTION)
    assert counted.input_tokens == prompt_tokens(whole.usage), counted


def models(client, server):
    assert {m.id for m in client.models.list()} == {"zero", "random"}
    assert client.models.retrieve("zero").type == "model"
    refused(anthropic.NotFoundError, lambda: client.models.retrieve("none"))
    assert server.call("GET", "/v1/models")[2]["object"] == "list"


def errors(client):
    error = refused(anthropic.NotFoundError, lambda: client.messages.create(**{**ASKED, "model": "claude"}))
    assert error.body["error"]["type"] == "not_found_error", error.body
    for field, value in (("temperature", 3), ("max_tokens", 0), ("stop_sequences", [1]), ("top_p", "x"),
                         ("thinking", {"type": "maybe"}), ("tools", [{"name": "x"}]), ("mcp_servers", [{"a": 1}])):
        error = refused(anthropic.BadRequestError, lambda f=field, v=value: client.messages.create(
            **{**ASKED, "extra_body": {**GREEDY, f: v}}))
        assert error.body["type"] == "error" and error.body["error"]["type"] == "invalid_request_error"
        assert field in error.message, (field, error.message)
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}
    error = refused(anthropic.BadRequestError, lambda: client.messages.create(
        **{**ASKED, "messages": [{"role": "user", "content": [image]}]}))
    assert "image" in error.message
    error = refused(anthropic.BadRequestError, lambda: client.messages.create(
        **{**ASKED, "messages": [{"role": "user", "content": "1+" * 300 + "1=?"}]}))
    assert "context" in error.message, error


def check_use(block):
    assert block.type == "tool_use" and block.id, block
    if block.name == "get_weather":
        assert set(block.input) == {"city", "days"} and block.input["city"] in ("Paris", "Rome") and 1 <= block.input["days"] <= 9
    else:
        assert block.name == "now" and block.input == {}, block


def tools(client):
    for seed in range(6):
        out = client.messages.create(**CALLING, tool_choice={"type": "any"}, **rowdy(seed))
        assert out.stop_reason == "tool_use" and out.content, out
        for block in out.content:
            check_use(block)
    named = client.messages.create(**CALLING, tool_choice={"type": "tool", "name": "now", "disable_parallel_tool_use": True}, **rowdy(1))
    assert [block.name for block in named.content] == ["now"], named
    first = client.messages.create(**CALLING, tool_choice={"type": "any"}, **rowdy(2))
    with client.messages.stream(**CALLING, tool_choice={"type": "any"}, **rowdy(2)) as events:
        streamed = events.get_final_message()
    assert [(b.name, b.input) for b in streamed.content] == [(b.name, b.input) for b in first.content]
    results = [{"type": "tool_result", "tool_use_id": block.id, "content": "grey"} for block in first.content]
    told = [*CALLING["messages"], {"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
    again = client.messages.create(**{**CALLING, "messages": told, "max_tokens": 8}, tool_choice={"type": "none"}, **rowdy(2))
    assert all(block.type == "text" for block in again.content) and again.usage.output_tokens > 0, again
    cut = client.messages.create(**{**CALLING, "max_tokens": 3}, tool_choice={"type": "any"}, **rowdy(2))
    assert cut.stop_reason == "max_tokens" and all(block.type == "text" for block in cut.content), cut
    for choice in ({"type": "tool", "name": "sub"}, {"type": "perhaps"}):
        error = refused(anthropic.BadRequestError, lambda c=choice: client.messages.create(**CALLING, tool_choice=c))
        assert "tool_choice" in error.message, error.message
    odd = [{"name": "odd", "strict": True, "input_schema": {"type": "object", "properties": {"a": {"not": {}}}}}]
    error = refused(anthropic.BadRequestError, lambda: client.messages.create(**{**CALLING, "tools": odd}))
    assert '"not"' in error.message, error.message


def schemas(client):
    form = {"format": {"type": "json_schema", "schema": WEATHER}}
    for seed in range(4):
        out = client.messages.create(**{**CALLING, "tools": []}, output_config=form, **rowdy(seed))
        assert out.content[-1].type == "text" and json.loads(out.content[-1].text)["city"] in ("Paris", "Rome"), out


def cancelling(client, server):
    long = {"format": {"type": "json_schema", "schema": {"type": "array", "items": {"type": "integer"}, "minItems": 6000}}}
    endless = {**CALLING, "tools": [], "max_tokens": 7000, "output_config": long}
    with client.messages.stream(**endless) as events:
        for event in events:
            if event.type == "content_block_delta":
                break
        assert running(server, "random") == 1
    wait_until("the server stops when the client goes", lambda: running(server, "random") == 0)
    refused(anthropic.APITimeoutError, lambda: client.with_options(timeout=0.2).messages.create(**endless))
    wait_until("the server stops when the client has timed out", lambda: running(server, "random") == 0)


def equal_to_openai(server, whole):
    _, _, other = server.call("POST", "/v1/chat/completions", dict(model="zero", messages=QUESTION, temperature=0))
    said = other["choices"][0]["message"]
    assert (said["reasoning_content"], said["content"]) == (whole.content[0].thinking, whole.content[1].text)
    assert other["usage"]["completion_tokens"] == whole.usage.output_tokens
    assert other["usage"]["prompt_tokens"] == prompt_tokens(whole.usage)


def keys():
    with Server(SHIPPED, "--api-key", "secret-key-1", "--no-log") as server:
        wrong = anthropic.Anthropic(base_url=server.url, api_key="wrong-key-1", max_retries=0)
        error = refused(anthropic.AuthenticationError, lambda: wrong.messages.create(**ASKED))
        assert error.body["error"]["type"] == "authentication_error"
        for right in (dict(api_key="secret-key-1"), dict(auth_token="secret-key-1", api_key=None)):
            client = anthropic.Anthropic(base_url=server.url, max_retries=0, **right)
            assert client.messages.create(**ASKED).content


def main():
    with tempfile.TemporaryDirectory() as name:
        with Server(SHIPPED, write_random_model(name + "/random")) as server:
            client = anthropic.Anthropic(base_url=server.url, api_key="none", max_retries=0, timeout=120)
            whole = message(client)
            stream(client, whole)
            thinking(client, whole)
            stops(client)
            counting(client, whole)
            models(client, server)
            errors(client)
            equal_to_openai(server, whole)
            tools(client)
            schemas(client)
            cancelling(client, server)
            status, log = server.stop()
            assert status == 0, log
            assert "37+8" not in log and "Paris" not in log and '"dialect":"anthropic"' in log
    keys()
    print(f"anthropic {anthropic.__version__}: all as expected")


main()
