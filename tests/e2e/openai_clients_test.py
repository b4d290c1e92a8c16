#!/usr/bin/env python3
"""The official `openai` package against `ponder serve` with the shipped model: OpenAI's routes and DeepSeek's."""

import math

from harness import require_program
from serving import SHIPPED, Server, client_python, refused

require_program()
client_python("openai")

import openai  # noqa: E402  (only in the virtual environment)

QUESTION = [{"role": "user", "content": "37+8*3-5*7=?"}]
LONG = dict(model="zero", messages=QUESTION, extra_body={"ignore_eos": True})


def chat(client):
    whole = client.chat.completions.create(model="zero", messages=QUESTION, temperature=0, seed=1)
    choice = whole.choices[0]
    assert choice.finish_reason == "stop" and choice.message.role == "assistant", whole
    assert choice.message.content == "37", whole
    assert choice.message.reasoning_content.startswith("37+8=45;"), whole
    assert choice.message.reasoning == choice.message.reasoning_content
    usage = whole.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert 0 < usage.completion_tokens_details.reasoning_tokens < usage.completion_tokens
    assert usage.prompt_tokens_details.cached_tokens + usage.prompt_cache_miss_tokens == usage.prompt_tokens
    return whole


def stream(client, whole):
    thinking, content, finish, usage, chunks = "", "", None, None, 0
    for chunk in client.chat.completions.create(model="zero", messages=QUESTION, temperature=0, stream=True,
                                                stream_options={"include_usage": True}):
        chunks += 1
        if chunk.usage is not None:
            assert not chunk.choices
            usage = chunk.usage
            continue
        delta = chunk.choices[0].delta
        thinking += getattr(delta, "reasoning_content", None) or ""
        content += delta.content or ""
        finish = chunk.choices[0].finish_reason or finish
    assert content == whole.choices[0].message.content and finish == "stop"
    assert thinking == whole.choices[0].message.reasoning_content
    assert usage.completion_tokens == whole.usage.completion_tokens and usage.prompt_tokens == whole.usage.prompt_tokens
    assert chunks > 10  # a token at a time


def several(client):
    out = client.chat.completions.create(model="zero", messages=QUESTION, n=4, temperature=1, seed=5)
    assert [c.index for c in out.choices] == [0, 1, 2, 3]
    again = client.chat.completions.create(model="zero", messages=QUESTION, n=4, temperature=1, seed=5)
    text = [(c.message.content, c.message.reasoning_content) for c in out.choices]
    assert text == [(c.message.content, c.message.reasoning_content) for c in again.choices], "a seed repeats an answer"
    streamed = {i: "" for i in range(4)}
    for chunk in client.chat.completions.create(model="zero", messages=QUESTION, n=4, temperature=1, seed=5, stream=True):
        for choice in chunk.choices:
            streamed[choice.index] += choice.delta.content or ""
    assert [streamed[i] for i in range(4)] == [content for content, _ in text]


def logprobs(client):
    out = client.chat.completions.create(model="zero", messages=QUESTION, temperature=0, logprobs=True, top_logprobs=3)
    tokens = out.choices[0].logprobs.content
    assert "".join(t.token for t in tokens if not t.token.startswith("<")) == "37", tokens
    for token in tokens:
        assert token.logprob <= 0 and len(token.top_logprobs) == 3
        assert math.isclose(token.top_logprobs[0].logprob, token.logprob)  # greedy
        assert bytes(token.bytes).decode() == token.token
    plain = client.completions.create(model="zero", prompt="3+4=", max_tokens=2, logprobs=2, temperature=0)
    entry = plain.choices[0].logprobs
    assert len(entry.tokens) == len(entry.token_logprobs) == len(entry.top_logprobs) == len(entry.text_offset) == 2


def stops(client):
    out = client.completions.create(model="zero", prompt="<user>37+8*3-5*7=?<assistant><think>37+8", temperature=0,
                                    stop=[";"], max_tokens=30)
    assert out.choices[0].text == "=45" and out.choices[0].finish_reason == "stop", out
    cut = client.chat.completions.create(model="zero", messages=QUESTION, max_tokens=3)
    assert cut.choices[0].finish_reason == "length" and cut.usage.completion_tokens == 3


def completions(client):
    out = client.completions.create(model="zero", prompt=["3+4=", "2*3="], n=2, max_tokens=1, temperature=0, echo=True)
    assert [c.index for c in out.choices] == [0, 1, 2, 3] and out.choices[2].text.startswith("2*3=")
    assert out.usage.completion_tokens == 4
    text = "".join(c.choices[0].text for c in client.completions.create(model="zero", prompt="3+4=", max_tokens=4,
                                                                        stream=True) if c.choices)
    assert text


def embeddings(client):
    out = client.embeddings.create(model="zero", input=["3+4=?", "3+4=?", "9*9=?"])
    a, b, c = (item.embedding for item in out.data)
    assert a == b != c and len(a) == 192
    assert math.isclose(sum(x * x for x in a), 1, rel_tol=1e-5)
    listed = client.embeddings.create(model="zero", input="3+4=?", encoding_format="float").data[0].embedding
    assert all(math.isclose(x, y, abs_tol=1e-6) for x, y in zip(a, listed))
    refused(openai.BadRequestError, lambda: client.embeddings.create(model="zero", input="3", dimensions=7))


def constrained(client):
    out = client.chat.completions.create(model="zero", messages=QUESTION, extra_body={"guided_regex": "[0-9]{2}"})
    assert len(out.choices[0].message.content) == 2 and out.choices[0].message.content.isdigit(), out
    choice = client.chat.completions.create(model="zero", messages=QUESTION, extra_body={"guided_choice": ["5", "7"]})
    assert choice.choices[0].message.content in ("5", "7")
    error = refused(openai.BadRequestError, lambda: client.chat.completions.create(
        model="zero", messages=QUESTION, response_format={"type": "json_schema", "json_schema": {
            "name": "x", "schema": {"not": {}}}}))
    assert "not" in str(error) and error.param == "response_format", error


def errors(client):
    error = refused(openai.NotFoundError, lambda: client.chat.completions.create(model="nope", messages=QUESTION))
    assert error.code == "model_not_found" and error.param == "model"
    for field, value in (("temperature", 3), ("n", 0), ("max_tokens", "many"), ("stop", [1]), ("top_p", "x"),
                         ("logit_bias", {"a": 1}), ("response_format", {"type": "xml"})):
        error = refused(openai.BadRequestError, lambda f=field, v=value: client.chat.completions.create(
            model="zero", messages=QUESTION, extra_body={f: v}))
        assert error.param.startswith(field) and field in error.message, (field, error.message)
    error = refused(openai.BadRequestError, lambda: client.chat.completions.create(
        model="zero", messages=[{"role": "user", "content": "1+" * 300 + "1=?"}]))
    assert error.code == "context_length_exceeded", error
    error = refused(openai.BadRequestError, lambda: client.chat.completions.create(
        model="zero", messages=[{"role": "user", "content": "hello"}]))
    assert "no tokens" in error.message
    out = client.chat.completions.create(model="zero", messages=QUESTION, extra_body={"no_such_field": 1})
    assert any("no_such_field" in warning for warning in out.warnings)
    assert {m.id for m in client.models.list()} == {"zero"}
    assert client.models.retrieve("zero").id == "zero"
    refused(openai.NotFoundError, lambda: client.models.retrieve("a/b"))


def responses(client):
    out = client.responses.create(model="zero", input="37+8*3-5*7=?", temperature=0)
    assert out.status == "completed" and out.output_text == "37", out
    assert [item.type for item in out.output] == ["reasoning", "message"]
    assert out.usage.output_tokens_details.reasoning_tokens > 0
    kinds, text = [], ""
    for event in client.responses.create(model="zero", input=[{"role": "user", "content": "37+8*3-5*7=?"}], temperature=0,
                                         stream=True):
        kinds.append(event.type)
        if event.type == "response.output_text.delta":
            text += event.delta
    assert text == "37" and kinds[0] == "response.created" and kinds[-1] == "response.completed", kinds
    cut = client.responses.create(model="zero", input="37+8*3-5*7=?", max_output_tokens=3)
    assert cut.status == "incomplete" and cut.incomplete_details.reason == "max_output_tokens"


def cancelling(client, server):
    with client.chat.completions.create(stream=True, **LONG) as running:
        next(iter(running))
    client.with_options(timeout=60).chat.completions.create(model="zero", messages=QUESTION)
    status, _, page = server.call("GET", "/metrics")
    assert status == 200 and 'ponder_requests_running{model_name="zero"} 0' in page


def deepseek(server):
    client = openai.OpenAI(base_url=server.url, api_key="none", max_retries=0)
    out = client.chat.completions.create(model="deepseek-reasoner", messages=QUESTION, temperature=0)
    assert out.choices[0].message.content == "37" and out.choices[0].message.reasoning_content
    assert not hasattr(out.choices[0].message, "reasoning")
    usage = out.usage
    assert usage.prompt_cache_hit_tokens + usage.prompt_cache_miss_tokens == usage.prompt_tokens
    last = None
    for chunk in client.chat.completions.create(model="deepseek-reasoner", messages=QUESTION, temperature=0, stream=True):
        last = chunk
    assert last.usage.completion_tokens == usage.completion_tokens and last.choices[0].finish_reason == "stop"
    beta = openai.OpenAI(base_url=server.url + "/beta", api_key="none", max_retries=0)
    begun = QUESTION + [{"role": "assistant", "content": "<think>37+8=45;45*3=38;", "prefix": True}]
    goes_on = beta.chat.completions.create(model="deepseek-chat", messages=begun, temperature=0)
    assert goes_on.choices[0].message.content, goes_on
    refused(openai.BadRequestError, lambda: client.chat.completions.create(model="deepseek-chat", messages=begun))
    error = refused(openai.BadRequestError, lambda: beta.completions.create(model="zero", prompt="3", suffix="4"))
    assert "middle" in error.message
    status, _, balance = server.call("GET", "/user/balance")
    assert status == 200 and balance["is_available"]


def keys():
    with Server(SHIPPED, "--api-key", "secret-key-1", "--no-log") as server:
        wrong = openai.OpenAI(base_url=server.url + "/v1", api_key="wrong-key-1", max_retries=0)
        refused(openai.AuthenticationError, lambda: wrong.models.list())
        assert list(openai.OpenAI(base_url=server.url + "/v1", api_key="secret-key-1").models.list())
        assert server.call("GET", "/health")[0] == 200


def main():
    with Server(SHIPPED) as server:
        client = openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0, timeout=120)
        whole = chat(client)
        stream(client, whole)
        several(client)
        logprobs(client)
        stops(client)
        completions(client)
        embeddings(client)
        constrained(client)
        errors(client)
        responses(client)
        cancelling(client, server)
        deepseek(server)
        status, log = server.stop()
        assert status == 0, log
        assert "37+8" not in log and '"completion_tokens"' in log  # a line for each request, and no texts
    keys()
    print(f"openai {openai.__version__}: all as expected")


main()
