"""Writes unicode_tables.inc: what Python's str knows of letters beyond utf8proc's simple mappings.

    python3 make_unicode_tables.py > unicode_tables.inc
"""

import unicodedata

CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def print_expansions(name, change):
    print(f"constexpr CaseExpansion {name}[] = {{")
    for c in CODE_POINTS:
        to = change(chr(c))
        if len(to) > 1:
            points = [f"0x{ord(x):04X}" for x in to] + ["0"] * (3 - len(to))
            print(f"    {{0x{c:04X}, {{{', '.join(points)}}}}},")
    print("};\n")


def print_ranges(name, belongs):
    print(f"constexpr CodePointRange {name}[] = {{")
    start = None
    for c in range(0x110001):
        inside = c < 0x110000 and not 0xD800 <= c < 0xE000 and belongs(chr(c))
        if inside and start is None:
            start = c
        if not inside and start is not None:
            print(f"    {{0x{start:04X}, 0x{c - 1:04X}}},")
            start = None
    print("};\n")


def category(c):
    return unicodedata.category(c)


print(f"// Made by make_unicode_tables.py from Python's Unicode {unicodedata.unidata_version}.")
print_expansions("kUpperExpansions", str.upper)
print_expansions("kTitleExpansions", str.title)
print("// Lower case letters whose category is not Ll, upper case ones whose is not Lu.")
print_ranges("kOtherLower", lambda c: c.islower() and category(c) != "Ll")
print_ranges("kOtherUpper", lambda c: c.isupper() and category(c) != "Lu")
print("// Digits that are not decimal, and numbers whose category is not Nd, Nl or No.")
print_ranges("kOtherDigits", lambda c: c.isdigit() and category(c) != "Nd")
print_ranges("kOtherNumbers", lambda c: c.isnumeric() and category(c)[0] != "N")
