"""From the start of a process to its first token: packed with `millrace pack`, and packed at load.

    python3 bench/loading/first_token.py PROGRAM [--like NAME] [--format int4] [--tokenizer FOLDER]

Makes random weights at a published shape in a temporary folder (with the tokenizer of FOLDER when
one is named), packs them, and starts the program on both in turns, everything in the page cache.
Prints one JSON object; `start_seconds` is wall time from the start to the first byte of the answer,
`without_prompt_seconds` that less the time that the prompt itself took.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

TOKENIZER_FILES = ["tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt",
                   "tokenizer.model"]
CONTEXT = "1024"


def run(program, *arguments):
    return subprocess.run([program, *arguments], check=True, capture_output=True, text=True).stdout


def replace_tokenizer(model, folder):
    for name in TOKENIZER_FILES:
        if os.path.exists(os.path.join(model, name)):
            os.remove(os.path.join(model, name))
        if os.path.exists(os.path.join(folder, name)):
            shutil.copy(os.path.join(folder, name), model)


def first_byte(program, arguments):
    begin = time.monotonic()
    with subprocess.Popen([program, *arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as process:
        found = process.stdout.read(1)
        elapsed = time.monotonic() - begin
        process.stdout.read()
    if not found:
        sys.exit("the program printed nothing")
    return elapsed


def arguments_of(model, options, *more):
    return ["run", "Once upon a time", "--raw", "--model", model, "--context", CONTEXT,
            "--max-tokens", "1", "--ignore-eos", *options, *more]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--like", default="qwen2.5-0.5b")
    parser.add_argument("--format", default="int4")
    parser.add_argument("--tokenizer")
    parser.add_argument("--runs", type=int, default=7)
    given = parser.parse_args()
    program = os.path.abspath(given.program)
    with tempfile.TemporaryDirectory() as folder:
        model = os.path.join(folder, "model")
        packed = os.path.join(folder, "model.millrace")
        run(program, "make-model", model, "--like", given.like, "--format", "bf16")
        if given.tokenizer:
            replace_tokenizer(model, given.tokenizer)
        run(program, "pack", model, "-o", packed, "--weight-format", given.format)
        unshared = ["--share-limit", "0"]
        sides = {"packed": (packed, unshared),
                 "packed_at_load": (model, unshared + ["--weight-format", given.format])}
        times = {side: [] for side in sides}
        for _ in range(given.runs):
            for side, (path, options) in sides.items():
                times[side].append(first_byte(program, arguments_of(path, options)))
        result = {"bench": "first token", "like": given.like, "format": given.format,
                  "tokenizer": "of a real model" if given.tokenizer else "bytes",
                  "runs": given.runs, "version": run(program, "--version").split("\n")[0]}
        for side, (path, options) in sides.items():
            stats = json.loads(run(program, *arguments_of(path, options, "--json")))["stats"]
            median = statistics.median(times[side])
            result[side] = {"start_seconds": median, "start_seconds_best": min(times[side]),
                            "load_seconds": stats["load_seconds"],
                            "prompt_seconds": stats["time_to_first_token_seconds"],
                            "without_prompt_seconds": median
                            - stats["time_to_first_token_seconds"]}
        print(json.dumps(result))


if __name__ == "__main__":
    main()
