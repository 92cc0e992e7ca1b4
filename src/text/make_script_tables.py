"""Makes unicode_scripts.inc: which characters belong together in a pre-tokeniser of scripts.

    venv/bin/pip install tokenizers==0.23.3
    venv/bin/python make_script_tables.py > unicode_scripts.inc

The facts are those of Unicode's Scripts.txt as Hugging Face's tokenizers library knows them, found
out by asking it where it cuts: two characters side by side stay together when they are of one
script (kana counts as Han, as the library has it). Script 0 goes with every other.
"""

from tokenizers import pre_tokenizers

CUT = pre_tokenizers.UnicodeScripts()


def together(a, b):
    return len(CUT.pre_tokenize_str(a + b)) == 1


def main():
    characters = [chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
    # Runs of neighbours, by what goes with everything: it is cut from neither neighbour.
    neutral = {c for c in characters if together("a", c) and together(c, "中") and c != "a"}
    scripts = []  # A character of each script.
    ranges = []
    known = {}
    previous = None
    for c in characters:
        if c in neutral:
            number = 0
        elif previous is not None and previous not in neutral and together(previous, c):
            number = known[previous]
        else:
            number = next((i + 1 for i, s in enumerate(scripts) if together(s, c)), None)
            if number is None:
                scripts.append(c)
                number = len(scripts)
        known[c] = number
        previous = c
        if number == 0:
            continue
        if ranges and ranges[-1][1] == ord(c) - 1 and ranges[-1][2] == number:
            ranges[-1][1] = ord(c)
        else:
            ranges.append([ord(c), ord(c), number])
    print("// First and last character and number of each script; made by make_script_tables.py.")
    line = ""
    for row in ranges:
        entry = "{0x%X,0x%X,%d}," % tuple(row)
        if len(line) + len(entry) > 98:
            print(line)
            line = ""
        line += entry
    print(line)


main()
