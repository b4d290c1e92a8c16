#!/usr/bin/env python3
"""Writes arithmetic word problems of one step, and some of two, with their answers as jsonl.

    tools/word_problems.py FOLDER       the files that recipes/zero-smollm2.toml reads:
                                        words-train.jsonl and words-test.jsonl, no problem in both

A small chat model solves some of them by itself; that is what they are for.
"""
import json
import pathlib
import random
import sys

NAMES = ["Anna", "Ben", "Carla", "David", "Emma", "Finn", "Grace", "Henry", "Iris", "Jack", "Lily", "Max", "Nora", "Oscar",
         "Paula", "Quinn", "Rosa", "Sam", "Tina", "Victor"]
THINGS = ["apples", "books", "pencils", "marbles", "stickers", "shells", "cards", "cookies", "stamps", "balloons", "coins",
          "flowers", "oranges", "toy cars", "buttons"]
BOXES = ["boxes", "bags", "baskets", "jars", "shelves"]


def one_step(rng, most):
    a, b = rng.randint(3, most), rng.randint(2, most)
    name, thing, box = rng.choice(NAMES), rng.choice(THINGS), rng.choice(BOXES)
    few, many = min(a, b), max(a, b) + 1
    return rng.choice([
        (f"{name} has {a} {thing} and finds {b} more. How many {thing} does {name} have now?", a + b),
        (f"{name} had {many} {thing} and gave away {few}. How many {thing} are left?", many - few),
        (f"There are {a % 9 + 2} {box} with {b} {thing} in each. How many {thing} are there in all?", (a % 9 + 2) * b),
        (f"{name} needs {many} {thing} and has {few}. How many more {thing} does {name} need?", many - few),
        (f"{name} shares {(a % 7 + 2) * (b % 9 + 2)} {thing} equally among {a % 7 + 2} friends. How many {thing} does each "
         f"friend get?", b % 9 + 2),
    ])


def two_steps(rng, most):
    a, b, c = rng.randint(3, most), rng.randint(2, most), rng.randint(2, most)
    name, other = rng.sample(NAMES, 2)
    thing, box = rng.choice(THINGS), rng.choice(BOXES)
    k = a % 6 + 2
    less = min(c, a + b - 1)
    return rng.choice([
        (f"{name} has {a} {thing}, buys {b} more and then gives {less} to {other}. How many {thing} does {name} have left?",
         a + b - less),
        (f"{name} fills {k} {box} with {b} {thing} each and has {c} {thing} left over. How many {thing} does {name} have in "
         f"all?", k * b + c),
        (f"{name} has {a} {thing}. {other} has {b} more than {name}. How many {thing} do they have together?", 2 * a + b),
        (f"A pack holds {b} {thing}. {name} buys {k} packs and uses {min(c, k * b - 1)} {thing}. How many {thing} are left?",
         k * b - min(c, k * b - 1)),
        (f"In the morning {name} sells {a} {thing}, in the afternoon {b} and in the evening {c}. How many {thing} does {name} "
         f"sell that day?", a + b + c),
    ])


def problems(seed, count, most, share_of_two, taken):
    rng = random.Random(seed)
    rows = []
    while len(rows) < count:
        question, answer = (two_steps if rng.random() < share_of_two else one_step)(rng, most)
        if question in taken:
            continue
        taken.add(question)
        rows.append({"prompt": question, "answer": answer})
    return rows


def main():
    folder = pathlib.Path(sys.argv[1])
    taken = set()
    for name, seed, count in (("words-test", 2, 300), ("words-train", 1, 1500)):
        rows = problems(seed, count, 10, 0.15, taken)
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


main()
