"""Writes tiny checkpoints with experts as GGUF, in llama.cpp's layout of each family."""

import gguf
import gguf_files
import numpy
import torch
from gguf import GGMLQuantizationType as Kind

ARCHITECTURES = {"qwen2_moe": "qwen2moe", "olmoe": "olmoe", "deepseek_v2": "deepseek2",
                 "deepseek_v3": "deepseek2", "gpt_oss": "gpt-oss", "granitemoe": "granitemoe"}
FILE_TYPES = {**gguf_files.FILE_TYPES, "MXFP4": gguf.LlamaFileType.MOSTLY_MXFP4_MOE}
PARTS = {"gate_proj": "gate", "up_proj": "up", "down_proj": "down"}


# ---- Metadata ------------------------------------------------------------------------------------


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
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_expert_used_count(config.num_experts_per_tok)
    {"qwen2moe": add_qwen2_moe, "olmoe": add_olmoe, "deepseek2": add_deepseek,
     "gpt-oss": add_gpt_oss, "granitemoe": add_granite_moe}[writer.arch](writer, config)
    gguf_files.add_rope(writer, config.rope_parameters)


def add_qwen2_moe(writer, config):
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_expert_count(config.num_experts)
    writer.add_expert_feed_forward_length(config.moe_intermediate_size)
    writer.add_expert_shared_feed_forward_length(config.shared_expert_intermediate_size)


def add_olmoe(writer, config):
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_expert_count(config.num_experts)


def add_granite_moe(writer, config):
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_expert_count(config.num_local_experts)
    writer.add_attention_scale(config.attention_multiplier)
    writer.add_embedding_scale(config.embedding_multiplier)
    writer.add_residual_scale(config.residual_multiplier)
    writer.add_logit_scale(config.logits_scaling)


def add_deepseek(writer, config):
    rope_dim = config.qk_rope_head_dim
    writer.add_leading_dense_block_count(config.first_k_dense_replace)
    writer.add_vocab_size(config.vocab_size)
    if config.q_lora_rank is not None:
        writer.add_q_lora_rank(config.q_lora_rank)
    writer.add_kv_lora_rank(config.kv_lora_rank)
    if writer.has_split_kv_b:
        # Attention as llama.cpp runs it: one KV head, the latent.
        writer.add_head_count_kv(1)
        writer.add_key_length(config.kv_lora_rank + rope_dim)
        writer.add_value_length(config.kv_lora_rank)
        writer.add_key_length_mla(config.qk_nope_head_dim + rope_dim)
        writer.add_value_length_mla(config.v_head_dim)
    else:
        writer.add_head_count_kv(config.num_key_value_heads)
        writer.add_key_length(config.qk_nope_head_dim + rope_dim)
        writer.add_value_length(config.v_head_dim)
    writer.add_expert_feed_forward_length(config.moe_intermediate_size)
    writer.add_expert_count(config.n_routed_experts)
    writer.add_expert_shared_count(config.n_shared_experts)
    writer.add_expert_weights_scale(config.routed_scaling_factor)
    writer.add_expert_weights_norm(config.norm_topk_prob)
    if config.model_type == "deepseek_v3":
        writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)
        writer.add_expert_group_count(config.n_group)
        writer.add_expert_group_used_count(config.topk_group)
    writer.add_rope_dimension_count(rope_dim)
    rope = config.rope_parameters
    if rope["rope_type"] == "yarn":
        assert rope["mscale"] == rope["mscale_all_dim"]  # GGUF has one number for both.
        writer.add_rope_scaling_yarn_log_mul(0.1 * rope["mscale_all_dim"])
        writer.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
        writer.add_rope_scaling_yarn_beta_slow(rope["beta_slow"])


def add_gpt_oss(writer, config):
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_expert_count(config.num_local_experts)
    writer.add_expert_feed_forward_length(config.intermediate_size)
    writer.add_sliding_window(config.sliding_window)


# ---- Tensors -------------------------------------------------------------------------------------


def interleaved(name, tensor):
    """gpt-oss's experts in llama.cpp's names and order: gate and up apart, rows are outputs."""
    stem, is_bias = name.removesuffix("_bias"), name.endswith("_bias")
    tensor = tensor if is_bias else tensor.transpose(1, 2)
    suffix = "bias" if is_bias else "weight"
    if stem.endswith("gate_up_proj"):
        return [(f"ffn_gate_exps.{suffix}", tensor[:, 0::2]),
                (f"ffn_up_exps.{suffix}", tensor[:, 1::2])]
    return [(f"ffn_down_exps.{suffix}", tensor)]


def repacked(name, blocks, scales):
    """gpt-oss's packed experts as GGUF's blocks: the scale, then elements i and i + 16 in a byte."""
    elements = torch.stack([blocks & 15, blocks >> 4], dim=-1).flatten(-2)
    halves = elements[..., :16] | elements[..., 16:] << 4
    rows = torch.cat([scales[..., None], halves], dim=-1).flatten(-2)
    if name.endswith("gate_up_proj_blocks"):
        return [("ffn_gate_exps.weight", rows[:, 0::2]), ("ffn_up_exps.weight", rows[:, 1::2])]
    return [("ffn_down_exps.weight", rows)]


def split_kv_b(config, tensor):
    """Keys' and values' projections from the latent, each for every head; the keys' turned."""
    heads = tensor.view(config.num_attention_heads, config.qk_nope_head_dim + config.v_head_dim,
                        config.kv_lora_rank)
    keys, values = heads.split([config.qk_nope_head_dim, config.v_head_dim], dim=1)
    return [("attn_k_b.weight", keys.transpose(1, 2)), ("attn_v_b.weight", values)]


def translated(config, weights, names, has_split_kv_b):
    """Every tensor by its GGUF name."""
    stacks = {}
    for name, tensor in weights.items():
        words = name.split(".")
        block = f"blk.{words[2]}." if words[1] == "layers" else ""
        if name.endswith("_blocks"):
            for part, values in repacked(name, tensor, weights[f"{name[:-7]}_scales"]):
                yield block + part, values
        elif name.endswith("_scales"):
            continue
        elif config.model_type == "gpt_oss" and ".mlp.experts." in name:
            for part, values in interleaved(name, tensor):
                yield block + part, values
        elif name.endswith("input_linear.weight"):
            gate, up = tensor.chunk(2, dim=1)
            yield f"{block}ffn_gate_exps.weight", gate
            yield f"{block}ffn_up_exps.weight", up
        elif name.endswith("output_linear.weight"):
            yield f"{block}ffn_down_exps.weight", tensor
        elif name.endswith("router.layer.weight"):
            yield f"{block}ffn_gate_inp.weight", tensor
        elif config.model_type == "granitemoe" and words[-2] in ("q_proj", "k_proj"):
            # Rope turns neighbours, as in llama's files.
            is_query = words[-2] == "q_proj"
            heads = config.num_attention_heads if is_query else config.num_key_value_heads
            order = gguf_files.pair_order(tensor.shape[0], heads)
            yield f"{block}attn_{words[-2][0]}.weight", tensor[order]
        elif "experts" in words:
            part = f"{block}ffn_{PARTS[words[-2]]}_exps.weight"
            stacks.setdefault(part, {})[int(words[words.index("experts") + 1])] = tensor
        elif name.endswith("kv_b_proj.weight") and has_split_kv_b:
            for part, values in split_kv_b(config, tensor):
                yield block + part, values
        elif name.endswith("e_score_correction_bias"):
            yield f"{block}exp_probs_b.bias", tensor
        elif name.endswith("self_attn.sinks"):
            yield f"{block}attn_sinks.weight", tensor
        elif name.endswith("shared_expert_gate.weight"):
            yield f"{block}ffn_gate_inp_shexp.weight", tensor[0]
        else:
            found = names.get_name(name, try_suffixes=(".weight", ".bias"))
            assert found is not None, name
            yield found, tensor
    for part, experts in stacks.items():
        yield part, torch.stack([experts[i] for i in range(len(experts))])


def kind_of(name, tensor, kind):
    small = tensor.ndim == 1 or "ffn_gate_inp" in name or name.endswith(".bias")
    return Kind.F32 if small else Kind[kind]


def write(path, title, config, weights, kind):
    """`kind` BF16-kv_b-Q8_0 keeps DeepSeek's kv_b_proj in one piece, as files before 2025 do."""
    kind, _, form = kind.partition("-")
    file_type = kind
    kind = "BF16" if kind == "MXFP4" else kind  # Of all but the experts.
    arch = ARCHITECTURES[config.model_type]
    writer = gguf.GGUFWriter(path, arch)
    writer.has_split_kv_b = not form
    add_metadata(writer, title, config, file_type)
    gguf_files.add_tokenizer(writer, config)
    names = gguf.get_tensor_name_map(
        next(key for key, value in gguf.MODEL_ARCH_NAMES.items() if value == arch),
        config.num_hidden_layers)
    for name, tensor in translated(config, weights, names, writer.has_split_kv_b):
        if tensor.dtype == torch.uint8:
            writer.add_tensor(name, numpy.ascontiguousarray(tensor.numpy()), raw_dtype=Kind.MXFP4)
            continue
        stored = Kind.Q8_0 if "attn_kv_b" in name else kind_of(name, tensor, kind)
        data = gguf.quantize(tensor.contiguous().float().numpy(), stored)
        writer.add_tensor(name, data, raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
