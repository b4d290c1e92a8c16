#!/usr/bin/env python3
"""LangChain's official packages for OpenAI and for Ollama against `ponder serve`."""

import math
import tempfile

from harness import require_program
from random_model import write_random_model
from serving import SHIPPED, Server, client_python, refused, running, wait_until

require_program()
client_python("langchain-openai", "langchain-ollama")

import ollama  # noqa: E402  (only in the virtual environment)
import openai  # noqa: E402
from langchain_core.messages import HumanMessage, ToolMessage  # noqa: E402
from langchain_core.tools import tool  # noqa: E402
from langchain_ollama import ChatOllama, OllamaEmbeddings  # noqa: E402
from langchain_openai import ChatOpenAI, OpenAIEmbeddings  # noqa: E402
from pydantic import BaseModel, Field  # noqa: E402

QUESTION = [HumanMessage("37+8*3-5*7=?")]
ASK = [HumanMessage("What is the weather in Paris?")]


class Weather(BaseModel):
    """Where and for how long."""

    city: str = Field(pattern="^[A-Z][a-z]{2,8}$")
    days: int = Field(ge=1, le=9)


@tool(args_schema=Weather)
def get_weather(city: str, days: int) -> str:
    """The weather of a city."""
    return f"grey in {city} for {days} days"


def round_trip(bound, plain):
    """Calls, the tool's own answers, and on from there."""
    called = bound.invoke(ASK)
    assert called.tool_calls and not called.invalid_tool_calls, called
    results = [get_weather.invoke(call) for call in called.tool_calls]
    assert all(isinstance(result, ToolMessage) and result.content.startswith("grey in ") for result in results), results
    assert plain.invoke([*ASK, called, *results]).usage_metadata["output_tokens"] > 0
    whole = None
    for part in bound.stream(ASK):
        whole = part if whole is None else whole + part
    assert [(c["name"], c["args"]) for c in whole.tool_calls] == [(c["name"], c["args"]) for c in called.tool_calls]


def for_openai(server):
    base = dict(base_url=server.url + "/v1", api_key="none", max_retries=0, timeout=120)
    zero = ChatOpenAI(model="zero", temperature=0, stream_usage=True, **base)
    whole = zero.invoke(QUESTION)
    assert whole.content == "37" and whole.response_metadata["finish_reason"] == "stop", whole
    assert whole.usage_metadata["output_token_details"]["reasoning"] > 0
    text, usage = "", None
    for part in zero.stream(QUESTION):
        text += part.content
        usage = part.usage_metadata or usage
    assert text == "37" and usage["output_tokens"] == whole.usage_metadata["output_tokens"]
    rowdy = ChatOpenAI(model="random", temperature=1.5, seed=1, max_tokens=900, extra_body={"enable_thinking": False}, **base)
    round_trip(rowdy.bind_tools([get_weather], tool_choice="any", strict=True), ChatOpenAI(model="random", max_tokens=5, **base))
    one = rowdy.bind_tools([get_weather], tool_choice="get_weather", parallel_tool_calls=False).invoke(ASK)
    assert [call["name"] for call in one.tool_calls] == ["get_weather"]
    for method in ("json_schema", "function_calling"):
        value = rowdy.with_structured_output(Weather, method=method).invoke(ASK)
        assert isinstance(value, Weather), value
    vectors = OpenAIEmbeddings(model="zero", check_embedding_ctx_length=False, **base).embed_documents(["3+4", "5*6"])
    assert len(vectors) == 2 and math.isclose(sum(x * x for x in vectors[0]), 1, rel_tol=1e-4)
    refused(openai.NotFoundError, lambda: ChatOpenAI(model="none", **base).invoke(QUESTION))
    refused(openai.BadRequestError, lambda: ChatOpenAI(model="zero", temperature=5, **base).invoke(QUESTION))
    stream = ChatOpenAI(model="random", extra_body={"ignore_eos": True}, **base).stream(ASK)
    next(stream)
    stream.close()
    wait_until("the server stops with the client", lambda: running(server, "random") == 0)


def for_ollama(server):
    zero = ChatOllama(model="zero", temperature=0, base_url=server.url, reasoning=True)
    whole = zero.invoke(QUESTION)
    assert whole.content == "37" and whole.additional_kwargs["reasoning_content"].startswith("37+8=45;"), whole
    text = "".join(part.content for part in zero.stream(QUESTION))
    assert text == "37"
    rowdy = ChatOllama(model="random", temperature=1.5, seed=1, num_predict=900, reasoning=False, base_url=server.url)
    value = rowdy.with_structured_output(Weather, method="json_schema").invoke(ASK)
    assert isinstance(value, Weather), value
    called = rowdy.bind_tools([get_weather]).invoke(ASK)  # Ollama has no tool_choice: the model decides
    assert called.response_metadata["done_reason"] in ("stop", "length") and not called.invalid_tool_calls
    again = rowdy.invoke([*ASK, whole, ToolMessage("grey", tool_call_id="x", name="get_weather")])
    assert again.usage_metadata["input_tokens"] > 0
    vectors = OllamaEmbeddings(model="zero", base_url=server.url).embed_documents(["3+4", "5*6"])
    assert len(vectors) == 2 and math.isclose(sum(x * x for x in vectors[0]), 1, rel_tol=1e-4)
    assert refused(ollama.ResponseError, lambda: ChatOllama(model="none", base_url=server.url).invoke(QUESTION)).status_code == 404


def main():
    with tempfile.TemporaryDirectory() as name:
        with Server(SHIPPED, write_random_model(name + "/random"), "--no-log") as server:
            for_openai(server)
            for_ollama(server)
    print("langchain-openai and langchain-ollama: all as expected")


main()
