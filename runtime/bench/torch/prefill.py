"""Time of dense prefill by PyTorch at a Llama's shape, random bf16 weights: what PrefillBench of
runtime/backend-cuda is compared with.

    python3 prefill.py SHAPE TOKENS[,TOKENS] [RUNS] [flash|cudnn]

SHAPE is 8b, 1b or 135m, or 8b:4 for four layers of it. A prompt is computed whole, every layer by
matrix products and scaled_dot_product_attention; keys and values of all layers stay on the GPU.
"""

import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

# layers, hidden, heads, KV heads, head dimension, feed forward, vocabulary
SHAPES = {
    "8b": (32, 4096, 32, 8, 128, 14336, 128256),
    "1b": (16, 2048, 32, 8, 64, 8192, 128256),
    "135m": (30, 576, 9, 3, 64, 1536, 49152),
}


def matrix(rows, cols):
    return torch.randn(rows, cols, dtype=torch.bfloat16, device="cuda") * 0.02


def rotate(x, cosine, sine):
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1)


@torch.inference_mode()
def main():
    word, lengths = sys.argv[1], [int(n) for n in sys.argv[2].split(",")]
    runs = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    backend = sys.argv[4] if len(sys.argv) > 4 else "flash"
    kernel = {"flash": SDPBackend.FLASH_ATTENTION, "cudnn": SDPBackend.CUDNN_ATTENTION}[backend]
    name, _, count = word.partition(":")
    layers, hidden, heads, kv_heads, dim, feed_forward, vocabulary = SHAPES[name]
    layers = int(count) if count else layers
    width = (heads + 2 * kv_heads) * dim
    embedding = matrix(vocabulary, hidden)
    gain = torch.ones(hidden, dtype=torch.bfloat16, device="cuda")
    weights = [
        (
            matrix(width, hidden),
            matrix(hidden, heads * dim),
            matrix(2 * feed_forward, hidden),
            matrix(hidden, feed_forward),
        )
        for _ in range(layers)
    ]
    frequencies = 500_000 ** (-torch.arange(0, dim, 2, device="cuda") / dim)

    def prefill(tokens):
        x = F.embedding(tokens, embedding)
        angles = torch.arange(len(tokens), device="cuda")[:, None] * frequencies
        cosine, sine = angles.cos().bfloat16(), angles.sin().bfloat16()
        cache = []
        for qkv, out, gate_up, down in weights:
            rows = F.linear(F.rms_norm(x, (hidden,), gain), qkv).view(len(tokens), -1, dim)
            q, k, v = (r.transpose(0, 1)[None] for r in rows.split((heads, kv_heads, kv_heads), 1))
            q, k = rotate(q, cosine, sine), rotate(k, cosine, sine)
            cache.append((k, v.contiguous()))
            a = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
            x = x + F.linear(a[0].transpose(0, 1).reshape(len(tokens), -1), out)
            gate, up = F.linear(F.rms_norm(x, (hidden,), gain), gate_up).chunk(2, dim=-1)
            x = x + F.linear(F.silu(gate) * up, down)
        return F.linear(F.rms_norm(x[-1:], (hidden,), gain), embedding).argmax().item()

    with sdpa_kernel([kernel]):
        for length in lengths:
            seconds = []
            for _ in range(runs + 1):
                tokens = torch.randint(vocabulary, (length,), device="cuda")
                torch.cuda.synchronize()
                start = time.perf_counter()
                prefill(tokens)
                torch.cuda.synchronize()
                seconds.append(time.perf_counter() - start)
            seconds = seconds[1:]
            median = statistics.median(seconds)
            print(
                f"torch {torch.__version__} {backend}, {word}, {length} tokens: {median:.3f} s"
                f" [{min(seconds):.3f}, {max(seconds):.3f}], {length / median:.0f} tokens/s",
                flush=True,
            )


main()
