"""Draws a layer of a decode step from what kernels.cpp wrote: a row for each kernel, microseconds to the right.

    python3 timeline.py TIMELINE.csv[.gz] OUT.svg [STEP [LAYER]]

STEP counts the steps in the file from its end, 2 where it is not said; LAYER is 10 then. Printed are the lengths of the step's layers
and what its kernels take. A kernel may be brought to the GPU while the one before it still runs, and waits there: that is part of its bar.
"""

import collections
import csv
import gzip
import html
import sys

KINDS = (
    ("product", ("nvjet", "gemm", "splitK", "packed"), "#4878a8"),
    ("select", ("weigh", "score", "share", "best", "keySlots", "diff", "summarise", "join"), "#d8973c"),
    ("fetch", ("fetch", "land", "copy"), "#b0413e"),
    ("attend", ("attend", "staged", "estimate", "finish"), "#5c9a5c"),
    ("other", ("",), "#8c8c8c"),
)
FIRST_OF_STEP, FIRST_OF_LAYER = "embed", "rmsNorm"


def kind(name):
    return next((label, colour) for label, parts, colour in KINDS if any(part in name for part in parts))


def short(name):
    name = name.split("cublasLt")[-1].lstrip("0123456789") if "cublasLt" in name else name
    return "product" if name.startswith("nvjet") else name.split("ILi")[0]


def read(path):
    opened = gzip.open(path, "rt") if path.endswith(".gz") else open(path)
    with opened as file:
        fields = "start,end,stream,graph,node,blocks,threads,registers,shared,bytes,name".split(",")
        rows = [r for r in csv.DictReader(file, fieldnames=fields) if r["start"] != "start" and r["name"]]
    for row in rows:
        row["start"], row["end"] = int(row["start"]), int(row["end"])
    return sorted(rows, key=lambda row: row["start"])


def main():
    path, out = sys.argv[1:3]
    back = int(sys.argv[3]) if len(sys.argv) > 3 else 2
    wanted = int(sys.argv[4]) if len(sys.argv) > 4 else 10
    rows = read(path)
    steps = [i for i, row in enumerate(rows) if row["name"] == FIRST_OF_STEP]
    if len(steps) <= back:
        sys.exit(f"{path} has {max(0, len(steps) - 1)} whole steps; {back} were counted from its end")
    step = rows[steps[-back - 1] : steps[-back]]
    norms = [i for i, row in enumerate(step) if row["name"] == FIRST_OF_LAYER]
    layers = norms[::2]  # one before attention, one before the MLP; the last is of the logits
    if wanted + 1 >= len(layers):
        sys.exit(f"the step has {len(layers) - 1} layers, of which {wanted} is none")
    lengths = [(step[b]["start"] - step[a]["start"]) / 1e3 for a, b in zip(layers, layers[1:])]
    print(f"a step of {len(step)} kernels, layers of {min(lengths):.0f} to {max(lengths):.0f} us")
    takes = collections.Counter()
    for row in step:
        takes[short(row["name"])] += (row["end"] - row["start"]) / 1e3
    for name, micros in takes.most_common():
        print(f"{micros:9.1f} us  {name}")
    layer = step[layers[wanted] : layers[wanted + 1] + 1]
    draw(layer, out)


def draw(layer, out):
    begin = layer[0]["start"]
    length = (layer[-1]["end"] - begin) / 1e3
    left, row, scale = 170, 17, 900 / length
    width, height = left + 900 + 20, row * len(layer) + 70
    svg = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for i, (label, _, colour) in enumerate(KINDS):
        svg.append(f'<rect x="{left + 110 * i}" y="8" width="11" height="11" fill="{colour}"/>')
        svg.append(f'<text x="{left + 110 * i + 16}" y="18">{label}</text>')
    bottom = 30 + row * len(layer)
    for micros in range(0, int(length) + 1, 20):
        x = left + micros * scale
        svg.append(f'<line x1="{x:.1f}" y1="28" x2="{x:.1f}" y2="{bottom}" stroke="#dddddd"/>')
        svg.append(f'<text x="{x:.1f}" y="{bottom + 14}" text-anchor="middle">{micros}</text>')
    svg.append(f'<text x="{left + 450}" y="{bottom + 30}" text-anchor="middle">microseconds of a layer</text>')
    for i, kernel in enumerate(layer):
        y = 30 + row * i
        start, micros = (kernel["start"] - begin) / 1e3, (kernel["end"] - kernel["start"]) / 1e3
        name = html.escape(short(kernel["name"]))
        svg.append(f'<text x="{left - 8}" y="{y + 12}" text-anchor="end">{name}</text>')
        svg.append(
            f'<rect x="{left + start * scale:.1f}" y="{y + 2}" width="{max(1, micros * scale):.1f}" height="{row - 4}" '
            f'fill="{kind(kernel["name"])[1]}"><title>{name}: {micros:.1f} us, {kernel["blocks"]} blocks of '
            f'{kernel["threads"]}</title></rect>'
        )
    svg.append("</svg>")
    with open(out, "w") as file:
        file.write("\n".join(svg) + "\n")


if __name__ == "__main__":
    main()
