#!/usr/bin/env python3
"""The official JavaScript clients of OpenAI, Anthropic and Ollama against `ponder serve`; what they do is in npm_clients.mjs."""

import pathlib
import shutil
import subprocess
import sys
import tempfile

from harness import require_program
from random_model import write_random_model
from serving import SHIPPED, Server, client_node

require_program()
SCRIPT = pathlib.Path(__file__).resolve().with_name("npm_clients.mjs")


def main():
    packages = client_node("openai", "@anthropic-ai/sdk", "ollama")
    with tempfile.TemporaryDirectory() as name:
        script = shutil.copy(SCRIPT, packages)  # modules are looked for beside the file that wants them
        with Server(SHIPPED, write_random_model(name + "/random"), "--no-log") as server:
            done = subprocess.run(["node", script, server.url], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
            print(done.stdout[-4000:])
            sys.exit(done.returncode)


main()
