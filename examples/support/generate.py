#!/usr/bin/env python3
"""Writes conversations of customer support, and tasks that share no facts with them.

    generate.py --out DIR [--seed 1] [--conversations 150000] [--tasks 100] [--prose DIR]

  DIR/train.jsonl      {"messages": [...]}
  DIR/held_out.jsonl   the same, with facts of their own: for the loss on held-out text
  DIR/tasks.jsonl      {"id", "language", "shape", "difficulty", "intent", "messages", "contains",
                       "lacks", "answer"}: the last answer is left out; a right one has every
                       text of `contains` and none of `lacks`, whatever the case of letters

Tasks come for each of both languages, seen and unseen shapes, difficulties 1 to 4: --tasks of each.
Facts are apart by order numbers, one in ten of which belongs to held-out text and tasks alone;
unseen shapes are texts of users that training never draws from.
"""
import argparse
import json
import pathlib
import random
import re

from dialogues import conversation


def write_lines(path, records):
    with open(path, "w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def conversations(seed, count, held_out):
    rng = random.Random(seed)
    for _ in range(count):
        yield {"messages": conversation(rng, held_out)[1]}


def tasks(seed, count):
    rng = random.Random(seed)
    missing = {(language, shape, difficulty): count for language in ("en", "zh")
               for shape in ("seen", "unseen") for difficulty in (1, 2, 3, 4)}
    records = []
    while any(missing.values()):
        unseen = rng.random() < 0.5
        language, messages, turn = conversation(rng, True, unseen, rng.choice([1, 1, 2, 3]))
        key = (language, "unseen" if unseen else "seen", turn.difficulty)
        # What nothing can be checked of is no task.
        if missing[key] == 0 or not (turn.contains or turn.lacks):
            continue
        missing[key] -= 1
        records.append({"id": f"{key[0]}-{key[1]}-{key[2]}-{count - missing[key]:03}",
                        "language": key[0], "shape": key[1], "difficulty": key[2],
                        "intent": turn.intent, "messages": messages[:-1],
                        "contains": turn.contains, "lacks": turn.lacks,
                        "answer": messages[-1]["content"]})
    return sorted(records, key=lambda record: record["id"])


def words_of(text):
    """Latin words in lower case, and Chinese characters."""
    return re.findall("[a-z']+|[\u4e00-\u9fff]", text.lower())


def never_seen(trained, asked):
    """The share of the words of `asked` that `trained` never has."""
    known = {word for record in trained for message in record["messages"]
             for word in words_of(message["content"])}
    words = [word for record in asked for word in words_of(record["messages"][-1]["content"])]
    return sum(word not in known for word in words) / max(1, len(words))


def prose(folder, seed, count):
    """Short pieces of text from a folder: stories and dialogues, each of at most 1,200 bytes."""
    pieces = []
    for path in sorted(folder.rglob("*.txt")):
        text = path.read_text(encoding="utf-8", errors="replace")
        for piece in re.split(r"<\|endoftext\|>|\n\n(?=Once|One day)", text):
            piece = piece.strip().encode()[:1200].decode(errors="ignore")
            end = max(piece.rfind(mark) for mark in ".!?。！？\n")
            if end > 80:
                pieces.append(piece[:end + 1].strip())
    rng = random.Random(seed)
    return [{"text": piece} for piece in rng.sample(pieces, min(count, len(pieces)))]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--conversations", type=int, default=150_000)
    parser.add_argument("--held-out", type=int, default=1_000)
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--prose", type=pathlib.Path, help="a folder of *.txt to mix in")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    seed = options.seed * 1000
    train = list(conversations(seed, options.conversations, False))
    asked = list(tasks(seed + 2, options.tasks))
    for language in ("en", "zh"):
        for shape in ("seen", "unseen"):
            of = [one for one in asked if (one["language"], one["shape"]) == (language, shape)]
            print(f"{language}, {shape} tasks: {never_seen(train, of):.2%} of words never in training")
    if options.prose:
        train += prose(options.prose, seed + 3, options.conversations // 60)
        random.Random(seed + 4).shuffle(train)
    write_lines(options.out / "train.jsonl", train)
    write_lines(options.out / "held_out.jsonl", conversations(seed + 1, options.held_out, True))
    write_lines(options.out / "tasks.jsonl", asked)


if __name__ == "__main__":
    main()
