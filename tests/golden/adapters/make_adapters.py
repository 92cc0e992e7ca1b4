"""Makes golden adapters of the tiny models beside this folder, with PEFT, and what they compute.

Run it in an environment that has the packages of ../models/README.md and peft:
python make_adapters.py [adapter ...]
Everything is seeded: the same versions write the same bytes. README.md says what each file holds.
"""

import argparse
import importlib.metadata
import json
import pathlib
import shutil
import sys
import zlib

import peft
import safetensors.torch
import torch

ROOT = pathlib.Path(__file__).resolve().parent
MODELS = ROOT.parent / "models"
sys.path.insert(0, str(MODELS))

import make_dense_models  # noqa: E402
import make_models  # noqa: E402

PROMPT = 2  # of prompts.json: 40 tokens
# An adapter must move the logits by this much somewhere; errors of float are near 1e-5.
ADAPTER_EFFECT_MIN = 0.3

ALL_OF_LLAMA = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
# One row per adapter: the model, PEFT's options, and the type of the tensors on disk.
ADAPTERS = {
    "llama-all": dict(model="llama3", r=8, lora_alpha=16, target_modules=ALL_OF_LLAMA),
    # Scaled by the root of the rank, few modules, half-sized numbers.
    "llama-root": dict(model="llama3", r=4, lora_alpha=8, use_rslora=True,
                       target_modules=["q_proj", "v_proj"], dtype=torch.bfloat16),
    # Ranks and scales by pattern, more than a panel of ranks, modules by regular expression.
    "llama-patterns": dict(
        model="llama3", r=5, lora_alpha=7, dtype=torch.float16,
        target_modules=r".*\.layers\.[01]\.(self_attn\.(?:q|k)_proj|mlp\.down_proj)",
        rank_pattern={"q_proj": 20, r"layers.1\.mlp.down_proj": 3},
        alpha_pattern={"^model.layers.0.self_attn.q_proj": 40, "q_proj|k_proj": 9}),
    "qwen2-all": dict(model="qwen2", r=16, lora_alpha=16, target_modules="all-linear"),
    # One adapted module is q, k and v, another one gate and up.
    "phi3-fused": dict(model="phi3", r=6, lora_alpha=12,
                       target_modules=["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]),
    "gpt-neox-grouped": dict(
        model="gpt-neox", r=6, lora_alpha=12,
        target_modules=["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"]),
    # The model's matrices are stored across, the adapter's are not.
    "gpt2-across": dict(model="gpt2", r=6, lora_alpha=12, fan_in_fan_out=True,
                        target_modules=["c_attn", "c_proj", "c_fc"]),
    # Norms of outputs come after what the adapter adds.
    "gemma2-all": dict(model="gemma2", r=8, lora_alpha=8, target_modules=ALL_OF_LLAMA),
    # Parts that are held back and scaled before they are added.
    "granite-all": dict(model="granite", r=8, lora_alpha=8, target_modules=ALL_OF_LLAMA),
}
# Models whose pooled states are stored without an adapter too.
PLAIN = ("llama3", "qwen2")


def run(model, prompt):
    """Logits [T, V], and the mean and the last of the final normed hidden states."""
    ids = torch.tensor([prompt])

    def forward():
        with torch.no_grad():
            body = model.base_model if isinstance(model, peft.PeftModel) else model
            body = body.model if isinstance(model, peft.PeftModel) else body
            hidden = body.base_model(ids, use_cache=False).last_hidden_state
            return body(ids, use_cache=False).logits[0], hidden[0].mean(0), hidden[0, -1]

    if model.dtype != torch.float64:
        return forward()
    with make_dense_models.double_by_default(), make_models.EverythingInDouble():
        return forward()


def write_expected(path, double, single):
    names = ("logits", "mean", "last")
    safetensors.torch.save_file(
        {name: value.to(torch.float32).contiguous() for name, value in zip(names, double)},
        path / "expected.safetensors")
    return {name: (a - b.double()).abs().max().item()
            for name, a, b in zip(names, double, single)}


def versions():
    names = ("torch", "transformers", "peft", "safetensors")
    return {name: importlib.metadata.version(name) for name in names}


def prompt_of(model):
    return json.loads((MODELS / model / "prompts.json").read_text())["prompts"][PROMPT]


def adapted(base, options, weights):
    """The model with an adapter of random weights, or of those given."""
    options = dict(options)
    dtype = options.pop("dtype", torch.float32)
    options.pop("model")
    model = peft.get_peft_model(base, peft.LoraConfig(task_type="CAUSAL_LM", **options))
    for name, value in model.named_parameters():
        if ".lora_" not in name:
            continue
        if name not in weights:
            generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
            width = 0.25 if ".lora_A." in name else 0.15
            drawn = torch.randn(value.shape, generator=generator, dtype=torch.float32)
            weights[name] = (drawn * width).to(dtype)
        value.data = weights[name].to(value.dtype if base.dtype != torch.float64
                                      else torch.float64)
    return model.eval()


def make_adapter(name):
    options = ADAPTERS[name]
    folder = ROOT / name
    shutil.rmtree(folder, ignore_errors=True)
    base = MODELS / options["model"]
    prompt = prompt_of(options["model"])
    weights = {}
    double = run(adapted(make_dense_models.load_double(base), options, weights), prompt)
    single_model = adapted(make_models.load(base, torch.float32), options, weights)
    single = run(single_model, prompt)
    plain = run(make_dense_models.load_double(base), prompt)
    effect = (plain[0] - double[0]).abs().max().item()
    assert effect > ADAPTER_EFFECT_MIN, (name, effect)
    single_model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = options["model"]
    for key in ("target_modules",):  # PEFT keeps a set, whose order changes.
        if isinstance(config[key], list):
            config[key].sort()
    make_models.write_json(folder / "adapter_config.json", config)
    stored = safetensors.torch.load_file(folder / "adapter_model.safetensors")
    dtype = options.get("dtype", torch.float32)
    stored = {key: value.to(dtype).contiguous() for key, value in stored.items()}
    safetensors.torch.save_file(stored, folder / "adapter_model.safetensors")
    errors = write_expected(folder, double, single)
    make_models.write_json(folder / "golden.json", {
        "model": options["model"], "prompt": prompt, "float32_errors": errors, "effect": effect,
        "made_with": versions()})


def make_plain(name):
    folder = ROOT / ("plain-" + name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    prompt = prompt_of(name)
    double = run(make_dense_models.load_double(MODELS / name), prompt)
    single = run(make_models.load(MODELS / name, torch.float32), prompt)
    errors = write_expected(folder, double, single)
    make_models.write_json(folder / "golden.json", {
        "model": name, "prompt": prompt, "float32_errors": errors, "made_with": versions()})


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    names = parser.parse_args().names
    for name in ADAPTERS:
        if not names or name in names:
            make_adapter(name)
    for name in PLAIN:
        if not names or name in names:
            make_plain(name)


if __name__ == "__main__":
    main()
