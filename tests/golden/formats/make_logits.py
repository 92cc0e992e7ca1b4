"""Tiny llama checkpoints in each GGUF block type, and their logits in double by transformers.

    python make_logits.py          # the packages of ../models/README.md

Writes <type>.gguf, logits.safetensors (`<type>.<i>` float [T, V]) and prompts.json. The types that
the gguf package can quantise hold quantised normals; the others hold random blocks whose scales
give their weights the same spread. transformers is given the package's dequantised values.
"""

import json
import pathlib
import sys
import tempfile

import gguf
import numpy
import safetensors.torch
import torch
import transformers
from gguf import GGML_QUANT_SIZES
from gguf import GGMLQuantizationType as Kind

import make_blocks

ROOT = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT.parent / "models"))
import gguf_files  # noqa: E402
import make_models  # noqa: E402

# q8_0, q4_0 and q4_1 have theirs in ../models/llama3.
KINDS = [kind for kind in make_blocks.HALVES if kind not in (Kind.Q8_0, Kind.Q4_0, Kind.Q4_1)]
SPREAD = 1.3 / 16  # Of weights whose depth is 256.
VOCABULARY = 32
PROMPTS = (1, 5, 24)
# The depths of these are 16 and 32: no row of 256. A depth of 16 has no group of 32 either.
OTHER_KINDS = {"attn_output": Kind.F16, "ffn_down": Kind.Q4_0}


def settings():
    return make_models.llama(hidden_size=256, intermediate_size=32, num_hidden_layers=1,
                             num_attention_heads=1, num_key_value_heads=1, head_dim=16,
                             tie_word_embeddings=True, vocab_size=VOCABULARY)


def kind_of(gguf_name, tensor, kind):
    if tensor.ndim == 1:
        return Kind.F32
    return next((other for part, other in OTHER_KINDS.items() if part in gguf_name), Kind[kind])


def random_rows(random, shape, kind):
    """Rows of random blocks with scales and minima that give values of mean 0 and of SPREAD."""
    num_weights, num_bytes = GGML_QUANT_SIZES[kind]
    count = shape[0] * shape[1] // num_weights
    blocks = make_blocks.random_bytes(random, count, kind)
    has_minimum = len(make_blocks.HALVES[kind]) == 2

    def set_scales(scale, minimum):
        noise = 1 + 0.2 * random.normal(0, 1, count)
        for which, size in enumerate((scale, minimum)[:1 + has_minimum]):
            halves = (size * noise).astype(numpy.float16).view(numpy.uint16)
            make_blocks.set_half(blocks, kind, which, halves)
        return gguf.dequantize(blocks, kind)

    ratio = 1.0
    if has_minimum:  # d * s * q - dmin * m: both parts have the same mean.
        scaled = set_scales(1.0, 0.0).mean()
        ratio = scaled / -(set_scales(0.0, 1.0).mean())
    spread = set_scales(1.0, ratio).std()
    set_scales(SPREAD / spread, ratio * SPREAD / spread)
    return blocks.reshape(shape[0], shape[1] // num_weights * num_bytes)


class Encoder:
    """Stands in for gguf_files.encode."""

    def __init__(self, seed):
        self._random = numpy.random.default_rng(seed)

    def __call__(self, tensor, kind):
        if kind in (Kind.F32, Kind.F16) or kind in make_blocks.QUANTIZED:
            return gguf_files_encode(tensor, kind)
        data = random_rows(self._random, tensor.shape, kind)
        values = gguf.dequantize(data, kind).astype(numpy.float32)
        return data, torch.from_numpy(values).reshape(tensor.shape)


gguf_files_encode = gguf_files.encode


def make(kind, prompts):
    name = kind.name.lower()
    config = settings()
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        make_models.write_json(scratch / "config.json", {**config, "torch_dtype": "float32"})
        weights = make_models.random_weights(make_models.published_shapes(scratch), torch.float32,
                                             int(kind))
        weights["model.embed_tokens.weight"] *= SPREAD / 0.7 * 4
        gguf_files.encode = Encoder(int(kind))
        gguf_files.kind_of = kind_of
        gguf_files.FILE_TYPES[kind.name] = gguf.LlamaFileType.GUESSED
        stored = gguf_files.write(ROOT / f"{name}.gguf", f"golden {name}",
                                  transformers.AutoConfig.from_pretrained(scratch), weights,
                                  kind.name)
        make_models.write_weights(scratch, stored, 1)
        results = make_models.run(make_models.load_double(scratch), prompts)
        floats = make_models.run(make_models.load(scratch, torch.float32), prompts)
    error = make_models.largest_difference(floats, results)
    largest = max(logits.abs().max().item() for logits, _ in results)
    size = (ROOT / f"{name}.gguf").stat().st_size
    print(f"{name:8} {size:6} bytes  logits to {largest:6.2f}  float32 error {error:.1e}")
    return [logits.float().contiguous() for logits, _ in results], error


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    random = numpy.random.default_rng(5)
    prompts = [random.integers(3, VOCABULARY, length).tolist() for length in PROMPTS]
    logits, errors = {}, {}
    for kind in KINDS:
        rows, errors[kind.name.lower()] = make(kind, prompts)
        logits.update({f"{kind.name.lower()}.{i}": row for i, row in enumerate(rows)})
    safetensors.torch.save_file(logits, ROOT / "logits.safetensors")
    make_models.write_prompts(ROOT / "prompts.json", {
        "prompts": prompts, "float32_error": errors, "made_with": make_models.versions()})
    print(json.dumps(errors))


if __name__ == "__main__":
    main()
