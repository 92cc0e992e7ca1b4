"""Texts with alternatives: [a|b|] is one of them, nested as deep as one likes; {name} is a fact."""
import re

SLOT = re.compile(r"\{(\w+)\}")


def _parse(text, at, in_choice):
    """A sequence of strings and lists of alternatives, and where it ends."""
    parts, literal = [], []
    while at < len(text):
        char = text[at]
        if char == "[":
            parts.append("".join(literal))
            literal, options, at = [], [], at + 1
            while True:
                option, at = _parse(text, at, True)
                options.append(option)
                at += 1
                if text[at - 1] == "]":
                    break
            parts.append(options)
            continue
        if in_choice and char in "|]":
            break
        literal.append(char)
        at += 1
    parts.append("".join(literal))
    return parts, at


_PARSED = {}


def parse(text):
    """The parsed form of a text; parsed once."""
    if text not in _PARSED:
        _PARSED[text] = _parse(text, 0, False)[0]
    return _PARSED[text]


def _choose(parts, rng):
    chosen = []
    for part in parts:
        chosen.append(part if isinstance(part, str) else _choose(rng.choice(part), rng))
    return "".join(chosen)


def expand(text, rng, facts=None):
    """One of the texts that a text with alternatives stands for, its facts filled in."""
    chosen = _choose(parse(text), rng)
    if facts is None:
        return chosen
    return SLOT.sub(lambda match: str(facts[match.group(1)]), chosen)


def count(text):
    """How many texts it stands for."""
    def of(parts):
        product = 1
        for part in parts:
            if not isinstance(part, str):
                product *= sum(of(option) for option in part)
        return product
    return of(parse(text))
