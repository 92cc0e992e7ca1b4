"""Golden blocks of Q8_0, Q4_0 and Q4_1: raw bytes and their values, by the gguf package."""

import numpy
import safetensors.numpy
from gguf import GGMLQuantizationType as Kind
from gguf import dequantize, quantize

NUM_RANDOM = 320
BLOCK_VALUES = 32
# Scales as float16 bits: zeros of both signs, denormals, the smallest normal, the largest finite.
EDGE_SCALES = (0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x83FF, 0x0400, 0x8400, 0x3C00, 0xBC00,
               0x7BFF, 0xFBFF)


def random_blocks(random, header_halves, payload_bytes):
    """Blocks of random quants with normal scales, and blocks for each pair of edge scales."""
    payload = random.integers(0, 256, (NUM_RANDOM, payload_bytes), dtype=numpy.uint8)
    scales = random.normal(0, 0.1, (NUM_RANDOM, header_halves)).astype(numpy.float16)
    edges = numpy.array(numpy.meshgrid(*[EDGE_SCALES] * header_halves), dtype=numpy.uint16)
    edges = edges.reshape(header_halves, -1).T
    edge_payload = random.integers(0, 256, (len(edges), payload_bytes), dtype=numpy.uint8)
    edge_payload[:, 0], edge_payload[:, 1] = 0x80, 0x7F  # The extreme quants of Q8_0.
    headers = numpy.concatenate([scales.view(numpy.uint16), edges]).astype("<u2").view(numpy.uint8)
    return numpy.concatenate([headers, numpy.concatenate([payload, edge_payload])], axis=1)


def write(path):
    random = numpy.random.default_rng(20)
    tensors = {}
    for kind, header_halves, payload_bytes in ((Kind.Q8_0, 1, 32), (Kind.Q4_0, 1, 16),
                                               (Kind.Q4_1, 2, 16)):
        blocks = random_blocks(random, header_halves, payload_bytes)
        name = kind.name.lower()
        tensors[f"{name}.blocks"] = blocks
        tensors[f"{name}.values"] = dequantize(blocks, kind).astype(numpy.float32)
        # The other direction: what the package makes of normal values (rounding, ties, zeros).
        rows = random.normal(0, 1, (64, BLOCK_VALUES)).astype(numpy.float32)
        rows[0], rows[1, 1:], rows[2] = 0, 0, numpy.arange(BLOCK_VALUES) - 16
        tensors[f"{name}.rows"] = rows
        tensors[f"{name}.encoded"] = quantize(rows, kind)
    safetensors.numpy.save_file(tensors, path)
    print("blocks", {name: tensor.shape for name, tensor in tensors.items()})
