"""Every tiny checkpoint through the program: inspect reads it, and run gives the same ids in each form of the same weights."""
import json
import os
import subprocess
import sys

PROGRAM, MODELS, SHARED, SUPPORT = sys.argv[1:5]
NUM_TOKENS = "12"


def millrace(*arguments):
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise AssertionError(f"millrace {' '.join(arguments)}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def continuation(path, prompt):
    ids = ",".join(str(token) for token in prompt)
    got = millrace("run", "--model", path, "--prompt-ids", ids, "--temperature", "0",
                   "--ignore-eos", "--max-tokens", NUM_TOKENS, "--json")
    return got["token_ids"]


def forms(folder, golden):
    """Paths by the logits that they share: only equal weights must give equal ids."""
    grouped = {}
    if any(name.endswith((".safetensors", ".index.json")) and name.startswith("model")
           for name in os.listdir(folder)):
        grouped.setdefault("logits.safetensors", []).append(folder)
    for row in golden.get("gguf", []):
        grouped.setdefault(row["logits"], []).append(os.path.join(folder, row["file"]))
    return grouped


def check_family(folder):
    with open(os.path.join(folder, "prompts.json"), encoding="utf-8") as file:
        golden = json.load(file)
    num_runs = num_equal = 0
    prompt = golden["prompts"][1]
    for paths in forms(folder, golden).values():
        for path in paths:
            report = millrace("inspect", path, "--json")
            assert "model" in report, f"{path}: {report['model_error']}"
            shown = subprocess.run([PROGRAM, "inspect", path], capture_output=True, text=True)
            assert shown.returncode == 0 and "parameters" in shown.stdout, shown.stderr
        continuations = [continuation(path, prompt) for path in paths]
        num_runs += len(paths)
        num_equal += sum(ids == continuations[0] for ids in continuations)
    return num_equal, num_runs


def check_vocabularies():
    """inspect on whatever holds only a vocabulary; the count of those that it describes."""
    paths = []
    for folder, _, names in os.walk(os.path.join(SHARED, "tokenizers")):
        paths += [os.path.join(folder, name) for name in names
                  if name.endswith((".gguf", "tokenizer.json")) or ".model" in name]
    described = [millrace("inspect", path, "--json")["tokenizer"]["tokens"] > 0 for path in paths]
    return sum(described), len(paths)


def record(name, num_equal, num_all, note):
    line = f"{'program':<10}  {name:<44} {f'{num_equal} / {num_all}':>13}  {note}"
    print(line)
    os.makedirs(SUPPORT, exist_ok=True)
    with open(os.path.join(SUPPORT, "program--" + name.replace(" ", "_")), "w",
              encoding="utf-8") as file:
        print(line, file=file)
    return num_equal == num_all


def main():
    num_equal = num_runs = num_families = 0
    failures = []
    for name in sorted(os.listdir(MODELS)):
        folder = os.path.join(MODELS, name)
        if not os.path.exists(os.path.join(folder, "prompts.json")):
            continue
        num_families += 1
        equal, runs = check_family(folder)
        if equal != runs:
            failures.append(f"{name}: {equal} of {runs} forms continue alike")
        num_equal += equal
        num_runs += runs
    assert num_families > 0, "no checkpoints in " + MODELS
    right = record("run: forms that continue alike", num_equal, num_runs,
                   f"{num_families} tiny checkpoints")
    if os.path.isdir(SHARED):
        right = record("inspect: vocabularies described", *check_vocabularies(), "") and right
    elif "MILLRACE_REQUIRE_DATA" in os.environ:
        failures.append(SHARED + " is not there")
    for failure in failures:
        print(failure)
    sys.exit(0 if right and not failures else 1)


if __name__ == "__main__":
    main()
