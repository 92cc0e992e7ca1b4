"""Makes the golden quantised checkpoints: tiny models in Hugging Face's quantised formats.

Run it in an environment that has the packages of README.md:  python make_quantized.py [case ...]
Everything is seeded: the same versions write the same bytes. README.md says what each file holds.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import logging
import pathlib
import shutil
import sys
import sysconfig
import tempfile

import numpy
import safetensors.torch
import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT.parent / "models"))
import make_models as models  # noqa: E402

PROMPTS = (1, 7, 20)
E4M3_MAX = 448.0


def library_file(path):
    """One file of an installed package, without the imports of the package around it."""
    full = pathlib.Path(sysconfig.get_path("purelib")) / path
    if not full.exists():
        full = pathlib.Path(sysconfig.get_path("platlib")) / path
    spec = importlib.util.spec_from_file_location(path.replace("/", "_")[:-3], full)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- Integers in words ---------------------------------------------------------------------------


def pack_down(values, bits):
    """[n, m] unsigned -> [n * bits / 32, m] int32: each column is a stream of bits."""
    n, m = values.shape
    num_words = -(-n * bits // 32)
    words = numpy.zeros((num_words + 1, m), dtype=numpy.uint64)
    for i in range(n):
        word, shift = divmod(i * bits, 32)
        value = values[i].astype(numpy.uint64) << numpy.uint64(shift)
        words[word] |= value & numpy.uint64(0xFFFFFFFF)
        words[word + 1] |= value >> numpy.uint64(32)
    return torch.from_numpy(words[:num_words].astype(numpy.uint32).view(numpy.int32).copy())


def integers(weight, bits, group_size, symmetric, g_idx, scale_dtype):
    """q [out, in], zeros and scales [out, groups] of rounding to the nearest."""
    num_groups = int(g_idx.max()) + 1
    top = 2**bits - 1
    q = torch.zeros(weight.shape, dtype=torch.int64)
    zeros = torch.zeros((weight.shape[0], num_groups), dtype=torch.int64)
    scales = torch.zeros((weight.shape[0], num_groups), dtype=scale_dtype)
    for group in range(num_groups):
        part = weight[:, g_idx == group].double()
        low, high = part.amin(1).clamp(max=0), part.amax(1).clamp(min=0)
        if symmetric:
            scale = 2 * part.abs().amax(1) / top
            zero = torch.full_like(scale, 2 ** (bits - 1))
        else:
            scale = (high - low) / top
            zero = (-low / scale).round()
        scales[:, group] = scale.to(scale_dtype)
        zeros[:, group] = zero.long()
        rounded = (part / scales[:, group].double()[:, None]).round() + zero[:, None]
        q[:, g_idx == group] = rounded.clamp(0, top).long()
    return q, zeros, scales


def column_groups(num_cols, group_size, shuffled, generator):
    size = num_cols if group_size == -1 else group_size
    groups = torch.arange(num_cols) // size
    if shuffled:
        groups = groups[torch.randperm(num_cols, generator=generator)]
    return groups


# ---- Schemes: from a float matrix to its stored tensors and the values that they stand for -------


def gptq(weight, generator, bits=4, group_size=64, symmetric=True, shuffled=False, v2=False):
    g_idx = column_groups(weight.shape[1], group_size, shuffled, generator)
    q, zeros, scales = integers(weight, bits, group_size, symmetric, g_idx, torch.float16)
    less_one = (zeros.T.numpy() - 1) % 2**bits
    stored = {
        "qweight": pack_down(q.T.numpy(), bits),
        "qzeros": pack_down(less_one.T, bits).T.contiguous(),
        "scales": scales.T.contiguous(),
        "g_idx": g_idx.int(),
    }
    # AutoGPTQ's own layer, of which an identity matrix reads the weights. It knows v1 only.
    layers = library_file("auto_gptq/nn_modules/qlinear/"
                          f"qlinear_cuda{'' if shuffled else '_old'}.py")
    layer = layers.QuantLinear(bits, group_size, weight.shape[1], weight.shape[0], False)
    layer.qweight, layer.qzeros = stored["qweight"], stored["qzeros"]
    layer.scales, layer.g_idx = stored["scales"].float(), stored["g_idx"]
    values = layer(torch.eye(weight.shape[1])).T
    if v2:
        stored["qzeros"] = pack_down(zeros.numpy(), bits).T.contiguous()
    return stored, values


def awq(weight, generator, group_size=32):
    g_idx = column_groups(weight.shape[1], group_size, False, generator)
    q, zeros, scales = integers(weight, 4, group_size, False, g_idx, torch.float16)
    order = [0, 2, 4, 6, 1, 3, 5, 7]

    def pack(values):  # [n, out]
        eights = values.numpy().reshape(values.shape[0], -1, 8)[:, :, order]
        return pack_down(eights.reshape(values.shape[0], -1).T, 4).T.contiguous()

    stored = {"qweight": pack(q.T), "qzeros": pack(zeros.T), "scales": scales.T.contiguous()}
    utilities = library_file("awq/utils/packing_utils.py")
    values = utilities.dequantize_gemm(stored["qweight"], stored["qzeros"],
                                       stored["scales"].float(), 4, group_size)
    return stored, values.T


def compressed_integers(weight, generator, bits=4, group_size=64, symmetric=True, shuffled=False,
                        packed=True):
    from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32
    from compressed_tensors.quantization import QuantizationArgs
    from compressed_tensors.quantization.lifecycle.forward import dequantize

    g_idx = column_groups(weight.shape[1], group_size, shuffled, generator)
    q, zeros, scales = integers(weight, bits, group_size, symmetric, g_idx, torch.bfloat16)
    q, zeros = (q - 2 ** (bits - 1)).to(torch.int8), (zeros - 2 ** (bits - 1)).to(torch.int8)
    if packed:
        stored = {"weight_packed": pack_to_int32(q, bits), "weight_scale": scales,
                  "weight_shape": torch.tensor(weight.shape)}
        if not symmetric:
            stored["weight_zero_point"] = pack_to_int32(zeros, bits, packed_dim=0).contiguous()
        if shuffled:
            stored["weight_g_idx"] = g_idx.int()
    else:
        stored = {"weight": q, "weight_scale": scales}
    strategy = dict(strategy="channel") if group_size == -1 else dict(
        strategy="group", group_size=group_size)
    arguments = QuantizationArgs(num_bits=bits, symmetric=symmetric, **strategy)
    # In float, because the library computes in the type of the scales. Groups in order.
    order = torch.argsort(g_idx, stable=True)
    in_order = dequantize(q[:, order], scales.float(), None if symmetric else zeros, arguments)
    values = torch.empty_like(in_order)
    values[:, order] = in_order
    return stored, values


def fp8(weight, generator, block=None, rows=False, scale_name="weight_scale",
        scale_dtype=torch.float32, static=False):
    del generator
    from transformers.integrations.finegrained_fp8 import _dequantize_fp8_weight

    out, cols = weight.shape
    shape = block or ((1, cols) if rows else (out, cols))
    grid = (-(-out // shape[0]), -(-cols // shape[1]))
    scales = torch.zeros(grid, dtype=torch.float32)
    for i in range(grid[0]):
        for j in range(grid[1]):
            part = weight[i * shape[0]:(i + 1) * shape[0], j * shape[1]:(j + 1) * shape[1]]
            scales[i, j] = part.abs().max() / E4M3_MAX
    if scale_dtype == torch.float8_e8m0fnu:
        scales = torch.exp2(torch.log2(scales).ceil())
    scales = scales.to(scale_dtype)
    spread = scales.float().repeat_interleave(shape[0], 0)[:out]
    spread = spread.repeat_interleave(shape[1], 1)[:, :cols]
    codes = (weight / spread).clamp(-E4M3_MAX, E4M3_MAX).to(torch.float8_e4m3fn)
    values = _dequantize_fp8_weight(codes, scales.float(), list(shape), torch.float32)
    stored = {"weight": codes, scale_name: scales if block or rows else scales.reshape(())}
    if static:
        stored["input_scale"] = torch.tensor(0.01)
    return stored, values


# ---- Cases ---------------------------------------------------------------------------------------


def llama(**fields):
    return models.llama(**dict(dict(hidden_size=128, intermediate_size=192, head_dim=16,
                                    num_hidden_layers=1, tie_word_embeddings=True), **fields))


def gptq_config(**fields):
    return dict(dict(quant_method="gptq", bits=4, group_size=64, desc_act=False, sym=True,
                     damp_percent=0.01, true_sequential=True), **fields)


def awq_config(**fields):
    return dict(dict(quant_method="awq", bits=4, group_size=32, version="gemm", zero_point=True,
                     modules_to_not_convert=None), **fields)


def compressed_config(form, groups, **fields):
    return dict(dict(quant_method="compressed-tensors", format=form,
                     quantization_status="compressed", global_compression_ratio=None,
                     ignore=["lm_head"], kv_cache_scheme=None,
                     config_groups={f"group_{i}": group for i, group in enumerate(groups)}),
                **fields)


def group(targets=("Linear",), activations=None, form=None, **weights):
    weights = dict(dict(num_bits=4, type="int", symmetric=True, strategy="group", group_size=64,
                        actorder=None, block_structure=None, dynamic=False, observer="minmax",
                        observer_kwargs={}), **weights)
    result = dict(targets=list(targets), weights=weights, input_activations=activations,
                  output_activations=None)
    return dict(result, format=form) if form else result


DYNAMIC_8 = dict(num_bits=8, type="int", symmetric=True, strategy="token", dynamic=True)
DYNAMIC_FP8 = dict(num_bits=8, type="float", symmetric=True, strategy="token", dynamic=True)


def every_linear(make, **options):
    return lambda module, weight, generator: make(weight, generator, **options)


def attention_and_rest(attention, rest):
    return lambda module, weight, generator: (
        attention if "self_attn" in module else rest)(module, weight, generator)


# What the row of the support table is called, config.json's part, and how a matrix is stored.
CASES = {
    "gptq": dict(scheme="GPTQ, 4 bits, groups of 64, symmetric", quantization=gptq_config(),
                 make=every_linear(gptq)),
    "gptq-actorder": dict(
        scheme="GPTQ, 4 bits, groups of 32, asymmetric, desc_act",
        quantization=gptq_config(group_size=32, sym=False, desc_act=True),
        make=every_linear(gptq, group_size=32, symmetric=False, shuffled=True)),
    "gptq-v2": dict(
        scheme="GPTQ v2, 8 bits, whole rows, asymmetric, lm_head too",
        quantization=gptq_config(bits=8, group_size=-1, sym=False, lm_head=True,
                                 checkpoint_format="gptq_v2"),
        with_output=True, config=llama(tie_word_embeddings=False, intermediate_size=128),
        make=every_linear(gptq, bits=8, group_size=-1, symmetric=False, v2=True)),
    # Settings in a file of their own, as before transformers kept them in config.json.
    "gptq-3bit": dict(
        scheme="GPTQ, 3 bits, groups of 32, quantize_config.json",
        quantization=dict(bits=3, group_size=32, desc_act=False, sym=False,
                          damp_percent=0.01), file="quantize_config.json",
        make=every_linear(gptq, bits=3, group_size=32, symmetric=False)),
    "gptq-dynamic": dict(
        scheme="GPTQ, dynamic: 2 bits, attention 8 bits, down_proj not at all",
        quantization=gptq_config(bits=2, group_size=32, dynamic={
            "+:.*self_attn.*": dict(bits=8, group_size=64), "-:.*down_proj": {}}),
        skip=("down_proj",),
        make=attention_and_rest(every_linear(gptq, bits=8, group_size=64),
                                every_linear(gptq, bits=2, group_size=32))),
    "awq": dict(scheme="AWQ, 4 bits, groups of 32", quantization=awq_config(),
                make=every_linear(awq)),
    "awq-moe": dict(
        scheme="AWQ, 4 bits, groups of 32, experts", quantization=awq_config(
            modules_to_not_convert=["gate"]), skip=("mlp.gate",), seed=10,
        config=models.qwen3_moe(hidden_size=64, num_hidden_layers=1, norm_topk_prob=True,
                                decoder_sparse_step=1, mlp_only_layers=[],
                                num_attention_heads=2, num_key_value_heads=1,
                                tie_word_embeddings=True)
        | dict(moe_intermediate_size=32, head_dim=32),
        make=every_linear(awq)),
    "ct-int4": dict(
        scheme="compressed-tensors, pack-quantized, 4 bits, groups of 64",
        quantization=compressed_config("pack-quantized", [group()]),
        make=every_linear(compressed_integers)),
    "ct-int4-actorder": dict(
        scheme="compressed-tensors, pack-quantized, 4 bits, asymmetric, actorder",
        quantization=compressed_config("pack-quantized", [
            group(symmetric=False, group_size=32, actorder="group")]),
        make=every_linear(compressed_integers, group_size=32, symmetric=False, shuffled=True)),
    "ct-int8-packed": dict(
        scheme="compressed-tensors, pack-quantized, 8 bits, channels, asymmetric",
        quantization=compressed_config("pack-quantized", [
            group(num_bits=8, strategy="channel", group_size=None, symmetric=False)]),
        make=every_linear(compressed_integers, bits=8, group_size=-1, symmetric=False)),
    "ct-w8a8": dict(
        scheme="compressed-tensors, int-quantized, 8 bits, channels",
        quantization=compressed_config("int-quantized", [
            group(num_bits=8, strategy="channel", group_size=None, activations=DYNAMIC_8)]),
        make=every_linear(compressed_integers, bits=8, group_size=-1, packed=False)),
    "ct-fp8": dict(
        scheme="compressed-tensors, float-quantized, FP8 E4M3, channels",
        quantization=compressed_config("float-quantized", [
            group(num_bits=8, type="float", strategy="channel", group_size=None,
                  activations=DYNAMIC_FP8)], ignore=["lm_head", "re:.*k_proj"]),
        skip=("k_proj",),
        make=every_linear(fp8, rows=True, scale_dtype=torch.bfloat16)),
    "ct-mixed": dict(
        scheme="compressed-tensors, two groups: 4-bit attention, FP8 blocks elsewhere",
        quantization=compressed_config("mixed-precision", [
            group(targets=["re:.*self_attn.*"], form="pack-quantized", group_size=32),
            group(targets=["re:.*mlp.*"], form="float-quantized", num_bits=8, type="float",
                  strategy="block", group_size=None, block_structure=[128, 128],
                  activations=DYNAMIC_FP8)]),
        make=attention_and_rest(every_linear(compressed_integers, group_size=32),
                                every_linear(fp8, block=(128, 128)))),
    "fp8-block": dict(
        scheme="FP8 E4M3, blocks of 128 x 128",
        quantization=dict(quant_method="fp8", fmt="e4m3", activation_scheme="dynamic",
                          weight_block_size=[128, 128]),
        make=every_linear(fp8, block=(128, 128), scale_name="weight_scale_inv")),
    "fp8-ue8m0": dict(
        scheme="FP8 E4M3, blocks of 128 x 128, scales E8M0",
        quantization=dict(quant_method="fp8", fmt="e4m3", activation_scheme="dynamic",
                          scale_fmt="ue8m0", weight_block_size=[128, 128]),
        make=every_linear(fp8, block=(128, 128), scale_name="weight_scale_inv",
                          scale_dtype=torch.float8_e8m0fnu)),
    "fp8-static": dict(
        scheme="FP8 E4M3, one scale, static activations",
        quantization=dict(quant_method="fp8", activation_scheme="static",
                          ignored_layers=["lm_head"]),
        make=every_linear(fp8, static=True)),
    "fbgemm": dict(
        scheme="FBGEMM FP8 E4M3, rows",
        quantization=dict(quant_method="fbgemm_fp8", activation_scale_ub=1200.0,
                          modules_to_not_convert=["lm_head"]),
        make=every_linear(fp8, rows=True)),
}


# ---- Files ---------------------------------------------------------------------------------------


def fnv1a(values):
    """The 64-bit hash of the values' float bytes: equal only when every bit is."""
    result = 0xCBF29CE484222325
    for byte in values.float().contiguous().numpy().tobytes():
        result = (result ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{result:016x}"


def is_quantised(case, name, shape):
    if not name.endswith(".weight") or len(shape) != 2 or "embed_tokens" in name:
        return False
    if name.startswith("lm_head"):
        return case.get("with_output", False)
    return not any(part in name for part in case.get("skip", ()))


def make_case(name):
    case = CASES[name]
    folder = ROOT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    config = {**case.get("config", llama()), "torch_dtype": "float16"}
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        models.write_json(scratch / "config.json", config)
        seed = case.get("seed", 1)
        weights = models.random_weights(models.published_shapes(scratch), torch.float16, seed)
        generator = torch.Generator().manual_seed(seed)
        stored, matrices = {}, {}
        for key, weight in sorted(weights.items()):
            if not is_quantised(case, key, weight.shape):
                stored[key] = weight
                continue
            module = key.removesuffix(".weight")
            parts, values = case["make"](module, weight.float(), generator)
            stored |= {f"{module}.{part}": value for part, value in parts.items()}
            error = (values - weight.float()).norm() / weight.float().norm()
            limit = 0.5 if "dynamic" in name else 0.25
            assert error < limit, f"{name}: {module} is off by {error}"
            weights[key] = values.contiguous()
            matrices[module] = {"shape": list(values.shape), "fnv1a": fnv1a(values)}
        models.write_weights(scratch, {k: v.float() for k, v in weights.items()}, 1)
        random = numpy.random.default_rng(seed)
        prompts = [random.integers(3, models.VOCABULARY, n).tolist() for n in PROMPTS]
        model = models.load_double(scratch)
        results = models.run(model, prompts)
        margin = models.router_margin(model, prompts)
        assert margin is None or margin > models.ROUTER_MARGIN_MIN, f"{name}: margin {margin}"
        single = models.run(models.load(scratch, torch.float32), prompts)
    models.write_logits(folder / "logits.safetensors", results)
    models.write_weights(folder, stored, 1)
    if "file" in case:
        models.write_json(folder / case["file"], case["quantization"])
    else:
        config["quantization_config"] = case["quantization"]
    models.write_json(folder / "config.json", config)
    error = models.largest_difference(single, results)
    models.write_prompts(folder / "expected.json", {
        "scheme": case["scheme"], "prompts": prompts, "float32_error": error,
        "matrices": matrices, "made_with": versions()})
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{name:18} {len(matrices):3} matrices  float32 error {error:.1e}  {size} bytes  "
          f"router margin {margin}", flush=True)


def versions():
    names = ("torch", "transformers", "safetensors", "numpy", "compressed-tensors", "auto-gptq",
             "autoawq")
    return {name: importlib.metadata.version(name) for name in names}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", help="rows of CASES; default: all")
    chosen = parser.parse_args().cases or CASES
    torch.set_num_threads(1)  # Sums in one order, whatever the machine.
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.disable(logging.WARNING)
    for name in chosen:
        make_case(name)


if __name__ == "__main__":
    main()
