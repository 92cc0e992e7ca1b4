"""Makes the golden models with experts, latent attention and sinks: README.md says what they are.

Run it like make_models.py, whose machinery it uses:  python make_expert_models.py [family ...]
"""

import argparse
import pathlib
import shutil
import tempfile

import expert_gguf_files
import make_models as base
import numpy
import safetensors.torch
import torch
import transformers
from transformers.integrations import mxfp4

ROOT = pathlib.Path(__file__).resolve().parent
OMIT = base.OMIT
# Keys (logits or scores) of the last expert or group taken and the first one left out differ by at
# least this: a hundred times what rounding to float can do.
MARGIN_MIN = 0.004


def qwen2_moe(**fields):
    return base.config("Qwen2MoeForCausalLM", "qwen2_moe", rms_norm_eps=1e-6, rope_theta=1000000.0,
                       use_sliding_window=False, sliding_window=32768, max_window_layers=28,
                       decoder_sparse_step=1, moe_intermediate_size=12, num_experts=6,
                       shared_expert_intermediate_size=24, num_experts_per_tok=2, **fields)


def olmoe(**fields):
    return base.config("OlmoeForCausalLM", "olmoe", num_hidden_layers=2, intermediate_size=12,
                       num_experts=6, num_experts_per_tok=3, clip_qkv=None, attention_bias=False,
                       **fields)


def deepseek(version, **fields):
    settings = dict(
        num_hidden_layers=3, num_key_value_heads=4, attention_bias=False, n_shared_experts=2,
        n_routed_experts=8, num_experts_per_tok=3, moe_intermediate_size=12,
        first_k_dense_replace=1, moe_layer_freq=1, kv_lora_rank=24, q_lora_rank=20,
        qk_nope_head_dim=8, qk_rope_head_dim=6, v_head_dim=12, rms_norm_eps=0.003)
    settings.update(fields)
    return base.config(f"DeepseekV{version}ForCausalLM", f"deepseek_v{version}", **settings)


def gpt_oss(**fields):
    settings = dict(
        head_dim=8, num_hidden_layers=2, num_local_experts=4, num_experts_per_tok=2,
        sliding_window=8, attention_bias=True, swiglu_limit=7.0, rope_theta=150000.0,
        intermediate_size=24, layer_types=["sliding_attention", "full_attention"],
        rope_scaling=dict(rope_type="yarn", factor=4.0, beta_fast=32.0, beta_slow=1.0,
                          truncate=False, original_max_position_embeddings=64))
    settings.update(fields)
    return base.config("GptOssForCausalLM", "gpt_oss", **settings)


def granite_moe(**fields):
    return base.config("GraniteMoeForCausalLM", "granitemoe", num_hidden_layers=2,
                       intermediate_size=12, num_local_experts=6, num_experts_per_tok=2,
                       attention_bias=False, **fields)


YARN_LITE = dict(type="yarn", factor=4.0, beta_fast=8.0, beta_slow=0.5, mscale=0.707,
                 mscale_all_dim=0.707, original_max_position_embeddings=64)
YARN_V2 = dict(YARN_LITE, mscale=1.0, mscale_all_dim=0.5)

# One row per family, as in make_models.py. `form` of "mxfp4": experts as blocks and scales.
FAMILIES = {
    # Qwen1.5-MoE: a shared expert with a gate of its own; weights of the chosen are not normalised.
    "qwen2-moe": dict(config=qwen2_moe(num_hidden_layers=2, norm_topk_prob=False), gguf=("BF16",)),
    # Normalised; layer 0 has no experts; every other of the first layers has a window; no biases.
    "qwen2-moe-mixed": dict(config={
        **qwen2_moe(norm_topk_prob=True, mlp_only_layers=[0], qkv_bias=False),
        "use_sliding_window": True, "sliding_window": 8, "max_window_layers": 2}),
    # OLMoE: norms of q and k over the whole width; weights not normalised.
    "olmoe": dict(config=olmoe(norm_topk_prob=False), gguf=("BF16",)),
    # DeepSeek-V2-Lite: q without a latent; yarn whose temperature is in the scores' scale alone.
    # Dimensions are multiples of 32, so that integer formats hold every matrix of attention.
    "deepseek-v2-lite": dict(config=deepseek(
        2, num_hidden_layers=2, n_routed_experts=5, q_lora_rank=None, kv_lora_rank=32,
        qk_nope_head_dim=32, qk_rope_head_dim=8,
        v_head_dim=16, num_attention_heads=2, num_key_value_heads=2, topk_method="greedy",
        norm_topk_prob=False, routed_scaling_factor=1.0, n_group=1, topk_group=1,
        scoring_func="softmax", max_position_embeddings=256, rope_scaling=YARN_LITE),
        gguf=("BF16", "BF16-kv_b-Q8_0")),
    # DeepSeek-V2: q through a latent, groups of experts, biases, a scale of the weights; yarn with
    # two mscales, which GGUF cannot say.
    "deepseek-v2": dict(config=deepseek(
        2, topk_method="group_limited_greedy", n_group=4, topk_group=2, norm_topk_prob=False,
        routed_scaling_factor=4.0, scoring_func="softmax", attention_bias=True,
        rope_scaling=YARN_V2)),
    # DeepSeek-V3: sigmoids, a bias that corrects the choice, groups by their best two.
    "deepseek-v3": dict(config=deepseek(
        3, num_hidden_layers=2, topk_method="noaux_tc", n_group=4, topk_group=2,
        norm_topk_prob=True,
        routed_scaling_factor=2.5, scoring_func="sigmoid", n_shared_experts=1,
        num_nextn_predict_layers=1), gguf=("BF16",)),
    # The same without groups (Moonlight, Kimi), q without a latent, weights not normalised, and
    # rope pairs that lie in halves.
    "deepseek-v3-plain": dict(config=deepseek(
        3, q_lora_rank=None, topk_method="noaux_tc", n_group=1, topk_group=1, norm_topk_prob=False,
        routed_scaling_factor=2.0, scoring_func="sigmoid", rope_interleave=False)),
    # Granite's multipliers and experts; gate and up of all experts are one tensor.
    "granite-moe": dict(config=granite_moe(
        embedding_multiplier=3.0, logits_scaling=1.0, residual_multiplier=0.7,
        attention_multiplier=0.25, tie_word_embeddings=True), gguf=("BF16",)),
    # gpt-oss with bf16 experts.
    "gpt-oss": dict(config=gpt_oss(), gguf=("BF16",)),
    # gpt-oss as it is published: experts as blocks of 4-bit floats and their scales.
    "gpt-oss-mxfp4": dict(config=gpt_oss(
        hidden_size=64, intermediate_size=32, num_hidden_layers=2, sliding_window=12,
        quantization_config=dict(quant_method="mxfp4", modules_to_not_convert=[
            "model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens",
            "lm_head"])),
        form="mxfp4", gguf=("MXFP4",)),
}


# ---- Weights -------------------------------------------------------------------------------------


def random_weights(shapes, dtype, seed):
    """As make_models.py's, with the kinds of tensors that only these families have."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in sorted(shapes.items()):
        normal = torch.randn(shape, generator=generator, dtype=torch.float64)
        kind = dtype
        if name.endswith("norm.weight"):
            values = 1.0 + 0.3 * normal
        elif name.endswith("e_score_correction_bias"):
            values, kind = 0.3 * normal, torch.float32
        elif name.endswith("sinks"):
            values = 1.0 + normal
        elif name.endswith(("bias", "_bias")):
            values = 0.4 * normal
        elif name == "model.embed_tokens.weight":
            values = 0.7 * normal
        elif name.endswith("kv_b_proj.weight") and shape[-1] % 32 == 0:
            # Numbers that q8_0 and bf16 both hold, so that GGUF's have the same logits.
            whole = (73 * normal).round().clamp(-127, 127)
            whole[..., ::32] = 127
            values = whole / 256
        else:
            # gpt-oss stores what it multiplies from the left: its depth is the last but one.
            depth = shape[-2] if name.endswith(("experts.gate_up_proj", "experts.down_proj")) \
                else shape[-1]
            router = name.endswith((".gate.weight", "router.weight", "router.layer.weight"))
            gain = 1.8 if ".q_" in name or ".k_proj." in name else 1.3
            # Large enough to be clamped now and then.
            gain = 4.0 if name.endswith("experts.gate_up_proj") else gain
            gain = 2.0 if router or name == "lm_head.weight" else gain
            values = gain / depth ** 0.5 * normal
        weights[name] = values.to(kind).contiguous()
    return weights


EXPERTS = ("experts.gate_up_proj", "experts.down_proj")


def pack_mxfp4(weights, seed):
    """Random blocks and scales instead of experts, and the weights that they stand for."""
    generator = torch.Generator().manual_seed(seed)
    packed, plain = dict(weights), dict(weights)
    for name, tensor in weights.items():
        if not name.endswith(EXPERTS):
            continue
        num_experts, depth, num_rows = tensor.shape
        shape = (num_experts, num_rows, depth // 32)
        blocks = torch.randint(0, 256, (*shape, 16), generator=generator, dtype=torch.uint8)
        # Elements are about 3 in size; rows shall come to about 1.
        scales = torch.randint(121, 126, shape, generator=generator, dtype=torch.uint8)
        plain[name] = mxfp4.convert_moe_packed_tensors(blocks, scales)
        del packed[name]
        packed[f"{name}_blocks"], packed[f"{name}_scales"] = blocks, scales
    return packed, plain


# ---- Logits --------------------------------------------------------------------------------------


def load_double(folder):
    """As make_models.py's; buffers that are weights become double too."""
    model = base.load_double(folder)
    for module in model.modules():
        if hasattr(module, "e_score_correction_bias"):
            module.e_score_correction_bias = module.e_score_correction_bias.double()
    return model


def lead(keys, count):
    """By how much the count-th largest of each row exceeds the next."""
    if count >= keys.shape[-1]:
        return float("inf")
    ranked = keys.sort(dim=-1, descending=True).values
    return (ranked[:, count - 1] - ranked[:, count]).min().item()


def margin_of(router, logits):
    """The smallest lead in one router's choices, groups included."""
    keys = logits
    if hasattr(router, "e_score_correction_bias"):
        keys = logits.sigmoid() + router.e_score_correction_bias
    groups = getattr(router, "num_group", None) or 1
    if getattr(router, "topk_method", "") == "greedy" or groups == 1:
        return lead(keys, router.top_k)
    grouped = keys.view(len(keys), groups, -1)
    best = 2 if hasattr(router, "e_score_correction_bias") else 1
    ranks = grouped.topk(best, dim=-1).values.sum(dim=-1)
    chosen = ranks.topk(router.topk_group, dim=-1).indices
    kept = torch.gather(grouped, 1, chosen[..., None].expand(-1, -1, grouped.shape[-1]))
    return min(lead(ranks, router.topk_group), lead(kept.flatten(1), router.top_k))


def router_margin(model, prompts):
    margins = []

    def look(router, _, output):
        margins.append(margin_of(router, output[0].double()))

    hooks = [module.register_forward_hook(look) for module in model.modules()
             if type(module).__name__.lower().endswith("topkrouter")]
    assert hooks
    base.run(model, prompts)
    for hook in hooks:
        hook.remove()
    return min(margins)


def tensor_effects(model, prompts, results):
    """The largest change of a logit when each tensor is ignored; one expert's part is a tensor."""
    effects = {}
    with torch.no_grad():
        for name, parameter in [*model.named_parameters(), *model.named_buffers()]:
            if "inv_freq" in name:
                continue
            kept = parameter.clone()
            neutral = 1.0 if name.endswith("norm.weight") else -1e9 if "sinks" in name else 0.0
            parameter.fill_(neutral)
            effects[name] = base.largest_difference(base.run(model, prompts), results)
            parameter.copy_(kept)
    return min(effects.items(), key=lambda item: item[1])


# ---- Families ------------------------------------------------------------------------------------


def prompts_of(row, seed):
    random = numpy.random.default_rng(seed)
    return [random.integers(3, base.VOCABULARY, length).tolist()
            for length in row.get("prompts", base.SHORT_PROMPTS)]


def search_seed(row, folder, dtype):
    """The first seed whose routers all choose with a clear lead; leaves plain weights in `folder`."""
    shapes = base.published_shapes(folder)
    for seed in range(1, 400):
        weights = random_weights(shapes, dtype, seed)
        plain = weights
        if row.get("form") == "mxfp4":
            weights, plain = pack_mxfp4(weights, seed)
        base.write_weights(folder, plain, 1)
        model = load_double(folder)
        prompts = prompts_of(row, seed)
        margin = router_margin(model, prompts)
        if margin > MARGIN_MIN:
            return seed, weights, model, prompts, margin
    raise AssertionError(f"no seed gives a margin of {MARGIN_MIN}")


def make_family(name):
    row = FAMILIES[name]
    folder = ROOT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    dtype = row.get("dtype", torch.bfloat16)
    config = {**row["config"], "torch_dtype": str(dtype).split(".")[1]}
    # transformers runs what the packed weights stand for.
    plain = {key: value for key, value in config.items() if key != "quantization_config"}
    base.write_json(folder / "config.json", plain)
    seed, weights, model, prompts, margin = search_seed(row, folder, dtype)
    results = base.run(model, prompts)
    base.write_logits(folder / "logits.safetensors", results)
    tensor, effect = tensor_effects(model, prompts, results)
    assert effect > base.TENSOR_EFFECT_MIN, f"{name}: {tensor} moves no logit by more than {effect}"
    float_error = base.largest_difference(base.run(base.load(folder, torch.float32), prompts),
                                          results)
    settings = transformers.AutoConfig.from_pretrained(folder)
    base.write_json(folder / "config.json", config)
    base.write_weights(folder, weights, 1)
    files = []
    for kind in row.get("gguf", ()):
        file = f"model-{kind.lower()}.gguf"
        expert_gguf_files.write(folder / file, f"golden {name}", settings, weights, kind)
        files.append({"file": file, "logits": "logits.safetensors"})
    base.write_prompts(folder / "prompts.json", {
        "family": name, "prompts": prompts, "hidden_prompt": base.HIDDEN_PROMPT, "gguf": files,
        "float32_error": float_error, "least_tensor_effect": effect, "router_margin": margin,
        "seed": seed, "made_with": base.versions()})
    largest = max(logits.abs().max().item() for logits, _ in results)
    print(f"{name:18} seed {seed:3} logits to {largest:6.2f}  float32 error {float_error:.1e}  "
          f"least effect {effect:.2f} of {tensor}  router margin {margin:.4f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("families", nargs="*", help="rows of FAMILIES; default: all")
    torch.set_num_threads(1)  # Sums in one order, whatever the machine.
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for name in parser.parse_args().families or FAMILIES:
        make_family(name)


if __name__ == "__main__":
    main()
