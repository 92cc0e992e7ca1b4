"""Makes the golden models: tiny checkpoints with random weights and their logits from transformers.

Run it in an environment that has the packages of README.md:  python make_models.py [family ...]
Everything is seeded: the same versions write the same bytes. README.md says what each file holds.
"""

import argparse
import importlib.metadata
import json
import pathlib
import shutil
import tempfile
import unittest.mock

import gguf_files
import numpy
import quant_blocks
import safetensors
import safetensors.torch
import torch
import transformers
from torch.utils._python_dispatch import TorchDispatchMode

ROOT = pathlib.Path(__file__).resolve().parent
VOCABULARY = 96
SHORT_PROMPTS = (1, 7, 40)
LONG_PROMPTS = (1, 7, 40, 100)  # For scaled rope: llama's original contexts are 64.
HIDDEN_PROMPT = 1  # The prompt whose final hidden state is stored too.

# A wrong or ignored tensor must move some logit by at least this; errors of float are near 1e-5.
TENSOR_EFFECT_MIN = 0.05
# Router logits of the last expert taken and the first one left out differ by at least this, so that
# rounding cannot change which experts are chosen; the seeds of FAMILIES were searched for this.
ROUTER_MARGIN_MIN = 0.02


def config(architecture, model_type, **fields):
    """A config.json in the published style, with small defaults."""
    base = dict(
        architectures=[architecture], model_type=model_type, hidden_act="silu", hidden_size=32,
        intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=256, rms_norm_eps=1e-5, rope_theta=10000.0,
        tie_word_embeddings=False, vocab_size=VOCABULARY, bos_token_id=1, eos_token_id=2)
    base.update(fields)
    return {key: value for key, value in base.items() if value is not OMIT}


OMIT = object()  # Leaves a default out of config.json, so that the reader's default is tested.


def llama(**fields):
    return config("LlamaForCausalLM", "llama", **fields)


def mistral(**fields):
    return config("MistralForCausalLM", "mistral", head_dim=12, **fields)


def mixtral(**fields):
    return config("MixtralForCausalLM", "mixtral", num_local_experts=8, num_experts_per_tok=2,
                  num_hidden_layers=2, intermediate_size=32, rope_theta=1000000.0, **fields)


def qwen2(**fields):
    return config("Qwen2ForCausalLM", "qwen2", rms_norm_eps=1e-6, rope_theta=1000000.0, **fields)


def qwen3(**fields):
    return config("Qwen3ForCausalLM", "qwen3", head_dim=12, attention_bias=False,
                  rope_theta=1000000.0, use_sliding_window=False, sliding_window=None, **fields)


def qwen3_moe(**fields):
    return config("Qwen3MoeForCausalLM", "qwen3_moe", head_dim=12, rms_norm_eps=1e-6,
                  attention_bias=False, rope_theta=1000000.0, num_experts=8,
                  num_experts_per_tok=3, moe_intermediate_size=24, **fields)


LLAMA3_ROPE = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                   original_max_position_embeddings=64)
YARN_V5 = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, beta_fast=4.0, beta_slow=0.5,
               attention_factor=1.25, original_max_position_embeddings=64)
YARN_QWEN = dict(type="yarn", factor=4.0, original_max_position_embeddings=4096)

# One row per family: config.json, type of the weights on disk, GGUF files, and what is special.
# `gguf` names the type of the matrices in each GGUF file; () where llama.cpp has no such layout.
FAMILIES = {
    # Llama 2: as many KV heads as query heads; config.json names neither head_dim nor rope_theta.
    "llama2": dict(config=llama(hidden_size=48, num_key_value_heads=4, rope_theta=OMIT),
                   dtype=torch.float32, gguf=("F32",)),
    # Llama 3.x: grouped heads, scaled rope, head_dim of its own, two shards; every GGUF type.
    "llama3": dict(config=llama(intermediate_size=96, num_hidden_layers=2,
                                head_dim=24, rope_theta=500000.0, rope_scaling=LLAMA3_ROPE),
                   gguf=("BF16", "F16", "Q8_0", "Q4_0", "Q4_1"), num_shards=2,
                   prompts=LONG_PROMPTS),
    # The biases that llama's config allows, tied embeddings, linear rope scaling (older spelling),
    # and an epsilon large enough that a wrong one shows.
    "llama-bias": dict(config=llama(attention_bias=True, mlp_bias=True, tie_word_embeddings=True,
                                    rms_norm_eps=0.01,
                                    rope_scaling=dict(type="linear", factor=4.0)),
                       dtype=torch.float16, gguf=("F16",)),
    # Yarn in the newer spelling (rope_parameters), with its own betas and attention factor.
    "llama-yarn": dict(config=llama(head_dim=32, rope_theta=OMIT, rope_parameters=YARN_V5),
                       prompts=LONG_PROMPTS),
    # SmolLM: llama with tied embeddings and three query heads to each KV head.
    "smollm": dict(config=llama(hidden_size=72, num_attention_heads=9, num_key_value_heads=3,
                                num_hidden_layers=2, tie_word_embeddings=True, bos_token_id=0),
                   gguf=("BF16",)),
    # Mistral 0.1: a window shorter than the prompt. llama.cpp's GGUF cannot say this.
    "mistral": dict(config=mistral(sliding_window=8)),
    # Mistral 0.3 and later: no window.
    "mistral-full": dict(config=mistral(sliding_window=None, rope_theta=1000000.0),
                         gguf=("BF16",)),
    # Mixtral: every layer has 8 experts, 2 used; weights of the chosen two add up to one.
    "mixtral": dict(config=mixtral(sliding_window=None), gguf=("BF16", "Q8_0"), seed=36),
    # Qwen2: biases on q, k and v only. The window is present but switched off.
    "qwen2": dict(config=qwen2(use_sliding_window=False, sliding_window=8, max_window_layers=1),
                  gguf=("BF16",)),
    # Qwen2 with the window switched on: layers 0 .. max_window_layers - 1 see everything.
    "qwen2-window": dict(config=qwen2(use_sliding_window=True, sliding_window=8,
                                      max_window_layers=1, tie_word_embeddings=True)),
    # Qwen2.5's published yarn, all defaults.
    "qwen2-yarn": dict(config=qwen2(hidden_size=64, num_attention_heads=2, num_key_value_heads=1,
                                    num_hidden_layers=2, tie_word_embeddings=True,
                                    max_position_embeddings=16384, rope_scaling=YARN_QWEN),
                       gguf=("BF16",), prompts=LONG_PROMPTS),
    # Qwen3: a norm on each head of q and k before rope; head_dim is not hidden_size / heads.
    "qwen3": dict(config=qwen3(tie_word_embeddings=True, rms_norm_eps=0.01), gguf=("BF16",)),
    # Qwen3-MoE: 8 experts, 3 used, the chosen weights add up to one.
    "qwen3-moe": dict(config=qwen3_moe(num_hidden_layers=2, norm_topk_prob=True,
                                       decoder_sparse_step=1, mlp_only_layers=[]),
                      gguf=("BF16",), seed=58),
    # Weights not normalised; of four layers only layer 1 has experts. No GGUF layout for that.
    "qwen3-moe-mixed": dict(config=qwen3_moe(num_hidden_layers=4, norm_topk_prob=False,
                                             decoder_sparse_step=2, mlp_only_layers=[3]),
                            seed=30),
}


# ---- Weights -------------------------------------------------------------------------------------


def published_shapes(folder):
    """Tensor names and shapes as transformers saves this architecture, in published names."""
    with tempfile.TemporaryDirectory() as scratch:
        settings = transformers.AutoConfig.from_pretrained(folder)
        transformers.AutoModelForCausalLM.from_config(settings).save_pretrained(scratch)
        with safetensors.safe_open(f"{scratch}/model.safetensors", "pt") as saved:
            return {name: saved.get_slice(name).get_shape() for name in saved.keys()}


def random_weights(shapes, dtype, seed):
    """Weights large enough that every detail shows in the logits: see TENSOR_EFFECT_MIN."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in sorted(shapes.items()):
        normal = torch.randn(shape, generator=generator, dtype=torch.float64)
        if name.endswith("norm.weight"):
            values = 1.0 + 0.3 * normal
        elif name.endswith(".bias"):
            values = 0.4 * normal
        elif name == "model.embed_tokens.weight":
            values = 0.7 * normal
        else:
            gain = 1.8 if ".q_proj." in name or ".k_proj." in name else 1.3
            gain = 2.0 if ".gate.weight" in name or name == "lm_head.weight" else gain
            values = gain / shape[-1] ** 0.5 * normal
        weights[name] = values.to(dtype)
    return weights


def write_weights(folder, weights, num_shards):
    metadata = {"format": "pt"}
    if num_shards == 1:
        safetensors.torch.save_file(weights, folder / "model.safetensors", metadata)
        return
    names = sorted(weights)
    weight_map = {}
    for shard in range(num_shards):
        file_name = f"model-{shard + 1:05d}-of-{num_shards:05d}.safetensors"
        part = {name: weights[name] for name in names[shard::num_shards]}
        safetensors.torch.save_file(part, folder / file_name, metadata)
        weight_map.update({name: file_name for name in part})
    num_bytes = sum(tensor.nbytes for tensor in weights.values())
    index = {"metadata": {"total_size": num_bytes}, "weight_map": dict(sorted(weight_map.items()))}
    write_json(folder / "model.safetensors.index.json", index)


# ---- Logits --------------------------------------------------------------------------------------


class OnlyDouble(TorchDispatchMode):
    """Fails when any operation of a run that should be all double yields a narrower float."""

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        result = function(*arguments, **(options or {}))
        if isinstance(result, torch.Tensor) and result.is_floating_point():
            assert result.dtype == torch.float64, f"{function} yields {result.dtype}"
        return result


class EverythingInDouble:
    """Makes transformers' own conversions to float32 (norms, softmax, rope) go to double."""

    def __enter__(self):
        self._patches = [
            unittest.mock.patch.object(torch, "float32", torch.float64),
            unittest.mock.patch.object(torch, "float", torch.float64),
            unittest.mock.patch.object(torch.Tensor, "float", torch.Tensor.double),
        ]
        for patch in self._patches:
            patch.start()
        self._only_double = OnlyDouble()
        self._only_double.__enter__()

    def __exit__(self, *error):
        self._only_double.__exit__(*error)
        for patch in self._patches:
            patch.stop()


def load(folder, dtype):
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation="eager", experts_implementation="eager")
    return model.eval()


def load_double(folder):
    model = load(folder, torch.float64)
    rope = model.model.rotary_emb
    with EverythingInDouble():
        make = (rope.compute_default_rope_parameters if rope.rope_type == "default" else
                transformers.modeling_rope_utils.ROPE_INIT_FUNCTIONS[rope.rope_type])
        rope.inv_freq, rope.attention_scaling = make(rope.config)
    return model


def run(model, prompts):
    """Logits [T, V] and final normed hidden states [T, E] of each prompt."""
    double = model.dtype == torch.float64
    results = []
    with torch.no_grad():
        for prompt in prompts:
            ids = torch.tensor([prompt])
            if double:
                with EverythingInDouble():
                    hidden = model.model(ids, use_cache=False).last_hidden_state
                    logits = model.lm_head(hidden)
            else:
                hidden = model.model(ids, use_cache=False).last_hidden_state
                logits = model.lm_head(hidden)
            results.append((logits[0], hidden[0]))
    return results


def router_margin(model, prompts):
    """The smallest lead of a chosen expert over one left out, over all layers and tokens."""
    margins = []

    def look(router, _, output):
        ranked = output[0].sort(dim=-1, descending=True).values
        margins.append((ranked[:, router.top_k - 1] - ranked[:, router.top_k]).min().item())

    hooks = [module.register_forward_hook(look) for module in model.modules()
             if type(module).__name__.endswith("TopKRouter")]
    run(model, prompts)
    for hook in hooks:
        hook.remove()
    return min(margins, default=None)


def least_tensor_effect(model, prompts, results):
    """The smallest largest change of a logit when one tensor is ignored (norms: taken as one)."""
    effects = {}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            kept = parameter.clone()
            parameter.fill_(1.0 if name.endswith("norm.weight") else 0.0)
            effects[name] = largest_difference(run(model, prompts), results)
            parameter.copy_(kept)
    return min(effects.items(), key=lambda item: item[1])


def largest_difference(results, others):
    return max((a[0].double() - b[0].double()).abs().max().item()
               for a, b in zip(results, others))


def write_logits(path, results):
    tensors = {f"logits.{i}": logits.float().contiguous() for i, (logits, _) in enumerate(results)}
    tensors[f"hidden.{HIDDEN_PROMPT}"] = results[HIDDEN_PROMPT][1].float().contiguous()
    safetensors.torch.save_file(tensors, path)


# ---- Families ------------------------------------------------------------------------------------


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n")


def write_prompts(path, values):
    """One line per key, so that a prompt is not a column of numbers."""
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in values.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def versions():
    names = ("torch", "transformers", "safetensors", "gguf", "numpy")
    return {name: importlib.metadata.version(name) for name in names}


def make_gguf(name, folder, kind, weights, prompts):
    """Writes a GGUF file and, if its weights differ from the folder's, logits of its own."""
    stem = f"model-{kind.lower()}"
    settings = transformers.AutoConfig.from_pretrained(folder)
    stored = gguf_files.write(folder / f"{stem}.gguf", f"golden {name}", settings,
                              weights, kind)
    entry = {"file": f"{stem}.gguf", "logits": "logits.safetensors"}
    if any(not torch.equal(stored[key].double(), weights[key].double()) for key in weights):
        entry["logits"] = f"logits-{kind.lower()}.safetensors"
        with tempfile.TemporaryDirectory() as scratch:
            scratch = pathlib.Path(scratch)
            shutil.copy(folder / "config.json", scratch)
            write_weights(scratch, stored, 1)
            model = load_double(scratch)
        write_logits(folder / entry["logits"], run(model, prompts))
        margin = router_margin(model, prompts)
        assert margin is None or margin > ROUTER_MARGIN_MIN, f"{stem}: router margin {margin}"
        expected = "model.layers.0.mlp.down_proj.weight"
        if expected in stored and name == "llama3":
            safetensors.torch.save_file({"blk.0.ffn_down.weight": stored[expected].float()},
                                        folder / f"dequantised-{kind.lower()}.safetensors")
    return entry


def make_family(name):
    row = FAMILIES[name]
    folder = ROOT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    dtype = row.get("dtype", torch.bfloat16)
    dtype_key = "dtype" if "rope_parameters" in row["config"] else "torch_dtype"  # Newer, older.
    write_json(folder / "config.json", {**row["config"], dtype_key: str(dtype).split(".")[1]})

    seed = row.get("seed", 1)
    weights = random_weights(published_shapes(folder), dtype, seed)
    write_weights(folder, weights, row.get("num_shards", 1))
    random = numpy.random.default_rng(seed)
    prompts = [random.integers(3, VOCABULARY, length).tolist()
               for length in row.get("prompts", SHORT_PROMPTS)]

    model = load_double(folder)
    results = run(model, prompts)
    write_logits(folder / "logits.safetensors", results)
    margin = router_margin(model, prompts)
    assert margin is None or margin > ROUTER_MARGIN_MIN, f"{name}: router margin {margin}"
    tensor, effect = least_tensor_effect(model, prompts, results)
    assert effect > TENSOR_EFFECT_MIN, f"{name}: {tensor} moves no logit by more than {effect}"
    float_error = largest_difference(run(load(folder, torch.float32), prompts), results)

    files = [make_gguf(name, folder, kind, weights, prompts) for kind in row.get("gguf", ())]
    if name == "llama3":
        files.append(gguf_files.copy_as_version_2(folder, files[0]))
    write_prompts(folder / "prompts.json", {
        "family": name, "prompts": prompts, "hidden_prompt": HIDDEN_PROMPT, "gguf": files,
        "float32_error": float_error, "least_tensor_effect": effect, "made_with": versions()})
    largest = max(logits.abs().max().item() for logits, _ in results)
    print(f"{name:16} logits to {largest:6.2f}  float32 error {float_error:.1e}  least effect "
          f"{effect:.2f} of {tensor}  router margin {margin}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("families", nargs="*", help="rows of FAMILIES, or `blocks`; default: all")
    chosen = parser.parse_args().families or [*FAMILIES, "blocks"]
    torch.set_num_threads(1)  # Sums in one order, whatever the machine.
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for name in chosen:
        if name == "blocks":
            quant_blocks.write(ROOT / "blocks.safetensors")
        else:
            make_family(name)


if __name__ == "__main__":
    main()
