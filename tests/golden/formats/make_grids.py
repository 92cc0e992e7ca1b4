"""Writes src/formats/iq_grids.inc: the grids of GGUF's IQ types, from the gguf package's numbers."""

import pathlib

import numpy
from gguf import quants

NAMES = {"kIq2XxsGrid": quants.IQ2_XXS, "kIq2XsGrid": quants.IQ2_XS, "kIq2SGrid": quants.IQ2_S,
         "kIq3XxsGrid": quants.IQ3_XXS, "kIq3SGrid": quants.IQ3_S, "kIq1Grid": quants.IQ1_S}
PER_LINE = 12
HEAD = """\
// The grids of GGUF's IQ types, by tests/golden/formats/make_grids.py from the numbers of the gguf
// package 0.19.0 (quants.py; they are those of ggml-common.h). A row is one number: digit i of an
// eight in bits 2i and 2i + 1 (IQ1, IQ2), of a four in bits 4i to 4i + 3 (IQ3).
"""


def rows(kind):
    kind.init_grid()
    num_digits = kind.grid_shape[1]
    bits = 16 // num_digits
    digits = numpy.searchsorted(kind.grid_map, kind.grid.reshape(kind.grid_shape))
    return (digits << (bits * numpy.arange(num_digits))).sum(axis=1)


def text():
    parts = [HEAD]
    for name, kind in NAMES.items():
        codes = [f"0x{code:04X}," for code in rows(kind)]
        lines = [" ".join(codes[i:i + PER_LINE]) for i in range(0, len(codes), PER_LINE)]
        parts.append(f"constexpr std::array<std::uint16_t, {len(codes)}> {name} = {{\n    "
                     + "\n    ".join(lines) + "\n};\n")
    return "".join(parts)


if __name__ == "__main__":
    root = pathlib.Path(__file__).resolve().parents[3]
    (root / "src/formats/iq_grids.inc").write_text(text())
