"""Throughput of tokenising beside Hugging Face's tokenizers and tiktoken (PyPI), in one run.

    python3 compare.py BUILD_FOLDER DATA_FOLDER

One thread each. The programs take turns on every text, several times, and each one's best counts,
so that what else the machine does touches all alike. Prints MB/s and the ratio to the fastest other
library; ids are compared first.
"""

import base64
import json
import os
import subprocess
import sys
import tempfile
import time

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import tokenizers

ROUNDS = 3
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def texts(data):
    def read(path):
        with open(os.path.join(data, "text", path), encoding="utf-8") as file:
            return file.read()

    poems = "".join(
        "".join(poem["paragraphs"])
        for name in sorted(os.listdir(os.path.join(data, "text/zh-song-ci")))
        if name.endswith(".json")
        for poem in json.loads(read("zh-song-ci/" + name))
    )
    return {
        "english": read("war-and-peace/war-and-peace.txt")[:2_000_000],
        "chinese": poems[:500_000],
        "one letter": "a" * 1_000_000,
        "spaces": " " * 1_000_000,
    }


def hugging_face(path):
    tokenizer = tokenizers.Tokenizer.from_file(path)
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids


def tiktoken_llama3(path):
    import tiktoken

    with open(path, "rb") as file:
        ranks = {base64.b64decode(k): int(v) for k, v in (line.split() for line in file)}
    encoding = tiktoken.Encoding("llama3", pat_str=LLAMA3, mergeable_ranks=ranks, special_tokens={})
    return encoding.encode_ordinary


def best(values):
    return max(values)


def compare(program, name, path, others, text_sets):
    for kind, text in text_sets.items():
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            megabytes = len(text.encode()) / 1e6
            ours, theirs = [], {other: [] for other in others}
            for _ in range(ROUNDS):
                row = json.loads(subprocess.check_output([program, path, file.name, "2"]))
                ours.append(row["encode_mb_per_second"])
                for other, encode in others.items():
                    begin = time.perf_counter()
                    ids = encode(text)
                    theirs[other].append(megabytes / (time.perf_counter() - begin))
                    if len(ids) != row["tokens"] or row["round_trip"] != "equal":
                        print("WRONG:", name, kind, other, len(ids), row)
        fastest = max((best(rates), other) for other, rates in theirs.items())
        rates = ", ".join("%s %.2f" % (other, best(r)) for other, r in theirs.items())
        print(
            "%-10s %-10s millrace %.2f MB/s; %s; ratio to %s %.2f"
            % (name, kind, best(ours), rates, fastest[1], best(ours) / fastest[0]),
            flush=True,
        )


def main():
    program = os.path.join(sys.argv[1], "bench/text/tokenizer_bench")
    data = sys.argv[2]
    tokenizer_files = os.path.join(data, "tokenizers")
    stories = os.path.join(data, "models/stories260k")
    text_sets = texts(data)
    gpt2 = os.path.join(tokenizer_files, "gpt2/gpt2_tokenizer.json")
    compare(program, "gpt2", gpt2, {"hugging face": hugging_face(gpt2)}, text_sets)
    llama3 = os.path.join(tokenizer_files, "llama3")
    others = {"tiktoken": tiktoken_llama3(os.path.join(llama3, "tokenizer.model"))}
    compare(program, "llama3", llama3, others, text_sets)
    others = {"hugging face": hugging_face(os.path.join(stories, "tokenizer.json"))}
    compare(program, "sentencepiece", stories, others, text_sets)


if __name__ == "__main__":
    main()
