"""Writes tiny checkpoints of the families of make_dense_models.py as llama.cpp's converter does."""

import math

import gguf
import gguf_files
import numpy
import torch
from gguf import GGMLQuantizationType as Kind

# model_type: general.architecture.
ARCHITECTURES = {"gemma": "gemma", "gemma2": "gemma2", "gemma3_text": "gemma3", "phi3": "phi3",
                 "phi": "phi2", "gpt2": "gpt2", "gpt_neox": "gptneox", "olmo": "olmo",
                 "olmo2": "olmo2", "olmo3": "olmo2", "granite": "granite", "smollm3": "smollm3",
                 "starcoder2": "starcoder2", "stablelm": "stablelm", "cohere": "command-r",
                 "falcon": "falcon"}
# Converters of these derive from llama's: rows of q and k lie as rope pairs.
PAIRED = ("granite", "smollm3", "olmo")
GEMMAS = ("gemma", "gemma2", "gemma3")


def head_dim(config):
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def kv_heads(config):
    if config.model_type == "falcon":
        return config.num_kv_heads if config.new_decoder_architecture else 1
    return getattr(config, "num_key_value_heads", None) or config.num_attention_heads


def add_metadata(writer, title, config, kind):
    writer.add_type("model")
    writer.add_name(title)
    writer.add_file_type(gguf_files.FILE_TYPES[kind])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    widths = ("intermediate_size", "n_inner", "ffn_hidden_size")
    width = next((getattr(config, key) for key in widths if getattr(config, key, None)), None)
    writer.add_feed_forward_length(width or 4 * config.hidden_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(kv_heads(config))
    if hasattr(config, "rms_norm_eps"):
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    else:
        keys = ("layer_norm_epsilon", "layer_norm_eps", "norm_epsilon")
        writer.add_layer_norm_eps(next((getattr(config, key) for key in keys
                                        if hasattr(config, key)), 1e-5))
    if writer.arch in GEMMAS or head_dim(config) * config.num_attention_heads != config.hidden_size:
        writer.add_key_length(head_dim(config))
        writer.add_value_length(head_dim(config))
    add_family(writer, config)


def add_family(writer, config):
    arch = writer.arch
    rope = getattr(config, "rope_parameters", None) or {}
    if arch in ("gemma2",):
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
        writer.add_sliding_window(config.sliding_window)
    if arch == "gemma3":
        writer.add_sliding_window(config.sliding_window)
        rope = rope["full_attention"]
        writer.add_rope_freq_base(rope["rope_theta"])
    if arch == "olmo2" and getattr(config, "sliding_window", None):
        writer.add_sliding_window(config.sliding_window)
        rope = rope["full_attention"]
        writer.add_rope_freq_base(rope["rope_theta"])
    if arch == "granite":
        writer.add_attention_scale(config.attention_multiplier)
        writer.add_embedding_scale(config.embedding_multiplier)
        writer.add_residual_scale(config.residual_multiplier)
        writer.add_logit_scale(config.logits_scaling)
    if arch == "command-r":
        writer.add_logit_scale(config.logit_scale)
    if arch in ("gptneox", "stablelm"):
        writer.add_parallel_residual(config.use_parallel_residual)
    if arch in ("gpt2", "gemma"):
        return
    if arch not in ("gemma3", "olmo2") or "rope_theta" in rope and not hasattr(
            config, "sliding_window"):
        writer.add_rope_freq_base(rope["rope_theta"])
    part = rope.get("partial_rotary_factor") or 1.0
    if arch in ("phi3", "phi2", "gptneox", "stablelm", "granite", "smollm3", "olmo"):
        writer.add_rope_dimension_count(int(head_dim(config) * part))
    if rope.get("rope_type") == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    if rope.get("rope_type") == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    if arch == "phi3":
        writer.add_sliding_window(config.sliding_window or 0)
        writer.add_rope_scaling_orig_ctx_len(config.original_max_position_embeddings)
    if rope.get("rope_type") == "longrope":
        original = config.original_max_position_embeddings
        scale = config.max_position_embeddings / original
        writer.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(scale) / math.log(original)))


def unfused(weight, config):
    """GPT-NeoX's and Falcon's q, k and v of each group, as all q, then all k, then all v."""
    groups, dim = kv_heads(config), head_dim(config)
    each = weight.reshape(groups, -1, dim, *weight.shape[1:])
    parts = each[:, :-2], each[:, -2:-1], each[:, -1:]
    return torch.cat([part.reshape(-1, *weight.shape[1:]) for part in parts])


def converted(name, tensor, config, arch):
    if arch in GEMMAS and name.endswith("norm.weight"):
        return tensor.float() + 1
    if arch == "gpt2" and tensor.ndim == 2 and name.split(".")[-2] in ("c_attn", "c_proj", "c_fc"):
        return tensor.T.contiguous()
    if ".query_key_value." in name:
        return unfused(tensor, config)
    if arch in PAIRED and ".q_proj." in name:
        return tensor[gguf_files.pair_order(tensor.shape[0], config.num_attention_heads)]
    if arch in PAIRED and ".k_proj." in name:
        return tensor[gguf_files.pair_order(tensor.shape[0], kv_heads(config))]
    return tensor


def write(path, title, config, weights, kind):
    """Every value that it stores is the published one (or one more): floats only."""
    arch = ARCHITECTURES[config.model_type]
    writer = gguf.GGUFWriter(path, arch)
    add_metadata(writer, title, config, kind)
    gguf_files.add_tokenizer(writer, config)
    names = gguf.get_tensor_name_map(
        next(key for key, value in gguf.MODEL_ARCH_NAMES.items() if value == arch),
        config.num_hidden_layers)
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") == "longrope":
        for which in ("long", "short"):
            factors = numpy.array(rope[f"{which}_factor"], dtype=numpy.float32)
            writer.add_tensor(f"rope_factors_{which}.weight", factors)
    for name, tensor in weights.items():
        values = converted(name, tensor, config, arch).float().numpy()
        gguf_name = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert gguf_name, name
        stored = Kind.F32 if values.ndim == 1 or "position_embd" in gguf_name else Kind[kind]
        writer.add_tensor(gguf_name, gguf.quantize(values, stored), raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
