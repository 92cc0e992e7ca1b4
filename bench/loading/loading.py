"""How long a model takes to be ready, what it keeps resident, and what four processes cost.

    ./mill build && python3 bench/loading/loading.py build/release/bin/millrace

Makes two models with random weights in a temporary folder: the shape of Qwen2.5-0.5B in bf16 (1 GB,
private) and of SmolLM2-135M (270 MB, shared between processes). Prints one JSON object. Sizes are
counts and may be compared; times are of this machine.
"""
import json
import os
import platform
import subprocess
import sys
import tempfile

PROGRAM = os.path.abspath(sys.argv[1])
CONTEXT = "1024"
NUM_PROCESSES = 4


def make(folder, shape):
    path = os.path.join(folder, shape)
    subprocess.run([PROGRAM, "make-model", path, "--like", shape, "--format", "bf16"],
                   check=True, stdout=subprocess.DEVNULL)
    for name in os.listdir(path):  # Into the page cache.
        with open(os.path.join(path, name), "rb") as file:
            while file.read(1 << 24):
                pass
    return path


def start_chat(model, environment, *options):
    """A process that has answered one line and waits for the next."""
    command = [PROGRAM, "run", "--model", model, "--context", CONTEXT, "--max-tokens", "1",
               "--ignore-eos", *options]
    chat = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    chat.stdin.write(b"Hello\n")
    chat.stdin.flush()
    while chat.stdout.read(1) != b"\n":
        pass
    return chat


def memory_of(process):
    fields = {}
    with open(f"/proc/{process.pid}/smaps_rollup", encoding="ascii") as file:
        for line in file:
            if ":" in line and line.rstrip().endswith("kB"):
                name, size = line.split(":")
                fields[name] = int(size.split()[0]) * 1024
    return fields


def stats_of(model, environment, *options):
    command = [PROGRAM, "run", "Hello", "--model", model, "--context", CONTEXT, "--max-tokens", "1",
               "--json", *options]
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    return json.loads(done.stdout)["stats"]


def one_process(model, environment):
    runs = [stats_of(model, environment, "--share-limit", "0") for _ in range(5)]
    stats = min(runs, key=lambda run: run["load_seconds"])
    chat = start_chat(model, environment, "--share-limit", "0")
    resident = memory_of(chat)["Rss"]
    chat.kill()
    planned = stats["weight_bytes"] + stats["kv_bytes"] + stats["workspace_bytes"]
    return {
        "ready_seconds": stats["load_seconds"],
        "ready_seconds_limit": 2.0,
        "weight_bytes": stats["weight_bytes"],
        "kv_bytes": stats["kv_bytes"],
        "workspace_bytes": stats["workspace_bytes"],
        "resident_bytes": resident,
        "resident_over_planned": resident / planned,
        "resident_over_planned_limit": 1.15,
    }


def four_processes(model, environment):
    stats = stats_of(model, environment)
    chats = [start_chat(model, environment) for _ in range(NUM_PROCESSES)]
    pss = sum(memory_of(chat)["Pss"] for chat in chats)
    for chat in chats:
        chat.kill()
        chat.wait()
    return {
        "processes": NUM_PROCESSES,
        "weight_bytes": stats["weight_bytes"],
        "shared": stats["weights_shared"],
        "sum_of_pss_bytes": pss,
        "sum_of_pss_over_weights": pss / stats["weight_bytes"],
        # Each process has a cache and a workspace of its own.
        "sum_of_pss_without_own_over_weights":
            (pss - NUM_PROCESSES * (stats["kv_bytes"] + stats["workspace_bytes"]))
            / stats["weight_bytes"],
    }


def main():
    with tempfile.TemporaryDirectory() as folder:
        environment = dict(os.environ, XDG_RUNTIME_DIR=folder)
        version = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True)
        result = {"bench": "loading", "cpu": platform.processor() or platform.machine(),
                  "version": version.stdout.split("\n")[0]}
        result["private"] = one_process(make(folder, "qwen2.5-0.5b"), environment)
        result["shared"] = four_processes(make(folder, "smollm2-135m"), environment)
        print(json.dumps(result))


if __name__ == "__main__":
    main()
