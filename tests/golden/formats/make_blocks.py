"""Golden blocks of every GGUF block type: raw bytes, and their values by the gguf package.

    python make_blocks.py          # gguf 0.19.0, numpy 2.4.6, safetensors 0.8.0

Writes blocks.safetensors: `<type>.blocks` u8 [blocks, bytes]; `<type>.values` f32, of the first
block; `<type>.hashes` i64 [blocks], FNV-1a of each block's values as they lie in memory, NaN being
0x7FC00000. (Values themselves would be ten times the blocks.)
"""

import pathlib

import numpy
import safetensors.numpy
from gguf import GGML_QUANT_SIZES, dequantize, quantize
from gguf import GGMLQuantizationType as Kind

# Where a block holds f16 scales and minima, in bytes; IQ1_M spreads its scale over four words.
HALVES = {Kind.Q4_0: [0], Kind.Q4_1: [0, 2], Kind.Q5_0: [0], Kind.Q5_1: [0, 2], Kind.Q8_0: [0],
          Kind.Q2_K: [80, 82], Kind.Q3_K: [108], Kind.Q4_K: [0, 2], Kind.Q5_K: [0, 2],
          Kind.Q6_K: [208], Kind.IQ2_XXS: [0], Kind.IQ2_XS: [0], Kind.IQ2_S: [0], Kind.IQ3_XXS: [0],
          Kind.IQ3_S: [0], Kind.IQ1_S: [0], Kind.IQ1_M: [], Kind.IQ4_NL: [0], Kind.IQ4_XS: [0],
          Kind.TQ1_0: [52], Kind.TQ2_0: [64], Kind.MXFP4: []}
# Zeros of both signs, denormals, the smallest normal, one, the largest, infinities, NaNs.
EDGES = (0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x83FF, 0x0400, 0x8400, 0x3C00, 0xBC00, 0x7BFF,
         0xFBFF, 0x7C00, 0xFC00, 0x7E00, 0xFD55)
QUANTIZED = (Kind.Q4_0, Kind.Q4_1, Kind.Q5_0, Kind.Q5_1, Kind.Q8_0, Kind.TQ1_0, Kind.TQ2_0,
             Kind.MXFP4)
NUM_SANE = {32: 64, 256: 16}
NUM_WEIGHTS = {32: 16, 256: 4}
GRID_BLOCKS = 64  # 32 rows of 8 each: the 2,048 rows of IQ1's grid.


def set_half(blocks, kind, which, bits):
    """Writes f16 bits (one for each block) as scale or minimum number `which`."""
    bits = numpy.asarray(bits, dtype="<u2")
    if kind == Kind.IQ1_M:
        words = blocks[:, 48:56].copy().view("<u2")
        for i in range(4):
            words[:, i] = (words[:, i] & 0x0FFF) | ((bits >> (4 * i)) & 15) << 12
        blocks[:, 48:56] = words.view(numpy.uint8)
    elif HALVES[kind]:
        at = HALVES[kind][which]
        blocks[:, at:at + 2] = bits.reshape(-1, 1).view(numpy.uint8)


def random_bytes(random, count, kind):
    return random.integers(0, 256, (count, GGML_QUANT_SIZES[kind][1]), dtype=numpy.uint8)


def sane_blocks(random, count, kind):
    blocks = random_bytes(random, count, kind)
    for which in range(max(1, len(HALVES[kind]))):
        set_half(blocks, kind, which,
                 random.normal(0, 0.1, count).astype(numpy.float16).view(numpy.uint16))
    if kind == Kind.MXFP4:
        blocks[:, 0] = random.integers(118, 128, count)
    return blocks


def edge_blocks(random, kind):
    if kind == Kind.MXFP4:
        blocks = random_bytes(random, 12, kind)
        blocks[:, 0] = (0, 1, 2, 3, 126, 127, 128, 129, 252, 253, 254, 255)
        return blocks
    blocks = random_bytes(random, len(EDGES), kind)
    set_half(blocks, kind, 0, EDGES)
    if len(HALVES[kind]) == 2:
        set_half(blocks, kind, 1, random.permutation(EDGES))
    return blocks


def every_grid_row(random, kind):
    """Blocks that between them name every row of the grid of `kind` (IQ1_M has that of IQ1_S)."""
    blocks = sane_blocks(random, GRID_BLOCKS, kind)
    if kind == Kind.IQ1_S:
        low, high, words = slice(2, 34), slice(34, 50), numpy.arange(GRID_BLOCKS * 32) % 2048
        blocks[:, low] = (words & 255).reshape(GRID_BLOCKS, 32)
        three = (words >> 8).reshape(GRID_BLOCKS, 8, 4) << numpy.array([0, 3, 6, 9])
        old = blocks[:, high].copy().view("<u2") & 0xF000
        blocks[:, high] = (old | three.sum(axis=2)).astype("<u2").view(numpy.uint8)
        return blocks[:64]
    if kind == Kind.IQ2_S:
        words = numpy.arange(GRID_BLOCKS * 32) % 1024
        blocks[:, 2:34] = (words & 255).reshape(GRID_BLOCKS, 32)
        two = (words >> 8).reshape(GRID_BLOCKS, 8, 4) << numpy.array([0, 2, 4, 6])
        blocks[:, 66:74] = two.sum(axis=2)
        return blocks[:32]
    if kind == Kind.IQ2_XS:
        words = numpy.arange(GRID_BLOCKS * 32) % 512
        signs = random.integers(0, 128, words.shape) << 9
        blocks[:, 2:66] = (words | signs).astype("<u2").reshape(GRID_BLOCKS, 32).view(numpy.uint8)
        return blocks[:16]
    if kind == Kind.IQ3_S:
        words = numpy.arange(GRID_BLOCKS * 64) % 512
        blocks[:, 2:66] = (words & 255).reshape(GRID_BLOCKS, 64)
        blocks[:, 66:74] = numpy.packbits((words >> 8).astype(bool).reshape(GRID_BLOCKS, 64),
                                          axis=1, bitorder="little")
        return blocks[:8]
    if kind == Kind.IQ2_XXS:
        words = numpy.arange(GRID_BLOCKS * 32).reshape(GRID_BLOCKS, 8, 4) % 256
        for i in range(4):
            blocks[:, 2 + i:66:8] = words[:, :, i]
        return blocks[:8]
    if kind == Kind.IQ3_XXS:
        blocks[:, 2:66] = numpy.arange(GRID_BLOCKS * 64).reshape(GRID_BLOCKS, 64) % 256
        return blocks[:4]
    return blocks[:0]


def blocks_of(random, kind):
    num_weights = GGML_QUANT_SIZES[kind][0]
    parts = [sane_blocks(random, NUM_SANE[num_weights], kind), edge_blocks(random, kind),
             every_grid_row(random, kind)]
    if kind in QUANTIZED:
        weights = random.normal(0, 0.02, (NUM_WEIGHTS[num_weights], num_weights))
        parts.append(quantize(weights.astype(numpy.float32), kind))
    return numpy.concatenate(parts)


def hashes(values):
    """FNV-1a, 64 bits, of each row."""
    bits = numpy.where(numpy.isnan(values), numpy.uint32(0x7FC00000), values.view(numpy.uint32))
    found = numpy.full(len(values), 0xCBF29CE484222325, dtype=numpy.uint64)
    for column in numpy.ascontiguousarray(bits.astype("<u4")).view(numpy.uint8).T:
        found = (found ^ column) * numpy.uint64(0x100000001B3)
    return found.view(numpy.int64)


def main():
    random = numpy.random.default_rng(31)
    tensors = {}
    with numpy.errstate(all="ignore"):
        for kind in HALVES:
            blocks = blocks_of(random, kind)
            values = dequantize(blocks, kind).astype(numpy.float32)
            tensors[f"{kind.name.lower()}.blocks"] = blocks
            tensors[f"{kind.name.lower()}.values"] = values[:1].copy()
            tensors[f"{kind.name.lower()}.hashes"] = hashes(values)
            print(kind.name, blocks.shape, values.shape)
    path = pathlib.Path(__file__).resolve().parent / "blocks.safetensors"
    safetensors.numpy.save_file(tensors, path)
    print(path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
