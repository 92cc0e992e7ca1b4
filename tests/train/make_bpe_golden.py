#!/usr/bin/env python3
"""Writes bpe_golden.json: the merges that Hugging Face's tokenizers learns from a text.

    make_bpe_golden.py TEXT     (pip install tokenizers)

The text is kept in the file, so that the test needs nothing else.
"""
import json
import pathlib
import sys

import tokenizers
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
           r"\s*[\r\n]+|\s+(?!\S)|\s+")
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
VOCABULARY = 700


def main():
    text = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.train_from_iterator([text], trainers.BpeTrainer(
        vocab_size=VOCABULARY, min_frequency=2, special_tokens=SPECIAL, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    model = json.loads(tokenizer.to_str())["model"]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    vocabulary = sorted(model["vocab"], key=model["vocab"].get)
    out = pathlib.Path(__file__).with_name("bpe_golden.json")
    out.write_text(json.dumps({"made_with": f"tokenizers {tokenizers.__version__}", "text": text,
                               "merges": merges, "vocabulary": vocabulary},
                              ensure_ascii=False, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
