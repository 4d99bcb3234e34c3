"""Time of a decode step with full attention by PyTorch at a Llama's shape, all keys and values in GPU
memory, random bf16: what steps of SeamsBench of runtime/backend-cuda are compared with.

    python3 decode.py SHAPE TOKENS SEQUENCES [STEPS] [flash|cudnn]

SHAPE is 8b, 1b or 135m, or 8b:4 for four layers of it. A step is one CUDA graph: matrix products and
scaled_dot_product_attention, in which the query heads of a KV head are rows of one product, so that keys
and values are read once.
"""

import statistics
import sys

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

# layers, hidden, heads, KV heads, head dimension, feed forward, vocabulary
SHAPES = {
    "8b": (32, 4096, 32, 8, 128, 14336, 128256),
    "1b": (16, 2048, 32, 8, 64, 8192, 128256),
    "135m": (30, 576, 9, 3, 64, 1536, 49152),
}


def random(*shape):
    return torch.randn(*shape, dtype=torch.bfloat16, device="cuda") * 0.02


@torch.inference_mode()
def main():
    word, tokens, rows = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    steps = int(sys.argv[4]) if len(sys.argv) > 4 else 16
    backend = sys.argv[5] if len(sys.argv) > 5 else "flash"
    kernel = {"flash": SDPBackend.FLASH_ATTENTION, "cudnn": SDPBackend.CUDNN_ATTENTION}[backend]
    name, _, count = word.partition(":")
    layers, hidden, heads, kv_heads, dim, feed_forward, vocabulary = SHAPES[name]
    layers = int(count) if count else layers
    width = (heads + 2 * kv_heads) * dim
    embedding, output = random(vocabulary, hidden), random(vocabulary, hidden)
    gain = torch.ones(hidden, dtype=torch.bfloat16, device="cuda")
    weights = [
        (
            random(width, hidden),
            random(hidden, heads * dim),
            random(2 * feed_forward, hidden),
            random(hidden, feed_forward),
            random(rows, kv_heads, tokens, dim),
            random(rows, kv_heads, tokens, dim),
        )
        for _ in range(layers)
    ]
    last = torch.zeros(rows, dtype=torch.long, device="cuda")

    def step():
        x = F.embedding(last, embedding)
        for qkv, out, gate_up, down, keys, values in weights:
            row = F.linear(F.rms_norm(x, (hidden,), gain), qkv).view(rows, -1, dim)
            q, k, v = row.split((heads, kv_heads, kv_heads), 1)
            keys[:, :, -1], values[:, :, -1] = k, v
            q = q.reshape(rows, kv_heads, heads // kv_heads, dim)
            a = F.scaled_dot_product_attention(q, keys, values)
            x = x + F.linear(a.reshape(rows, -1), out)
            gate, up = F.linear(F.rms_norm(x, (hidden,), gain), gate_up).chunk(2, dim=-1)
            x = x + F.linear(F.silu(gate) * up, down)
        last.copy_(F.linear(F.rms_norm(x, (hidden,), gain), output).argmax(-1))

    with sdpa_kernel([kernel]):
        step()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        times = []
        for _ in range(steps + 3):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            graph.replay()
            end.record()
            torch.cuda.synchronize()
            times.append(start.elapsed_time(end))
    times = times[3:]
    median = statistics.median(times)
    print(
        f"torch {torch.__version__} {backend}, {word}, {rows} sequences of {tokens} tokens: a step"
        f" {median:.2f} ms [{min(times):.2f}, {max(times):.2f}], {rows / median * 1e3:.0f} tokens/s",
        flush=True,
    )


main()
