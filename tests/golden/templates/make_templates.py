"""Writes the expected outputs of templates: conversations.json, expected.json and snippets.json.

    pip install jinja2==3.1.6 transformers==5.23.0 numpy
    python3 make_templates.py ../../../../shared/data/templates

The published templates stay in the folder that is given; of what they render only lengths and
hashes are kept, but for a few that are kept as text in rendered/ for people to read. Where jinja2
fails, the expectation is null.
"""

import json
import pathlib
import sys

from conversations import conversations
from corner_cases import CORNERS
from reference import NOW, render, with_defaults
from snippet_cases import SNIPPETS

HERE = pathlib.Path(__file__).parent
READABLE = {
    "models/Qwen-Qwen2.5-7B-Instruct.jinja": ["plain", "tool parallel", "hostile"],
    "models/meta-llama-Llama-3.1-8B-Instruct.jinja": ["system", "tool result", "unicode"],
    "models/google-gemma-4-31B-it.jinja": ["tools system", "reasoning"],
    "models/meetkai-functionary-medium-v3.1.jinja": ["tools", "tool odd values"],
}


def fnv1a(data):
    """The 64-bit hash of Fowler, Noll and Vo: enough to notice a difference, easy to write twice."""
    hash_value = 0xCBF29CE484222325
    for byte in data:
        hash_value = (hash_value ^ byte) * 0x100000001B3 % 2**64
    return hash_value


def digest(text):
    data = text.encode("utf-8")
    return f"{len(data)}:{fnv1a(data):016x}"


def dump(name, value):
    text = json.dumps(value, indent=0, ensure_ascii=False, sort_keys=False)
    (HERE / name).write_text(text + "\n", encoding="utf-8", newline="\n")


def make_expected(folder, contexts):
    expected = {}
    for path in sorted(folder.glob("*/*.jinja")):
        name = f"{path.parent.name}/{path.name}"
        template = path.read_bytes().decode("utf-8")
        outputs = {}
        for conversation, context in contexts.items():
            text = render(template, with_defaults(context))
            outputs[conversation] = None if text is None else digest(text)
            if conversation in READABLE.get(name, []):
                readable = HERE / "rendered" / f"{path.stem}.{conversation.replace(' ', '_')}.txt"
                readable.parent.mkdir(exist_ok=True)
                readable.write_bytes(text.encode("utf-8"))
        expected[name] = {"source": digest(template), "outputs": outputs}
    return expected


def make_snippets():
    made = []
    for snippet in SNIPPETS + CORNERS:
        template, context = snippet if isinstance(snippet, tuple) else (snippet, {})
        row = {"template": template}
        if context:
            row["context"] = context
        # Through JSON, as our own program gets it.
        row["output"] = render(template, json.loads(json.dumps(with_defaults(context))))
        made.append(row)
    return made


def main():
    folder = pathlib.Path(sys.argv[1])
    contexts = json.loads(json.dumps(conversations(folder / "minja")))
    dump("conversations.json", {"now": NOW, "contexts": contexts})
    dump("expected.json", make_expected(folder, contexts))
    dump("snippets.json", make_snippets())


if __name__ == "__main__":
    main()
