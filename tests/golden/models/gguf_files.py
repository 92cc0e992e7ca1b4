"""Writes a tiny checkpoint as GGUF, with the gguf package and llama.cpp's layout of each family."""

import math

import gguf
import numpy
import torch
from gguf import GGMLQuantizationType as Kind

ARCHITECTURES = {"llama": "llama", "mistral": "llama", "mixtral": "llama", "qwen2": "qwen2",
                 "qwen3": "qwen3", "qwen3_moe": "qwen3moe"}
FILE_TYPES = {"F32": gguf.LlamaFileType.ALL_F32, "F16": gguf.LlamaFileType.MOSTLY_F16,
              "BF16": gguf.LlamaFileType.MOSTLY_BF16, "Q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
              "Q4_0": gguf.LlamaFileType.MOSTLY_Q4_0, "Q4_1": gguf.LlamaFileType.MOSTLY_Q4_1}
ROUTER = "ffn_gate_inp"  # Stays F32 in llama.cpp's files.
EXPERT_PARTS = {"w1": "gate", "w2": "down", "w3": "up",
                "gate_proj": "gate", "down_proj": "down", "up_proj": "up"}


# ---- Metadata ------------------------------------------------------------------------------------


def head_dim(config):
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def add_metadata(writer, title, config, kind):
    writer.add_type("model")
    writer.add_name(title)
    writer.add_file_type(FILE_TYPES[kind])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    if head_dim(config) * config.num_attention_heads != config.hidden_size:
        writer.add_key_length(head_dim(config))
        writer.add_value_length(head_dim(config))
    if writer.arch == "llama":
        writer.add_vocab_size(config.vocab_size)
        writer.add_rope_dimension_count(head_dim(config))
    num_experts = getattr(config, "num_local_experts", None) or getattr(config, "num_experts", None)
    if num_experts:
        writer.add_expert_count(num_experts)
        writer.add_expert_used_count(config.num_experts_per_tok)
    if hasattr(config, "moe_intermediate_size"):
        writer.add_expert_feed_forward_length(config.moe_intermediate_size)
    add_rope(writer, config.rope_parameters)


def add_rope(writer, rope):
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "yarn":
        # An explicit attention factor means something else in llama.cpp, so none is written.
        assert rope.get("attention_factor") is None
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])


def add_tokenizer(writer, config):
    """A vocabulary of the right size and kind; the models are never asked about text."""
    printable = [chr(code) for code in range(0x21, 0x7F)]
    if writer.arch == "llama":
        words = ["<unk>", "<s>", "</s>", "\u2581"] + printable
        kinds = [gguf.TokenType.UNKNOWN] + 2 * [gguf.TokenType.CONTROL]
        writer.add_tokenizer_model("llama")
        writer.add_token_scores([-float(i) for i in range(config.vocab_size)])
        writer.add_unk_token_id(0)
        writer.add_add_bos_token(True)
    else:
        words = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "\u0120", "he", "\u0120t",
                 "\u0120the"] + printable
        kinds = 3 * [gguf.TokenType.CONTROL]
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("qwen2")
        writer.add_token_merges(["h e", "\u0120 t", "\u0120t he"])
        writer.add_add_bos_token(False)
    words = words[:config.vocab_size]
    kinds += [gguf.TokenType.NORMAL] * (len(words) - len(kinds))
    writer.add_token_list(words)
    writer.add_token_types(kinds)
    writer.add_bos_token_id(config.bos_token_id)
    writer.add_eos_token_id(config.eos_token_id)


# ---- Tensors -------------------------------------------------------------------------------------


def pair_order(num_rows, num_heads):
    """Row i of llama.cpp's q or k is row order[i] of the published one.

    Published weights rotate row j of a head with row j + D/2; llama.cpp's llama rotates row 2j with
    row 2j + 1, so that its files hold each head's rows as 0, D/2, 1, D/2 + 1, ...
    """
    dim = num_rows // num_heads
    within = [half * (dim // 2) + j for j in range(dim // 2) for half in (0, 1)]
    return torch.tensor([head * dim + row for head in range(num_heads) for row in within])


def row_order(name, tensor, config, arch):
    """The order of this tensor's rows in GGUF, or None if it is the published one."""
    if arch != "llama" or "_proj." not in name:
        return None
    if ".q_proj." in name:
        return pair_order(tensor.shape[0], config.num_attention_heads)
    if ".k_proj." in name:
        return pair_order(tensor.shape[0], config.num_key_value_heads)
    return None


def stacked_experts(weights):
    """Splits weights into plain tensors and {(layer, part): [names of experts in order]}."""
    plain, stacks = [], {}
    for name in weights:
        words = name.split(".")
        if "experts" in words:
            expert = int(words[words.index("experts") + 1])
            stacks.setdefault((int(words[2]), EXPERT_PARTS[words[-2]]), {})[expert] = name
        else:
            plain.append(name)
    return plain, {key: [names[i] for i in range(len(names))] for key, names in stacks.items()}


def encode(tensor, kind):
    """Bytes or numbers for the writer, and the values that they stand for."""
    values = tensor.float().numpy()
    data = gguf.quantize(values, kind)
    return data, torch.from_numpy(gguf.dequantize(data, kind).astype(numpy.float32)).reshape(
        tensor.shape)


def kind_of(gguf_name, tensor, kind):
    return Kind.F32 if tensor.ndim == 1 or ROUTER in gguf_name else Kind[kind]


def llama3_factors(config):
    """llama.cpp divides each frequency by these: rope_freqs.weight, [D / 2]."""
    rope = config.rope_parameters
    dim = head_dim(config)
    original, low, high = (rope[key] for key in ("original_max_position_embeddings",
                                                 "low_freq_factor", "high_freq_factor"))
    factors = []
    for i in range(dim // 2):
        wavelength = 2 * math.pi * rope["rope_theta"] ** (2 * i / dim)
        if wavelength < original / high:
            factors.append(1.0)
        elif wavelength > original / low:
            factors.append(rope["factor"])
        else:
            smooth = (original / wavelength - low) / (high - low)
            factors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return numpy.array(factors, dtype=numpy.float32)


def write(path, title, config, weights, kind):
    """Writes the file; returns the weights that it holds, in published names and order."""
    arch = ARCHITECTURES[config.model_type]
    writer = gguf.GGUFWriter(path, arch)
    add_metadata(writer, title, config, kind)
    add_tokenizer(writer, config)
    names = gguf.get_tensor_name_map(
        next(key for key, value in gguf.MODEL_ARCH_NAMES.items() if value == arch),
        config.num_hidden_layers)
    stored = {}
    if config.rope_parameters["rope_type"] == "llama3":
        writer.add_tensor("rope_freqs.weight", llama3_factors(config))
    plain, stacks = stacked_experts(weights)
    for name in plain:
        tensor = weights[name]
        gguf_name = names.get_name(name, try_suffixes=(".weight", ".bias"))
        order = row_order(name, tensor, config, arch)
        reordered = tensor if order is None else tensor[order]
        data, values = encode(reordered, kind_of(gguf_name, tensor, kind))
        writer.add_tensor(gguf_name, data, raw_dtype=kind_of(gguf_name, tensor, kind))
        stored[name] = values if order is None else values[torch.argsort(order)].contiguous()
    for (layer, part), experts in sorted(stacks.items()):
        data, values = encode(torch.stack([weights[name] for name in experts]), Kind[kind])
        writer.add_tensor(f"blk.{layer}.ffn_{part}_exps.weight", data, raw_dtype=Kind[kind])
        stored.update({name: values[i].clone() for i, name in enumerate(experts)})
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return stored


def copy_as_version_2(folder, entry):
    """GGUF 2 and 3 have the same little-endian layout: only the number after the magic differs."""
    content = bytearray((folder / entry["file"]).read_bytes())
    assert content[4:8] == (3).to_bytes(4, "little")
    content[4:8] = (2).to_bytes(4, "little")
    (folder / "model-version2.gguf").write_bytes(content)
    return {**entry, "file": "model-version2.gguf"}
