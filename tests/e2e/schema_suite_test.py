#!/usr/bin/env python3
"""The public JSON-Schema-Test-Suite against constrained answers: each of its schemas either is refused, by the name of what is not
supported, or holds answers of a model of random weights at temperature 1.5, which the `jsonschema` package then judges.

The suite comes with the sources of that package; PONDER_SCHEMA_SUITE names a folder with another copy (its `tests`).
PONDER_SCHEMA_SHARE=N tries every Nth schema alone (1 by default: all), PONDER_SCHEMA_ANSWERS as many answers to each (4)."""

import collections
import concurrent.futures
import importlib.metadata
import json
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile

from harness import SKIPPED, require_program
from random_model import write_random_model
from serving import Server, client_python

require_program()
client_python("jsonschema")

import jsonschema  # noqa: E402  (only in the virtual environment)


def pattern(validator, expression, value, schema):
    """As the package has it, but for what is otherwise in ECMA's expressions than in Python's: \\d and \\w are of ASCII, and U+FEFF is
    white space."""
    if not validator.is_type(value, "string"):
        return
    if not any(re.search(expression, text, flags) for flags in (0, re.ASCII) for text in (value, value.replace("\ufeff", "\u00a0"))):
        yield jsonschema.ValidationError(f"{value!r} does not match {expression!r}")


VALIDATORS = {"draft3": jsonschema.Draft3Validator, "draft4": jsonschema.Draft4Validator, "draft6": jsonschema.Draft6Validator,
              "draft7": jsonschema.Draft7Validator, "draft2019-09": jsonschema.Draft201909Validator,
              "draft2020-12": jsonschema.Draft202012Validator, "draft-next": jsonschema.Draft202012Validator}
SHARE = int(os.environ.get("PONDER_SCHEMA_SHARE", "1"))
ANSWERS = int(os.environ.get("PONDER_SCHEMA_ANSWERS", "4"))
TOKENS = 300


def suite(folder):
    given = os.environ.get("PONDER_SCHEMA_SUITE")
    if given:
        return pathlib.Path(given)
    version = importlib.metadata.version("jsonschema")
    done = subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", "jsonschema",
                           f"jsonschema=={version}", "-d", folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    found = list(pathlib.Path(folder).glob("jsonschema-*.tar.gz"))
    if done.returncode != 0 or not found:
        print(f"SKIPPED: the public schema test suite cannot be had, so no schema of it was tried: {done.stdout[-300:]}")
        sys.exit(SKIPPED)
    with tarfile.open(found[0]) as archive:
        archive.extractall(folder, filter="data")
    return next(pathlib.Path(folder).glob("jsonschema-*/json/tests"))


def schemas(root):
    """(draft, where, schema) of each schema of the suite, in a fixed order."""
    for draft in VALIDATORS:
        for file in sorted((root / draft).rglob("*.json")):
            for group in json.loads(file.read_text()):
                yield draft, f"{file.relative_to(root)}: {group['description']}", group["schema"]


def keyword_of(message):
    """What a refusal names: the first thing between quotes."""
    parts = message.split('"')
    return parts[1] if len(parts) > 2 else message[:60]


def judge(server, draft, schema, seed):
    """(status, what was wrong, answers, of these cut); status 0: the judge cannot read the schema's expression, which is ECMA's
    and not Python's."""
    body = {"model": "random", "messages": [{"role": "user", "content": "x"}], "temperature": 1.5, "seed": seed, "n": ANSWERS,
            "max_tokens": TOKENS, "enable_thinking": False, "guided_json": json.dumps(schema)}
    status, _, reply = server.call("POST", "/v1/chat/completions", body)
    if status != 200:
        return status, reply["error"]["message"], 0, 0
    validator = jsonschema.validators.extend(VALIDATORS[draft], {"pattern": pattern})(schema)
    cut = 0
    for choice in reply["choices"]:
        if choice["finish_reason"] == "length":
            cut += 1
            continue
        assert choice["finish_reason"] == "stop", choice
        text = choice["message"]["content"]
        try:
            error = next(validator.iter_errors(json.loads(text)), None)
        except re.error:
            return 0, "", 0, 0
        if error is not None:
            return -1, f"{text}: {error.message}", len(reply["choices"]), cut
    return 200, "", len(reply["choices"]), cut


def main():
    with tempfile.TemporaryDirectory() as name:
        all_schemas = list(schemas(suite(name)))[::SHARE]
        assert all_schemas, "the suite is empty"
        refusals, violations = collections.Counter(), []
        held = answers = cut = unjudged = 0
        with Server(write_random_model(name + "/random", context=512), "--no-log") as server, \
                concurrent.futures.ThreadPoolExecutor(8) as pool:
            results = pool.map(lambda i: judge(server, all_schemas[i][0], all_schemas[i][2], i), range(len(all_schemas)))
            for (draft, where, schema), (status, message, count, short) in zip(all_schemas, results):
                answers, cut = answers + count, cut + short
                if status == 400:
                    assert "schema" in message, (where, message)
                    refusals[keyword_of(message)] += 1
                elif status == 200:
                    held += 1
                elif status == 0:
                    unjudged += 1
                else:
                    violations.append((draft, where, json.dumps(schema), status, message))
            assert server.call("GET", "/health")[0] == 200
        for violation in violations:
            print("VIOLATION", *violation)
        print(f"{len(all_schemas)} schemas: {held} held {answers} answers, {cut} of these cut at {TOKENS} tokens; "
              f"{len(violations)} violations; {unjudged} with expressions that Python cannot read; "
              f"{sum(refusals.values())} refused by name:")
        print(", ".join(f"{name} {count}" for name, count in refusals.most_common()))
        assert not violations
        assert held > len(all_schemas) / 4 and cut < answers / 2


main()
