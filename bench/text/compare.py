"""Throughput of tokenising beside Hugging Face's tokenizers and tiktoken (PyPI), in one run.

    python3 compare.py BUILD_FOLDER DATA_FOLDER

The whole text with one thread, then its parts of 16 KB with two. The programs take turns on every
text, several times, and each one's best counts, so that what else the machine does touches all
alike. Prints MB/s and the ratio to each other library; the numbers of ids are compared.
"""

import base64
import json
import os
import subprocess
import sys
import tempfile
import time

os.environ["RAYON_NUM_THREADS"] = "2"
os.environ["TOKENIZERS_PARALLELISM"] = "true"

import tiktoken
import tokenizers
from transformers.convert_slow_tokenizer import TikTokenConverter, bytes_to_unicode

ROUNDS = 3
GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def texts(data):
    def read(path):
        with open(os.path.join(data, "text", path), encoding="utf-8") as file:
            return file.read()

    poems = "".join(
        "\n".join(poem["paragraphs"]) + "\n"
        for name in sorted(os.listdir(os.path.join(data, "text/zh-song-ci")))
        if name.endswith(".json")
        for poem in json.loads(read("zh-song-ci/" + name))
    )
    return {
        "english": read("war-and-peace/war-and-peace.txt")[:1_000_000],
        "chinese": poems[:333_333],
        "json": read("demo-mix/glaive_toolcall_en_demo.json"),
        # tiktoken's patterns overflow its stack on a million.
        "one letter": "a" * 100_000,
        "spaces": " " * 100_000,
    }


class HuggingFace:
    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def encode(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def encode_parts(self, parts):
        return self.tokenizer.encode_batch(parts, add_special_tokens=False)


class Tiktoken:
    def __init__(self, pattern, ranks):
        self.encoding = tiktoken.Encoding(
            "compared", pat_str=pattern, mergeable_ranks=ranks, special_tokens={}
        )

    def encode(self, text):
        return self.encoding.encode_ordinary(text)

    def encode_parts(self, parts):
        return self.encoding.encode_ordinary_batch(parts, num_threads=2)


def parts_of(text):
    """As tokenizer_bench cuts it."""
    data = text.encode()
    parts = []
    while len(data) > 16 << 10:
        end = data.find(b"\n", 16 << 10)
        if end < 0:
            break
        parts.append(data[: end + 1].decode())
        data = data[end + 1 :]
    return parts + [data.decode()]


def rate(megabytes, run):
    begin = time.perf_counter()
    ids = run()
    return megabytes / (time.perf_counter() - begin), len(ids)


def compare(program, name, path, others, text_sets):
    for kind, text in text_sets.items():
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            megabytes = len(text.encode()) / 1e6
            parts = parts_of(text)
            ours, theirs = [], {other: [] for other in others}
            for _ in range(ROUNDS):
                row = json.loads(subprocess.check_output([program, path, file.name, "2"]))
                ours.append((row["encode_mb_per_second"], row["batch_mb_per_second"]))
                for other, library in others.items():
                    try:
                        one, num_ids = rate(megabytes, lambda: library.encode(text))
                        two, _ = rate(megabytes, lambda: library.encode_parts(parts))
                    except BaseException as error:  # A panic of tiktoken's is none of Exception.
                        if isinstance(error, KeyboardInterrupt):
                            raise
                        print("%s fails on %s: %s" % (other, kind, str(error)[:60]))
                        continue
                    theirs[other].append((one, two))
                    if num_ids != row["tokens"] or row["round_trip"] != "equal":
                        print("WRONG:", name, kind, other, num_ids, row)
            result = {"vocabulary": name, "text": kind, "millrace": best(ours)}
            result |= {other: best(rates) for other, rates in theirs.items() if rates}
            for other in [other for other in theirs if other in result]:
                pairs = zip(result["millrace"], result[other])
                result["ratio to " + other] = [round(us / them, 2) for us, them in pairs]
            print(json.dumps(result), flush=True)


def best(rates):
    return [round(max(column), 2) for column in zip(*rates)]


def main():
    program = os.path.join(sys.argv[1], "bench/text/tokenizer_bench")
    data = sys.argv[2]
    tokenizer_files = os.path.join(data, "tokenizers")
    stories = os.path.join(data, "models/stories260k")
    text_sets = texts(data)
    load = tokenizers.Tokenizer.from_file
    gpt2 = os.path.join(tokenizer_files, "gpt2/gpt2_tokenizer.json")
    hugging_face = load(gpt2)
    byte_of = {character: byte for byte, character in bytes_to_unicode().items()}
    ranks = {
        bytes(byte_of[character] for character in piece): rank
        for piece, rank in hugging_face.get_vocab().items()
        if piece != "<|endoftext|>"
    }
    others = {"hugging face": HuggingFace(hugging_face), "tiktoken": Tiktoken(GPT2, ranks)}
    compare(program, "gpt2", gpt2, others, text_sets)
    llama3 = os.path.join(tokenizer_files, "llama3")
    model = os.path.join(llama3, "tokenizer.model")
    with open(model, "rb") as file:
        ranks = {base64.b64decode(k): int(v) for k, v in (line.split() for line in file)}
    converted = TikTokenConverter(model, pattern=LLAMA3, extra_special_tokens=[]).converted()
    others = {"tiktoken": Tiktoken(LLAMA3, ranks), "hugging face": HuggingFace(converted)}
    compare(program, "llama3", llama3, others, text_sets)
    others = {"hugging face": HuggingFace(load(os.path.join(stories, "tokenizer.json")))}
    compare(program, "sentencepiece", stories, others, text_sets)


if __name__ == "__main__":
    main()
