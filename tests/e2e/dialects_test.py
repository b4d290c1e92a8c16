#!/usr/bin/env python3
"""One server, five dialects: a conversation has equal texts and token counts in all of them, greedy and seeded; budgets, limits and
stop strings hold in each; and a stream says what the whole answer says, wherever it is cut."""

import json
import random
import re
import tempfile

from harness import require_program
from random_model import write_random_model
from serving import SHIPPED, Server

require_program()

QUESTIONS = ["37+8*3-5*7=?", "2*3+4=?", "9*9-1=?"]


class Answer:
    """What every dialect says about an answer."""

    def __init__(self, thinking, content, prompt, completion, finish, reasoning=None):
        self.thinking, self.content, self.prompt, self.completion = thinking or "", content or "", prompt, completion
        self.finish, self.reasoning = finish, reasoning

    def key(self):
        return self.thinking, self.content, self.prompt, self.completion, self.finish


def events(text):
    """The data of a text/event-stream."""
    for block in text.split("\n\n"):
        data = "".join(line[6:] for line in block.split("\n") if line.startswith("data: "))
        if data and data != "[DONE]":
            yield json.loads(data)


class OpenAi:
    name, path = "OpenAI", "/v1/chat/completions"

    def body(self, model, turns, sampling, limit, budget, stop):
        messages = []
        for role, content, thinking in turns:
            messages.append({"role": role, "content": content, **({"reasoning_content": thinking} if thinking else {})})
        out = {"model": model, "messages": messages, **sampling}
        for key, value in (("max_tokens", limit), ("stop", stop)):
            if value is not None:
                out[key] = value
        if budget is not None:
            out["thinking_budget"] = budget
        return out

    def usage(self, usage):
        return usage["prompt_tokens"], usage["completion_tokens"], usage["completion_tokens_details"]["reasoning_tokens"]

    def whole(self, reply):
        choice = reply["choices"][0]
        prompt, completion, reasoning = self.usage(reply["usage"])
        return Answer(choice["message"].get("reasoning_content"), choice["message"]["content"], prompt, completion,
                      choice["finish_reason"], reasoning)

    def stream(self, body):
        return {**body, "stream": True, "stream_options": {"include_usage": True}}

    def joined(self, text):
        thinking, content, finish, usage = "", "", None, None
        for event in events(text):
            usage = event.get("usage") or usage
            for choice in event["choices"]:
                thinking += choice["delta"].get("reasoning_content") or ""
                content += choice["delta"].get("content") or ""
                finish = choice["finish_reason"] or finish
        prompt, completion, reasoning = self.usage(usage)
        return Answer(thinking, content, prompt, completion, finish, reasoning)


class DeepSeek(OpenAi):
    name, path = "DeepSeek", "/chat/completions"

    def body(self, model, turns, sampling, limit, budget, stop):
        out = super().body(model, turns, sampling, limit, None, stop)
        if budget is not None:
            out["thinking"] = {"type": "enabled", "budget_tokens": budget}
        return out


class Ollama:
    name, path = "Ollama", "/api/chat"

    def body(self, model, turns, sampling, limit, budget, stop):
        messages = [{"role": role, "content": content, **({"thinking": thinking} if thinking else {})} for role, content, thinking in turns]
        options = {**sampling, **({"num_predict": limit} if limit is not None else {}), **({"stop": stop} if stop else {})}
        return {"model": model, "messages": messages, "options": options, "stream": False,
                **({"thinking_budget": budget} if budget is not None else {})}

    def whole(self, reply):
        message = reply["message"]
        return Answer(message.get("thinking"), message["content"], reply["prompt_eval_count"], reply["eval_count"],
                      reply["done_reason"], reply["thinking_count"])

    def stream(self, body):
        return {**body, "stream": True}

    def joined(self, text):
        lines = [json.loads(line) for line in text.splitlines()]
        last = dict(lines[-1])
        last["message"] = {name: "".join(line["message"].get(name, "") for line in lines) for name in ("thinking", "content")}
        return self.whole(last)


class Anthropic:
    name, path = "Anthropic", "/v1/messages"
    reasons = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "model_context_window_exceeded": "length"}

    def body(self, model, turns, sampling, limit, budget, stop):
        messages = []
        for role, content, thinking in turns:
            blocks = [{"type": "thinking", "thinking": thinking, "signature": ""}] if thinking else []
            messages.append({"role": role, "content": blocks + [{"type": "text", "text": content}]})
        out = {"model": model, "messages": messages, "max_tokens": limit if limit is not None else 4096, **sampling}
        if budget is not None:
            out["thinking"] = {"type": "enabled", "budget_tokens": budget} if budget > 0 else {"type": "disabled"}
        return {**out, **({"stop_sequences": stop} if stop else {})}

    def whole(self, reply):
        texts = {"thinking": "", "text": ""}
        for block in reply["content"]:
            texts[block["type"]] += block[block["type"]]
        usage = reply["usage"]
        return Answer(texts["thinking"], texts["text"], usage["input_tokens"] + usage["cache_read_input_tokens"], usage["output_tokens"],
                      self.reasons[reply["stop_reason"]], usage["output_tokens_details"]["thinking_tokens"])

    def stream(self, body):
        return {**body, "stream": True}

    def joined(self, text):
        out = {"content": []}
        for event in events(text):
            if event["type"] == "message_start":
                usage = event["message"]["usage"]
                first = usage["input_tokens"] + usage["cache_read_input_tokens"]
            elif event["type"] == "content_block_start":
                out["content"].append(event["content_block"])
            elif event["type"] == "content_block_delta":
                for name in ("text", "thinking"):
                    if name in event["delta"]:
                        out["content"][event["index"]][name] += event["delta"][name]
            elif event["type"] == "message_delta":
                out.update(event["delta"], usage=event["usage"])
        answer = self.whole(out)
        assert answer.prompt == first, "message_start has the prompt's tokens"
        return answer


class LlamaServer:
    """A text goes on; what it is made of comes from /apply-template, and thinking is a part of the text."""

    name, path = "llama-server", "/completion"

    def __init__(self, server):
        self.server = server

    def body(self, model, turns, sampling, limit, budget, stop):
        assert budget is None
        messages = OpenAi().body(model, turns, {}, None, None, None)["messages"]
        prompt = self.server.call("POST", "/apply-template", {"model": model, "messages": messages})[2]["prompt"]
        ids = self.server.call("POST", "/tokenize", {"model": model, "content": prompt, "add_special": False})[2]["tokens"]
        return {"model": model, "prompt": ids, "n_predict": limit if limit is not None else -1, **sampling, **({"stop": stop} if stop else {})}

    def whole(self, reply):
        finish = "length" if reply["stop_type"] == "limit" else "stop"
        return Answer("", reply["content"], reply["tokens_evaluated"], reply["tokens_predicted"], finish)

    def stream(self, body):
        return {**body, "stream": True}

    def joined(self, text):
        parts = list(events(text))
        return self.whole({**parts[-1], "content": "".join(part["content"] for part in parts)})


def ask(server, dialect, model, turns, sampling, limit=None, budget=None, stop=None, stream=False):
    body = dialect.body(model, turns, sampling, limit, budget, stop)
    status, _, reply = server.call("POST", dialect.path, dialect.stream(body) if stream else body)
    assert status == 200, (dialect.name, status, reply)
    return dialect.joined(reply) if stream else dialect.whole(reply)


def equal_conversations(server):
    chats = [OpenAi(), DeepSeek(), Ollama(), Anthropic()]
    for sampling in ({"temperature": 0}, {"temperature": 1, "seed": 7}, {"temperature": 0.8, "top_p": 0.9, "top_k": 20, "seed": 11}):
        turns = []
        for question in QUESTIONS:
            turns.append(("user", question, ""))
            first = ask(server, chats[0], "zero", turns, sampling)
            assert first.content and first.completion > first.reasoning > 0, vars(first)
            for dialect in chats:
                for stream in (False, True):
                    other = ask(server, dialect, "zero", turns, sampling, stream=stream)
                    assert other.key() == first.key() and other.reasoning == first.reasoning, (dialect.name, stream, vars(other), vars(first))
            text = ask(server, LlamaServer(server), "zero", turns, sampling)
            said = re.sub("</?(think|answer)>", "", text.content).strip()
            assert said == first.thinking + first.content, (vars(text), vars(first))
            assert (text.prompt, text.completion, text.finish) == (first.prompt, first.completion, first.finish), (vars(text), vars(first))
            turns.append(("assistant", first.content, first.thinking))
    return chats


def budgets(server, chats):
    source = random.Random(1)
    turns = [("user", QUESTIONS[0], "")]
    for sampling in ({"temperature": 0}, {"temperature": 1, "seed": 7}):
        free = ask(server, chats[0], "zero", turns, sampling)
        for budget in [0, 1, *source.sample(range(2, free.reasoning), 3), free.reasoning, free.reasoning + 5]:
            for dialect in chats:
                answer = ask(server, dialect, "zero", turns, sampling, budget=budget, stream=source.random() < 0.5)
                assert answer.reasoning == min(budget, free.reasoning), (dialect.name, budget, vars(answer))
                if budget > free.reasoning:
                    assert answer.key() == free.key(), (dialect.name, vars(answer), vars(free))
        for limit in source.sample(range(1, free.completion), 4):
            for dialect in [*chats, LlamaServer(server)]:
                answer = ask(server, dialect, "zero", turns, sampling, limit=limit)
                assert (answer.completion, answer.finish) == (limit, "length"), (dialect.name, limit, vars(answer))


def stops_and_streams(server, chats):
    """Random bytes: broken and split characters, stop strings that a token cuts."""
    source = random.Random(2)
    turns = [("user", "Anything?", "")]
    for seed in range(12):
        sampling = {"temperature": 1, "seed": seed}
        free = ask(server, chats[0], "random", turns, sampling, limit=60)
        start = source.randrange(max(1, len(free.content) - 4))
        stop = free.content[start:start + source.randint(1, 4)]
        if not stop.strip() or "\ufffd" in stop:
            stop = None
        expected = None
        for dialect in [*chats, LlamaServer(server)]:
            for stream in (False, True):
                answer = ask(server, dialect, "random", turns, sampling, limit=60, stop=[stop] if stop else None, stream=stream)
                if dialect.name == "llama-server":  # nothing is taken out of a text
                    if free.thinking or "think>" in answer.content:
                        continue
                    answer.content = answer.content.lstrip(" \t\r\n")
                elif stop:
                    assert answer.content == free.content.split(stop)[0], (dialect.name, stop, vars(answer), vars(free))
                    assert answer.finish == "stop"
                expected = expected or answer
                assert answer.key()[1:] == expected.key()[1:], (dialect.name, stream, vars(answer), vars(expected))


def main():
    with tempfile.TemporaryDirectory() as name:
        with Server(SHIPPED, write_random_model(name + "/random"), "--no-log") as server:
            chats = equal_conversations(server)
            budgets(server, chats)
            stops_and_streams(server, chats)
    print("five dialects agree")


main()
