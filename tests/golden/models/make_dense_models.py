"""Makes the golden models of families beyond llama's and qwen's: README.md says what they are.

Run it like make_models.py, whose machinery it uses:  python make_dense_models.py [family ...]
"""

import argparse
import contextlib
import pathlib
import shutil

import dense_gguf_files
import make_models as base
import numpy
import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parent
OMIT = base.OMIT


def gemma(architecture, model_type, **fields):
    settings = dict(hidden_size=36, head_dim=12, num_hidden_layers=2, hidden_act=OMIT,
                    hidden_activation="gelu_pytorch_tanh", tie_word_embeddings=OMIT,
                    rms_norm_eps=0.01)
    settings.update(fields)
    return base.config(architecture, model_type, **settings)


def gemma3(**fields):
    return gemma("Gemma3ForCausalLM", "gemma3_text", hidden_size=16, intermediate_size=24,
                 num_hidden_layers=6, rope_theta=1000000.0, rope_local_base_freq=10000.0,
                 rope_scaling=dict(rope_type="linear", factor=8.0), sliding_window=8,
                 sliding_window_pattern=6, **fields)


def phi3(**fields):
    settings = dict(num_hidden_layers=2, original_max_position_embeddings=256, rms_norm_eps=0.01,
                    pad_token_id=0)
    settings.update(fields)
    return base.config("Phi3ForCausalLM", "phi3", **settings)


def gpt2(**fields):
    settings = dict(
        architectures=["GPT2LMHeadModel"], model_type="gpt2", activation_function="gelu_new",
        n_embd=32, n_head=4, n_layer=2, n_positions=64, n_ctx=64, vocab_size=base.VOCABULARY,
        layer_norm_epsilon=0.01, bos_token_id=1, eos_token_id=2)
    settings.update(fields)
    return settings


def neox(**fields):
    return base.config(
        "GPTNeoXForCausalLM", "gpt_neox", hidden_act="gelu", rotary_pct=0.5, rotary_emb_base=20000,
        layer_norm_eps=0.01, rms_norm_eps=OMIT, num_key_value_heads=OMIT, rope_theta=OMIT,
        num_hidden_layers=2, **fields)


def olmo(version, **fields):
    settings = dict(num_hidden_layers=2, rope_theta=500000.0, rms_norm_eps=0.01, pad_token_id=0)
    settings.update(fields)
    return base.config(f"Olmo{version}ForCausalLM", f"olmo{version}", **settings)


def starcoder2(**fields):
    settings = dict(hidden_act="gelu_pytorch_tanh", norm_epsilon=0.01, rms_norm_eps=OMIT,
                    num_hidden_layers=2, tie_word_embeddings=OMIT, rope_theta=999999.0)
    settings.update(fields)
    return base.config("Starcoder2ForCausalLM", "starcoder2", **settings)


def phi(**fields):
    return base.config(
        "PhiForCausalLM", "phi", hidden_act="gelu_new", layer_norm_eps=0.01, rms_norm_eps=OMIT,
        num_key_value_heads=4, num_hidden_layers=2, partial_rotary_factor=0.5, qk_layernorm=False,
        intermediate_size=128, **fields)


def cohere(**fields):
    return base.config(
        "CohereForCausalLM", "cohere", layer_norm_eps=0.01, rms_norm_eps=OMIT, num_hidden_layers=2,
        tie_word_embeddings=OMIT, logit_scale=0.4, use_qk_norm=False, pad_token_id=0,
        rope_theta=75000.0, **fields)


def stablelm(**fields):
    return base.config(
        "StableLmForCausalLM", "stablelm", layer_norm_eps=0.01, rms_norm_eps=OMIT,
        num_hidden_layers=2, partial_rotary_factor=0.5, qk_layernorm=False, **fields)


LONGROPE = dict(type="longrope", short_factor=[1.0, 1.1, 1.3, 1.6],
                long_factor=[1.2, 2.5, 4.0, 9.0])
YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=64, beta_fast=32.0,
            beta_slow=1.0)

# One row per folder: config.json, type of the weights on disk, GGUF files and what is special.
# `contexts`: the context that the model is configured for, prompt by prompt (0: its own), where
# rope depends on it. `prefix`: what stands before published names in place of the usual.
FAMILIES = {
    # Gemma: one added to the weights of norms, embeddings scaled, the older name of its gelu.
    "gemma": dict(config=gemma("GemmaForCausalLM", "gemma", num_key_value_heads=1,
                               hidden_act="gelu", hidden_activation=OMIT), gguf=("BF16",)),
    # Gemma 2: norms of outputs too, both soft caps, every other layer slides.
    "gemma2": dict(config=gemma("Gemma2ForCausalLM", "gemma2", num_hidden_layers=3,
                                query_pre_attn_scalar=12, sliding_window=8,
                                attn_logit_softcapping=2.0, final_logit_softcapping=3.0),
                   gguf=("BF16",)),
    # A scale of scores of its own, biases, one soft cap.
    "gemma2-scaled": dict(config=gemma("Gemma2ForCausalLM", "gemma2", query_pre_attn_scalar=5,
                                       sliding_window=8, attn_logit_softcapping=None,
                                       attention_bias=True, final_logit_softcapping=5.0)),
    # Gemma 3: five of six layers slide and have a rope of their own; norms of q and k.
    "gemma3": dict(config=gemma3(query_pre_attn_scalar=12), gguf=("BF16",)),
    # The same as the text part of a model that also sees.
    "gemma3-nested": dict(config=gemma3(query_pre_attn_scalar=24), nested=True,
                          prefix=("model.", "language_model.model.")),
    # Phi-3: q, k, v and gate, up in one tensor each; a window; a part of each head turns.
    "phi3": dict(config=phi3(sliding_window=8, partial_rotary_factor=0.75), gguf=("BF16",)),
    # Both regimes of longrope.
    "phi3-longrope": dict(config=phi3(max_position_embeddings=96, sliding_window=None,
                                      original_max_position_embeddings=32, rope_scaling=LONGROPE),
                          gguf=("BF16",), prompts=(1, 7, 30, 40, 70), contexts=(32, 32, 32, 0, 0)),
    # Dynamic NTK: as it was up to the original context, and at the end of the stretched one.
    "llama-dynamic": dict(config=base.llama(num_hidden_layers=2, max_position_embeddings=32,
                                            rope_scaling=dict(type="dynamic", factor=2.0)),
                          prompts=(1, 7, 30, 48, 64), contexts=(32, 32, 32, 48, 64)),
    # GPT-2: learned positions, layer norms with biases, transposed and fused tensors; float32.
    "gpt2": dict(config=gpt2(n_inner=48), dtype=torch.float32, gguf=("F32",)),
    # Its options, and the names of the first published files.
    "gpt2-options": dict(config=gpt2(scale_attn_by_inverse_layer_idx=True,
                                     scale_attn_weights=False, n_inner=None),
                         prefix=("transformer.", "")),
    # GPT-NeoX: parts side by side with a norm each, q, k, v of each head fused, rope over half.
    "gpt-neox": dict(config=neox(use_parallel_residual=True), gguf=("BF16",)),
    "gpt-neox-sequential": dict(config=neox(use_parallel_residual=False)),
    # OLMo: norms without weights. OLMo 2: norms of outputs only, of all of q and of all of k.
    "olmo": dict(config=olmo("", rms_norm_eps=OMIT, clip_qkv=None), gguf=("BF16",)),
    "olmo2": dict(config=olmo(2), gguf=("BF16",)),
    # OLMo 3: three of four layers slide; yarn in the others only.
    "olmo3": dict(config=olmo(3, num_hidden_layers=4, intermediate_size=32, sliding_window=8,
                              rope_scaling=YARN), gguf=("BF16",), prompts=(1, 7, 40, 100)),
    # Granite: four multipliers.
    "granite": dict(config=base.config(
        "GraniteForCausalLM", "granite", num_hidden_layers=2, embedding_multiplier=3.0,
        residual_multiplier=0.4, attention_multiplier=0.2, logits_scaling=0.6,
        attention_bias=False, mlp_bias=False), gguf=("BF16",)),
    # SmolLM3: every fourth layer has no positions.
    "smollm3": dict(config=base.config(
        "SmolLM3ForCausalLM", "smollm3", num_hidden_layers=4, intermediate_size=32,
        no_rope_layers=[1, 1, 1, 0], no_rope_layer_interval=4, pad_token_id=0,
        rope_theta=2000000.0), gguf=("BF16",)),
    # StarCoder2: layer norms and biases everywhere; with a window; without biases.
    "starcoder2": dict(config=starcoder2(use_bias=True, sliding_window=None), gguf=("BF16",)),
    "starcoder2-window": dict(config=starcoder2(use_bias=False, sliding_window=8,
                                                tie_word_embeddings=False)),
    # Phi-2: parts side by side of one norm, rope over half, a bias of the logits.
    "phi2": dict(config=phi(), gguf=("BF16",)),
    # Cohere: parallel parts of one norm without bias, rope of adjacent pairs, scaled logits.
    "cohere": dict(config=cohere(attention_bias=False), gguf=("BF16",)),
    # StableLM: layer norms with biases, biases of q, k and v; and parts side by side.
    "stablelm": dict(config=stablelm(use_qkv_bias=True, use_parallel_residual=False),
                     gguf=("BF16",)),
    "stablelm-parallel": dict(config=stablelm(use_qkv_bias=False, use_parallel_residual=True)),
}


# ---- Weights -------------------------------------------------------------------------------------


def is_norm(name):
    return any(name.endswith(f"{kind}.weight") for kind in ("norm", "ln_1", "ln_2", "ln_f",
                                                            "ln_attn", "ln_mlp"))


def random_weights(shapes, dtype, seed, is_gemma):
    """As make_models.py's, with these families' names."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in sorted(shapes.items()):
        normal = torch.randn(shape, generator=generator, dtype=torch.float64)
        if is_norm(name):
            values = (0.0 if is_gemma else 1.0) + 0.3 * normal
        elif name.endswith(".bias"):
            values = 0.4 * normal
        elif any(part in name for part in ("embed_tokens", "embed_in", "wte.", "wpe.",
                                           "word_embeddings")):
            values = 0.7 * normal
        else:
            conv = any(f".{part}.weight" in name for part in ("c_attn", "c_proj", "c_fc"))
            depth = shape[0] if conv and name.startswith("transformer.") else shape[-1]
            wide = any(part in name for part in ("q_proj", "k_proj", "qkv", "c_attn", "query_key"))
            gain = 1.8 if wide else 1.3
            gain = 2.0 if name in ("lm_head.weight", "embed_out.weight") else gain
            values = gain / depth ** 0.5 * normal
        weights[name] = values.to(dtype).contiguous()
    return weights


# ---- Logits --------------------------------------------------------------------------------------


def rope_tables(config, rope_type, module, layer_type=None):
    arguments = {} if layer_type is None else {"layer_type": layer_type}
    if rope_type == "default":
        return module.compute_default_rope_parameters(config, **arguments)
    return transformers.modeling_rope_utils.ROPE_INIT_FUNCTIONS[rope_type](config, **arguments)


@contextlib.contextmanager
def double_by_default():
    """Dynamic rope multiplies whole numbers with Python's: the default type decides."""
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def load_double(folder):
    model = base.load(folder, torch.float64)
    with base.EverythingInDouble():
        for module in model.modules():
            if "RotaryEmbedding" not in type(module).__name__:
                continue
            if not isinstance(module.rope_type, dict):
                module.inv_freq, module.attention_scaling = rope_tables(
                    module.config, module.rope_type, module)
                module.original_inv_freq = module.inv_freq.clone()
                continue
            for layer_type, rope_type in module.rope_type.items():
                tables, scaling = rope_tables(module.config, rope_type, module, layer_type)
                setattr(module, f"{layer_type}_inv_freq", tables)
                setattr(module, f"{layer_type}_original_inv_freq", tables.clone())
                setattr(module, f"{layer_type}_attention_scaling", scaling)
        for module in model.modules():
            if hasattr(module, "scalar_embed_scale"):
                module.embed_scale = torch.tensor(module.scalar_embed_scale, dtype=torch.float64)
    return model


def run(model, prompts):
    """Logits [T, V] and final normed hidden states [T, E] of each prompt."""
    results = []
    with torch.no_grad():
        for prompt in prompts:
            ids = torch.tensor([prompt])
            if model.dtype == torch.float64:
                with base.EverythingInDouble(), double_by_default():
                    hidden = model.base_model(ids, use_cache=False).last_hidden_state
                    logits = model(ids, use_cache=False).logits
            else:
                hidden = model.base_model(ids, use_cache=False).last_hidden_state
                logits = model(ids, use_cache=False).logits
            results.append((logits[0], hidden[0]))
    return results


def least_tensor_effect(model, prompts, results, is_gemma):
    effects = {}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            kept = parameter.clone()
            parameter.fill_(1.0 if is_norm(name) and not is_gemma else 0.0)
            effects[name] = base.largest_difference(run(model, prompts), results)
            parameter.copy_(kept)
    return min(effects.items(), key=lambda item: item[1])


# ---- Families ------------------------------------------------------------------------------------


def nested(config):
    """A config.json of a model that also sees: what equals the class's defaults is left out."""
    text = {key: value for key, value in config.items()
            if key not in ("architectures", "bos_token_id", "eos_token_id", "torch_dtype")}
    return {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3",
            "bos_token_id": 1, "eos_token_id": 2, "text_config": text,
            "vision_config": {"model_type": "siglip_vision_model"},
            "torch_dtype": config["torch_dtype"]}


def make_family(name):
    row = FAMILIES[name]
    folder = ROOT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    dtype = row.get("dtype", torch.bfloat16)
    config = {**row["config"], "torch_dtype": str(dtype).split(".")[1]}
    base.write_json(folder / "config.json", config)
    is_gemma = config["model_type"].startswith("gemma")
    weights = random_weights(base.published_shapes(folder), dtype, 1, is_gemma)
    base.write_weights(folder, weights, 1)
    random = numpy.random.default_rng(1)
    prompts = [random.integers(3, base.VOCABULARY, length).tolist()
               for length in row.get("prompts", base.SHORT_PROMPTS)]
    model = load_double(folder)
    results = run(model, prompts)
    base.write_logits(folder / "logits.safetensors", results)
    tensor, effect = least_tensor_effect(model, prompts, results, is_gemma)
    assert effect > base.TENSOR_EFFECT_MIN, f"{name}: {tensor} moves no logit by more than {effect}"
    float_error = base.largest_difference(run(base.load(folder, torch.float32), prompts), results)
    settings = transformers.AutoConfig.from_pretrained(folder)
    files = []
    for kind in row.get("gguf", ()):
        file = f"model-{kind.lower()}.gguf"
        dense_gguf_files.write(folder / file, f"golden {name}", settings, weights, kind)
        files.append({"file": file, "logits": "logits.safetensors"})
    if "prefix" in row:
        ours, theirs = row["prefix"]
        weights = {theirs + key.removeprefix(ours) if key.startswith(ours) else key: value
                   for key, value in weights.items()}
        base.write_weights(folder, weights, 1)
    if row.get("nested"):
        base.write_json(folder / "config.json", nested(config))
    entry = {"family": name, "prompts": prompts, "hidden_prompt": base.HIDDEN_PROMPT, "gguf": files,
             "float32_error": float_error, "least_tensor_effect": effect,
             "made_with": base.versions()}
    if "contexts" in row:
        entry["contexts"] = row["contexts"]
    base.write_prompts(folder / "prompts.json", entry)
    largest = max(logits.abs().max().item() for logits, _ in results)
    print(f"{name:20} logits to {largest:6.2f}  float32 error {float_error:.1e}  least effect "
          f"{effect:.2f} of {tensor}", flush=True)


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
