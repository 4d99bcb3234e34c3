#!/usr/bin/env python3
"""Makes src/test/resources/goldens: tiny random models and what Hugging Face transformers computes.

    python3 -m venv venv && venv/bin/pip install torch transformers gguf safetensors
    venv/bin/python make_goldens.py ../resources/goldens [NAME...]

Every model is written first and its logits are then computed, in float32, from what was written: a
folder by loading the folder, a GGUF file by dequantising its tensors with the `gguf` package into
the same transformers model. So quantisation error is on both sides, and only the reader and the
arithmetic are compared. The dequantisers' own goldens are blocks of random bytes and the values
that the `gguf` package makes of them.
"""

import json
import shutil
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as T
from safetensors.torch import save_file
from transformers import (AutoModelForCausalLM, AutoModelForImageTextToText, GraniteConfig, LlamaConfig,
                          Ministral3Config, Mistral3Config, MistralConfig, Olmo2Config, Phi3Config,
                          PixtralVisionConfig, Qwen2Config, Qwen3Config, SmolLM3Config)

VOCAB = 160
PROMPT = 40
BASE = dict(
    vocab_size=VOCAB,
    hidden_size=64,
    intermediate_size=96,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=256,
    rms_norm_eps=1e-5,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=0,
    tie_word_embeddings=False,
)
SMALL = dict(BASE, hidden_size=32, intermediate_size=64, num_hidden_layers=1, head_dim=16, num_attention_heads=2,
             num_key_value_heads=1)
LLAMA3 = dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=32)


def rng(name):
    return np.random.default_rng([ord(c) for c in name])


def random_model(name, config, kind=AutoModelForCausalLM):
    """A model whose attention, norms and biases all matter to its logits."""
    r = rng(name)
    model = kind.from_config(config, attn_implementation="eager")
    with torch.no_grad():
        for key, p in model.named_parameters():
            if p.dim() == 2:
                gain = 2.5 if "q_proj" in key or "k_proj" in key or "qkv" in key else 1.6
                std = 0.6 if "embed" in key else gain / np.sqrt(p.shape[1])
                values = r.normal(0, std, p.shape)
            elif "bias" in key:
                values = r.normal(0, 0.5, p.shape)
            else:
                values = 1 + r.normal(0, 0.2, p.shape)
            p.copy_(torch.tensor(values, dtype=torch.float32))
    return model


def prompt(name, length=PROMPT):
    return rng(name + "/prompt").integers(3, VOCAB, length).tolist()


def logits(model, tokens):
    model = model.float().eval()
    with torch.no_grad():
        return model(torch.tensor([tokens])).logits[0].float().numpy()


class Out:
    def __init__(self, root):
        self.root = root
        self.index = []

    def golden(self, model_path, tokens, context, values, suffix=""):
        file = model_path.replace(".gguf", "-gguf") + suffix + ".f32"
        values.astype("<f4").tofile(self.root / file)
        self.index.append(dict(model=model_path, context=context, tokens=tokens, vocabulary=VOCAB, logits=file))
        print(f"{model_path:24} {suffix:8} logits std {values.std():.3f} max {np.abs(values).max():.3f}")


# ---- Hugging Face folders -------------------------------------------------------------------------------------------

def v4(config):
    """The configuration as transformers 4 wrote it."""
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    if "partial_rotary_factor" in rope:
        config["partial_rotary_factor"] = rope.pop("partial_rotary_factor")
    config["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    config["torch_dtype"] = config.pop("dtype")
    return config


def nested_folder(out, name, text, old=False):
    """The text part of a model that also sees: its weights in a folder of the whole model."""
    vision = PixtralVisionConfig(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
                                 head_dim=8, image_size=28, patch_size=14)
    config = Mistral3Config(vision_config=vision, text_config=text, image_token_index=3,
                            tie_word_embeddings=text.tie_word_embeddings)
    config.dtype = torch.bfloat16
    path = out.root / name
    path.mkdir()
    model = random_model(name, config, AutoModelForImageTextToText)
    tensors = {k: v.to(torch.bfloat16).contiguous() for k, v in model.state_dict().items()}
    if old:
        tensors = {k.removeprefix("model.") if not k.startswith("model.language_model.") else
                   k.replace("model.language_model.", "language_model.model."): v for k, v in tensors.items()}
        tensors = {("language_model." + k if k.startswith("lm_head") else k): v for k, v in tensors.items()}
    if text.tie_word_embeddings:
        tensors = {k: v for k, v in tensors.items() if "lm_head" not in k}
    save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
    whole = config.to_dict()
    inner = {k: v for k, v in whole["text_config"].items() if k in KEPT or "rope" in k}
    (path / "config.json").write_text(json.dumps({
        "architectures": [type(model).__name__], "model_type": "mistral3", "dtype": "bfloat16",
        "tie_word_embeddings": text.tie_word_embeddings, "image_token_index": 3,
        "text_config": v4(dict(inner, dtype="bfloat16")) if old else inner,
        "vision_config": {k: whole["vision_config"][k] for k in
                          ("model_type", "hidden_size", "num_hidden_layers", "image_size", "patch_size")},
    }, indent=2) + "\n")
    full = dict(whole, dtype="float32")
    loaded = AutoModelForImageTextToText.from_pretrained(path, config=Mistral3Config(**full), dtype=torch.float32,
                                                         attn_implementation="eager")
    tokens = [t if t != 3 else 4 for t in prompt(name)]
    out.golden(name, tokens, 0, logits(loaded, tokens))


def folder(out, name, config, dtype=torch.bfloat16, shards=1, old=False, prompts=((PROMPT, 0, ""),)):
    path = out.root / name
    path.mkdir()
    config.dtype = dtype
    model = random_model(name, config)
    tensors = {k: v.to(dtype).contiguous() for k, v in model.state_dict().items()}
    if config.tie_word_embeddings:
        tensors.pop("lm_head.weight", None)
    if shards == 1:
        save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
    else:
        weight_map = {}
        keys = list(tensors)
        for i in range(shards):
            file = f"model-{i + 1:05}-of-{shards:05}.safetensors"
            part = {k: tensors[k] for k in keys[i::shards]}
            save_file(part, path / file, metadata={"format": "pt"})
            weight_map.update({k: file for k in part})
        (path / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    text = config.to_dict()
    text = {k: v for k, v in text.items() if k in KEPT or "rope" in k}
    text["architectures"] = [type(model).__name__]
    text["dtype"] = str(dtype).replace("torch.", "")
    (path / "config.json").write_text(json.dumps(v4(text) if old else text, indent=2) + "\n")
    loaded = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager")
    for length, context, suffix in prompts:
        tokens = prompt(name + suffix, length)
        out.golden(name, tokens, context, logits(loaded, tokens), suffix)


KEPT = {"model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "num_key_value_heads", "head_dim", "hidden_act", "max_position_embeddings", "original_max_position_embeddings",
        "rms_norm_eps", "tie_word_embeddings", "sliding_window", "use_sliding_window", "max_window_layers",
        "attention_bias", "mlp_bias", "embedding_multiplier", "residual_multiplier", "attention_multiplier",
        "logits_scaling", "no_rope_layers", "layer_types", "bos_token_id", "eos_token_id", "pad_token_id", "partial_rotary_factor"}


# ---- GGUF files -----------------------------------------------------------------------------------------------------

def interleave(weight, heads):
    """Rows of a query or key projection from half-rotation to interleaved rope order."""
    rows = weight.shape[0]
    return weight.reshape(heads, 2, rows // heads // 2, -1).swapaxes(1, 2).reshape(weight.shape)


def halve(weight, heads):
    rows = weight.shape[0]
    return weight.reshape(heads, rows // heads // 2, 2, -1).swapaxes(1, 2).reshape(weight.shape)


GGUF_NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
LAYER_NAMES = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "self_attn.qkv_proj": "attn_qkv",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.gate_up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


# Rows of queries and keys are interleaved in their files, as llama.cpp rotates them.
INTERLEAVED = {"llama", "mistral3", "granite", "smollm3"}


def gguf_name(key, arch):
    if key in GGUF_NAMES:
        return GGUF_NAMES[key]
    _, _, layer, rest = key.split(".", 3)
    stem, kind = rest.rsplit(".", 1)
    if arch == "olmo2" and stem == "post_attention_layernorm":
        return f"blk.{layer}.post_attention_norm.{kind}"
    return f"blk.{layer}.{LAYER_NAMES[stem]}.{kind}"


# Scale of a block and ratio of its minimum to it, such that weights are about as large as elsewhere.
K_SCALES = {T.Q2_K: (0.008, 1.5), T.Q3_K: (0.0017, None), T.Q4_K: (0.00022, 7.5), T.Q5_K: (0.00011, 15.5),
            T.Q6_K: (0.00007, None), T.IQ4_NL: (0.0015, None), T.IQ4_XS: (0.00008, None), T.MXFP4: (120, None)}
# Where a block has its scale.
SCALE_AT = {T.Q2_K: 80, T.Q3_K: 108, T.Q6_K: 208}


def random_blocks(r, quant, rows, cols):
    """K-quant blocks of random bits with sane scales, since the gguf package only reads them."""
    elements, size = gguf.GGML_QUANT_SIZES[quant]
    blocks = r.integers(0, 256, (rows, cols // elements, size), dtype=np.uint8)
    d, ratio = K_SCALES[quant]
    scale = (d * r.uniform(0.5, 1.5, (rows, cols // elements, 1))).astype("<f2")
    at = SCALE_AT.get(quant, 0)
    if quant == T.MXFP4:
        blocks[..., 0] = r.integers(d, d + 3, blocks.shape[:-1])  # an exponent
        return blocks.reshape(rows, -1)
    blocks[..., at:at + 2] = scale.view(np.uint8)
    if ratio:
        blocks[..., at + 2:at + 4] = (scale.astype(np.float32) * ratio).astype("<f2").view(np.uint8)
    return blocks.reshape(rows, -1)


def gguf_file(out, name, arch, config, types, extra=None, tensors=None, prompts=((PROMPT, 0, ""),)):
    """types: name of a tensor in the file -> type of matrices."""
    model = random_model(name, config)
    r = rng(name + "/blocks")
    writer = gguf.GGUFWriter(out.root / name, arch)
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_name(name)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(int(head_dim * config.rope_parameters.get("partial_rotary_factor", 1)))
    for key, value in (extra or {}).items():
        writer.add_float32(f"{arch}.{key}", value) if isinstance(value, float) else (
            writer.add_string(f"{arch}.{key}", value) if isinstance(value, str) else
            writer.add_uint32(f"{arch}.{key}", value))
    for key, value in (tensors or {}).items():
        writer.add_tensor(key, np.array(value, dtype=np.float32))
    state = model.state_dict()
    for key in list(state):
        if key == "lm_head.weight" and config.tie_word_embeddings:
            continue
        weight = state[key].float().numpy()
        target = gguf_name(key, arch)
        heads = None
        if arch in INTERLEAVED and ".attn_q." in target:
            heads = config.num_attention_heads
        elif arch in INTERLEAVED and ".attn_k." in target:
            heads = config.num_key_value_heads
        if heads:
            weight = interleave(weight, heads)
        quant = types(target) if weight.ndim == 2 else T.F32
        if quant in K_SCALES:
            data = random_blocks(r, quant, *weight.shape)
        elif quant == T.F32:
            data = weight
        elif quant == T.F16:
            data = weight.astype(np.float16)
        else:
            data = gguf.quantize(weight, quant)
        if quant in (T.F32, T.F16):
            writer.add_tensor(target, np.ascontiguousarray(data))
            stored = data.astype(np.float32)
        else:
            writer.add_tensor(target, data, raw_dtype=quant)
            stored = gguf.dequantize(data, quant).reshape(weight.shape)
        if heads:
            stored = halve(stored, heads)
        state[key] = torch.tensor(stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    if config.tie_word_embeddings:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.load_state_dict(state)
    for length, context, suffix in prompts:
        tokens = prompt(name + suffix, length)
        out.golden(name, tokens, context, logits(model, tokens), suffix)


def split(root, name, tensors):
    """The file's model once more, split into parts of so many tensors by the gguf package."""
    reader = gguf.GGUFReader(root / name)
    folder = root / "split"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    arch = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(folder / "llama-split.gguf", arch, split_max_tensors=tensors)
    for field in reader.fields.values():
        if not field.name.startswith("GGUF.") and field.name != "general.architecture":
            writer.add_key_value(field.name, field.contents(), field.types[0])
    for t in reader.tensors:
        writer.add_tensor(t.name, t.data, raw_dtype=t.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def llama3_divisors(rope, head_dim):
    """rope_freqs.weight as llama.cpp's converter makes it."""
    divisors = []
    for i in range(0, head_dim, 2):
        wavelength = 2 * np.pi * rope["rope_theta"] ** (i / head_dim)
        original, low, high = rope["original_max_position_embeddings"], rope["low_freq_factor"], rope["high_freq_factor"]
        if wavelength < original / high:
            divisors.append(1.0)
        elif wavelength > original / low:
            divisors.append(rope["factor"])
        else:
            smooth = (original / wavelength - low) / (high - low)
            divisors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return divisors


def mixed(target):
    kinds = [T.F32, T.F16, T.BF16, T.Q8_0, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1]
    return kinds[sum(target.encode()) % len(kinds)]


def small_quants(target):
    kinds = [T.Q2_K, T.Q3_K, T.IQ4_XS, T.IQ4_NL, T.MXFP4]
    return kinds[sum(target.encode()) % len(kinds)]


def k_quants(target):
    if target in ("token_embd.weight", "output.weight"):
        return T.Q6_K
    return [T.Q4_K, T.Q5_K, T.Q6_K][sum(target.encode()) % 3]


# ---- dequantisers ---------------------------------------------------------------------------------------------------

def dequantisers(root):
    root.mkdir()
    r = rng("dequantisers")
    for quant in (T.F16, T.BF16, T.Q8_0, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q4_K, T.Q5_K, T.Q6_K, T.Q2_K, T.Q3_K,
                  T.IQ4_NL, T.IQ4_XS, T.MXFP4):
        elements, size = gguf.GGML_QUANT_SIZES[quant]
        n = 1024 // elements
        data = r.integers(0, 256, (n, size), dtype=np.uint8)
        half = r.normal(0, 0.5, (n, 2)).astype("<f2").view(np.uint8)
        if quant == T.F16:
            data = half[:, :2].copy()
        elif quant == T.BF16:
            data = gguf.quantize(r.normal(0, 1, (n, 1)).astype(np.float32), T.BF16)
        elif quant in SCALE_AT:
            at = SCALE_AT[quant]
            width = 4 if quant == T.Q2_K else 2
            data[:, at:at + width] = half[:, :width]
        elif quant == T.MXFP4:
            data[:, 0] = r.integers(100, 140, n)
            data[0, 0], data[1, 0], data[2, 0] = 0, 1, 2
        else:
            width = 4 if quant in (T.Q4_1, T.Q5_1, T.Q4_K, T.Q5_K) else 2
            data[:, :width] = half[:, :width]
        data = np.ascontiguousarray(data).view(np.uint8).reshape(1, -1)
        values = data.view("<f2").astype(np.float32) if quant == T.F16 else gguf.dequantize(data, quant)
        assert values.size == 1024 and np.isfinite(values).all(), quant
        data.tofile(root / f"{quant.name}.blocks")
        values.astype("<f4").tofile(root / f"{quant.name}.f32")


class Part:
    """Where only goldens of some names are made anew: the others' files stay as they are."""

    def __init__(self, names, write):
        self.names, self.write = names, write

    def __call__(self, out, name, *args, **kw):
        if not self.names or name in self.names:
            self.write(out, name, *args, **kw)


def main(root, *names):
    """names: of the goldens to make; all, in an empty folder, without."""
    if not names:
        shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.rmtree(root / name, ignore_errors=True)
    global folder, gguf_file, nested_folder
    folder, gguf_file, nested_folder = (Part(names, f) for f in (folder, gguf_file, nested_folder))
    torch.set_num_threads(1)
    out = Out(root)

    folder(out, "llama", LlamaConfig(**BASE), shards=2, old=True)
    folder(out, "llama3", LlamaConfig(**dict(BASE, tie_word_embeddings=True), rope_parameters=dict(LLAMA3)),
           dtype=torch.float16, old=True)
    folder(out, "llama-linear", LlamaConfig(**SMALL, rope_parameters=dict(
        rope_type="linear", rope_theta=10000.0, factor=4.0)), dtype=torch.float32)
    folder(out, "mistral", MistralConfig(**BASE, sliding_window=64), old=True)
    folder(out, "qwen2", Qwen2Config(**dict(BASE, tie_word_embeddings=True), rope_parameters=dict(
        rope_type="default", rope_theta=1000000.0)), old=True)
    folder(out, "qwen3", Qwen3Config(**dict(BASE, tie_word_embeddings=True), head_dim=24))
    folder(out, "qwen3-yarn", Qwen3Config(**SMALL, rope_parameters=dict(
        rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=64)))
    pairs = 6
    longrope = dict(rope_type="longrope", rope_theta=10000.0, partial_rotary_factor=0.75,
                    short_factor=[1.0 + 0.1 * i for i in range(pairs)],
                    long_factor=[2.0 + 1.5 * i for i in range(pairs)])
    phi = dict(BASE, tie_word_embeddings=True, original_max_position_embeddings=32)
    both = ((24, 32, "-short"), (48, 256, "-long"))
    folder(out, "phi3", Phi3Config(**phi, rope_parameters=dict(longrope)), old=True, prompts=both)

    gguf_file(out, "llama-mixed.gguf", "llama", LlamaConfig(**BASE), mixed)
    gguf_file(out, "llama3-q8_0.gguf", "llama",
              LlamaConfig(**dict(BASE, tie_word_embeddings=True), rope_parameters=dict(LLAMA3)), lambda t: T.Q8_0,
              tensors={"rope_freqs.weight": llama3_divisors(LLAMA3, 16)})
    gguf_file(out, "llama-k.gguf", "llama", LlamaConfig(**dict(
        BASE, hidden_size=256, intermediate_size=256, num_hidden_layers=1)), k_quants)
    gguf_file(out, "qwen2-q4_0.gguf", "qwen2", Qwen2Config(**BASE), lambda t: T.Q8_0 if "output." in t else T.Q4_0)
    gguf_file(out, "qwen3-q8_0.gguf", "qwen3",
              Qwen3Config(**dict(BASE, tie_word_embeddings=True), head_dim=32), lambda t: T.Q8_0)
    gguf_file(out, "qwen3-yarn.gguf", "qwen3", Qwen3Config(**SMALL, rope_parameters=dict(
        rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=64)), lambda t: T.BF16,
              extra={"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0,
                     "rope.scaling.original_context_length": 64})
    config = Phi3Config(**phi, rope_parameters=dict(longrope))
    factor = config.max_position_embeddings / 32
    gguf_file(out, "phi3-f16.gguf", "phi3", config, lambda t: T.F16,
              extra={"rope.scaling.original_context_length": 32,
                     "rope.scaling.attn_factor": float(np.sqrt(1 + np.log(factor) / np.log(32)))},
              tensors={"rope_factors_long.weight": longrope["long_factor"],
                       "rope_factors_short.weight": longrope["short_factor"]},
              prompts=both)
    families(out)
    if not names or "split" in names:
        split(root, "llama-mixed.gguf", 8)
    if not names or "dequantisers" in names:
        dequantisers(root / "dequantisers")
    index = root / "index.json"
    kept = json.loads(index.read_text()) if names and index.exists() else []
    made = {g["model"] for g in out.index}
    entries = [g for g in kept if g["model"] not in made] + out.index
    index.write_text("[\n" + ",\n".join(json.dumps(g) for g in entries) + "\n]\n")


def families(out):
    """Families beyond plain pre-norm blocks, each as a folder and as a file."""
    folder(out, "llama-biased", LlamaConfig(**SMALL, attention_bias=True))
    folder(out, "qwen3-biased", Qwen3Config(**SMALL, attention_bias=True))
    # What the multipliers do must show, and must not drown the rest.
    granite = dict(embedding_multiplier=6.0, residual_multiplier=0.3, attention_multiplier=0.1, logits_scaling=4.0)
    folder(out, "granite", GraniteConfig(**dict(BASE, tie_word_embeddings=True), **granite))
    gguf_file(out, "granite-q8_0.gguf", "granite", GraniteConfig(**dict(BASE, tie_word_embeddings=True), **granite),
              lambda t: T.Q8_0, extra={"embedding_scale": 6.0, "residual_scale": 0.3, "attention.scale": 0.1,
                                       "logit_scale": 4.0})
    folder(out, "olmo2", Olmo2Config(**BASE))
    gguf_file(out, "olmo2-f16.gguf", "olmo2", Olmo2Config(**BASE), lambda t: T.F16)
    smollm3 = dict(SMALL, tie_word_embeddings=True, num_hidden_layers=5)
    folder(out, "smollm3", SmolLM3Config(**smollm3, no_rope_layers=[1, 0, 1, 1, 0]))
    gguf_file(out, "smollm3-bf16.gguf", "smollm3", SmolLM3Config(**smollm3), lambda t: T.BF16)
    yarn = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=16,
                beta_fast=32.0, beta_slow=1.0, mscale=1.0, mscale_all_dim=1.0, llama_4_scaling_beta=0.5)
    small = dict(SMALL, max_position_embeddings=64)
    folder(out, "ministral3", Ministral3Config(**small, rope_parameters=dict(yarn)))
    nested_folder(out, "mistral3-ministral3", Ministral3Config(**dict(small, tie_word_embeddings=True),
                                                               rope_parameters=dict(yarn)))
    nested_folder(out, "mistral3-mistral", MistralConfig(**SMALL, sliding_window=None), old=True)
    gguf_file(out, "mistral3-bf16.gguf", "mistral3", Ministral3Config(**small, rope_parameters=dict(yarn)),
              lambda t: T.BF16,
              extra={"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0,
                     "rope.scaling.original_context_length": 16, "rope.scaling.yarn_beta_fast": 32.0,
                     "rope.scaling.yarn_beta_slow": 1.0, "rope.scaling.yarn_log_multiplier": 1.0,
                     "attention.temperature_scale": 0.5})
    gguf_file(out, "llama-small.gguf", "llama", LlamaConfig(**dict(
        BASE, hidden_size=256, intermediate_size=256, num_hidden_layers=1)), small_quants)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
