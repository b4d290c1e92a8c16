#!/usr/bin/env python3
"""Runs recipes/zero-smoke.toml whole: a model made from nothing must learn to reason, not only run.

learns_test.py [RUN]: with a finished run directory, checks that one instead of training.
"""

import json
import pathlib
import sys
import tempfile

import harness

RECIPE = harness.SOURCE / "recipes" / "zero-smoke.toml"
PROBLEM = "7+5*3-4=?"
LEAST_GAIN = 0.3  # pass@1 of the last evaluation less that of the first
LEAST_PASS1 = 0.7  # of the last evaluation
LEAST_LENGTH_GROWTH = 1.4  # mean answer length of the last evaluation over the first's: nothing rewards length
MOST_LAST_LOSS = 0.8  # of pre-training's last tenth over that of its first: the mean loss must fall


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def check_pretraining(rows):
    losses = [row["loss"] for row in rows if "loss" in row and "reward_mean" not in row]
    tenth = max(1, len(losses) // 10)
    assert mean(losses[-tenth:]) < MOST_LAST_LOSS * mean(losses[:tenth]), "pre-training did not lower the loss"


def check_updates(rows):
    updates = [row for row in rows if "reward_mean" in row]
    assert updates, "no grpo step in metrics.jsonl"
    for row in updates:
        assert row["dlogp_max"] == 0, f"sampler and trainer disagree by {row['dlogp_max']} at step {row['step']}"
    compared = sum(row["dlogp_tokens"] for row in updates)
    assert compared > 0, "no log-probability was ever compared"
    print(f"{len(updates)} updates, {compared} log-probabilities of sampler and trainer compared: all equal")


def check_learning(rows):
    evals = [row for row in rows if "eval" in row and not row["eval"].endswith("-dev")]
    assert len(evals) >= 2, "expected an evaluation before and one after"
    first, last = evals[0], evals[-1]
    print(f"pass@1 {first['pass@1']:.3f} -> {last['pass@1']:.3f}, mean length {first['length_mean']:.1f} -> "
          f"{last['length_mean']:.1f} tokens, cons@16 {last['cons@16']:.3f}")
    assert last["pass@1"] - first["pass@1"] >= LEAST_GAIN, f"pass@1 rose by less than {LEAST_GAIN}"
    assert last["pass@1"] >= LEAST_PASS1, f"pass@1 ends below {LEAST_PASS1}"
    assert last["length_mean"] >= LEAST_LENGTH_GROWTH * first["length_mean"], "answers did not grow longer"
    assert last["cons@16"] >= last["pass@1"], "the majority of 16 answers is worse than one"


def check_completions(out, rows):
    completions = harness.rows_of(out / "completions.jsonl")
    last = max(row["step"] for row in completions)
    accuracy = {row["step"]: row["accuracy"] for row in rows if "reward_mean" in row}[last]
    answers = [row for row in completions if row["step"] == last]
    assert abs(mean(row["rewards"]["accuracy"] for row in answers) - accuracy) < 0.2, "completions and metrics disagree"


def check_results(out):
    summary = json.loads((out / "summary.json").read_text())
    shown = json.loads(harness.good("show", out / "model", "--json"))
    assert summary["weights_hash"] == shown["weights_hash"], "model/ does not hold the weights of summary.json"
    report = (out / "report.html").read_text()
    assert "<svg" in report and "http://" not in report.replace("http://www.w3.org", ""), "report.html is not self-contained"
    answer = json.loads(harness.good("run", out / "model", PROBLEM, "--json", "--seed", 1))
    assert answer["finish_reason"] == "stop" and answer["content"].isdigit(), answer
    print(f"{PROBLEM} thinking: {answer['reasoning']} answer: {answer['content']}")
    ids = out.parent / "learns-ids.jsonl"
    line = json.dumps(f"<think>{answer['reasoning']}</think><answer>{answer['content']}</answer>") + "\n"
    ids.write_bytes(harness.good("tokenize", out / "model", stdin=line))
    scored = json.loads(harness.good("score", out / "model", "--ids", ids))
    assert len(scored["logprobs"]) == scored["tokens"] - 1, scored
    ids.unlink()


def check(out):
    rows = harness.rows_of(out / "metrics.jsonl")
    check_pretraining(rows)
    check_updates(rows)
    check_learning(rows)
    check_completions(out, rows)
    check_results(out)


def main():
    if len(sys.argv) > 1:
        return check(pathlib.Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory(prefix="ponder-learns-") as folder:
        out = pathlib.Path(folder) / "run"
        print(harness.good("train", RECIPE, "--out", out).decode(), flush=True)
        check(out)


if __name__ == "__main__":
    harness.require_program()
    main()
