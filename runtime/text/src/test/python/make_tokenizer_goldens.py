#!/usr/bin/env python3
"""Makes the tokenizer fixtures under src/test/resources/text/tokenizers.

Small vocabularies are trained with the pre-tokenizers and special tokens of well-known models; the
golden ids come from the `tokenizers` library (Rust) and from `sentencepiece` (C++), two
implementations that share no code with ours.

    python3 -m venv venv && venv/bin/pip install tokenizers==0.23.3 sentencepiece==0.2.3
    venv/bin/python make_tokenizer_goldens.py ../resources/text/tokenizers
"""
import inspect
import io
import json
import pathlib
import random
import sys

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers, processors, trainers

GPT2_STYLE = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
LLAMA3 = (
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
    "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
)
QWEN2 = LLAMA3.replace("\\p{N}{1,3}", "\\p{N}")
UPPER, LOWER = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]", "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
TAIL = " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
TEKKEN = (
    f"[^\\r\\n\\p{{L}}\\p{{N}}]?{UPPER}*{LOWER}+|[^\\r\\n\\p{{L}}\\p{{N}}]?{UPPER}+{LOWER}*|\\p{{N}}|{TAIL}"
)
CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
GPT4O = (
    f"[^\\r\\n\\p{{L}}\\p{{N}}]?{UPPER}*{LOWER}+{CONTRACTION}"
    f"|[^\\r\\n\\p{{L}}\\p{{N}}]?{UPPER}+{LOWER}*{CONTRACTION}|\\p{{N}}{{1,3}}|{TAIL}"
)
# Chains of splits, one after the other.
DEEPSEEK_LETTERS = (
    "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚ"
    "Ḁ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\u1f7dᾀ-ᾴᾶ-ᾼ\u1fbeῂ-ῄῆ-ῌῐ-\u1fd3ῖ-\u1fdbῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ"
    "\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ"
    "\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-\U00010cb2"
    "\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943]+"
)
IDEOGRAPHS = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
CHAINS = {
    "deepseek-llm": ["[\r\n]", DEEPSEEK_LETTERS, "\\s?[!-/:-~！-／：-～‘-‟\u3000-。]+", "\\s+$", IDEOGRAPHS, "\\p{N}+"],
    "deepseek-coder": ["[\r\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", IDEOGRAPHS, "\\p{N}"],
    "deepseek-v3": [
        "\\p{N}{1,3}",
        "[一-龥\u3040-ゟ゠-ヿ]+",
        "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
        "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
    ],
    "seed-coder": [
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\r\n]+"
        "|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"
    ],
    "superbpe": ["\\p{N}+", "(?=(\\d{3})+(?!\\d))"],
    "viking": [" ?[^(\\s|.,!?…。，、।۔،)]+", "\\p{N}"],
}

SENTENCES = [s for s in """The quick brown fox jumps over the lazy dog. Where does the KV cache live? It's in DRAM, they're sure.
I've seen we'll, you'd, I'M and HE'S; don't DON'T. Numbers: 1, 22, 333, 4444, 55555, 3.14159, 1,000,000 and 0x1F.
Die Größe der Übertragung überschreitet die Bandbreite. L'été dernier, j'ai mangé une pâtisserie à Orléans.
El niño comió jalapeños mañana. Привет, мир! Где находится кэш? Γειά σου Κόσμε. שלום עולם. مرحبا بالعالم.
你好，世界。今天天气很好，我们去公园吧。こんにちは、世界。カタカナもあります。안녕하세요 세계. नमस्ते दुनिया। สวัสดีชาวโลก
def attend(query, keys):\n    return [softmax(q @ k) for q, k in zip(query, keys)]\n\tpass
{"name": "kv", "values": [1, 2.5, null, true], "nested": {"a": "b"}}  <html><body>&amp;</body></html>  https://example.org/a?b=c#d
🙂🚀👩‍👩‍👧‍👦🇩🇪 x² ½ Ⅷ ٣٤ ①  ﬁ ﷺ ａｂｃ é é Å Å ẛ̣ ... --- === >>> !!! ??? /* */ // \\n \\t""".split("\n") if s]

SPECIAL_TEXTS = [
    "<|im_start|>user\nhello<|im_end|>\n",
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>",
    "<s>[INST] Hi [/INST] Hello</s>",
    "<|user|>\nHi<|end|>\n  <|assistant|>\n",
    "a <tool_call> b</tool_call>",
    "<|im_start|><|im_start|> <|im_end",
    "<<|im_end|>>",
]


def corpus():
    rng = random.Random(7)
    docs = []
    for module in (json, pathlib, inspect, random, io):
        docs.extend(inspect.getsource(module).split("\n\n"))
    for _ in range(6):
        docs.extend(SENTENCES)
    rng.shuffle(docs)
    return docs


def texts():
    rng = random.Random(11)
    out = ["", " ", "  ", "\n", " \n", "\t\t x", "a", " a", "  a", "a  ", "   a   b   ", "\r\n\r\n", "\u00a0a\u3000b"]
    out += SENTENCES + SPECIAL_TEXTS
    out += ["ſ's 'ſ it'S", "e\u0301 vs é", "\u200d\ufe0f", "a" * 70, " " * 50 + "x", "ab" * 40, "\u0085x\u2028y"]
    alphabet = list("abcXYZ 0123'\"\n\t.,/<>|_-éßДж你好の한🙂٣½\u0301\u00a0▁")
    for _ in range(60):
        out.append("".join(rng.choice(alphabet) for _ in range(rng.randint(1, 40))))
    for _ in range(20):
        line = rng.choice(SENTENCES)
        at = rng.randrange(len(line))
        out.append(line[at : at + rng.randint(1, 60)])
    return out


def special(*names, **kw):
    return [AddedToken(n, special=True, normalized=False, **kw) for n in names]


def byte_level(pre, vocab, *, normalizer=None, ignore_merges=False, bos=None):
    tok = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tok.pre_tokenizer = pre
    if normalizer:
        tok.normalizer = normalizer
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator(
        corpus(),
        trainers.BpeTrainer(
            vocab_size=vocab, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False
        ),
    )
    return tok


def split(pattern):
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def chain(*patterns):
    return pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]
        + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )


def build():
    chatml = special("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    tools = [AddedToken("<tool_call>", normalized=False), AddedToken("</tool_call>", normalized=False)]

    tok = byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False), 700)
    tok.add_tokens(special("<|endoftext|>"))
    yield "gpt2", tok, {"pre": "gpt-2", "eos": "<|endoftext|>"}

    tok = byte_level(
        pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        ),
        700,
    )
    tok.add_tokens(chatml)
    yield "smollm", tok, {"pre": "smollm", "eos": "<|im_end|>"}

    tok = byte_level(split(LLAMA3), 800, ignore_merges=True)
    tok.add_tokens(
        special(
            "<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>"
        )
    )
    bos = tok.token_to_id("<|begin_of_text|>")
    tok.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=True),
            processors.TemplateProcessing(single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", bos)]),
        ]
    )
    yield "llama3", tok, {"pre": "llama-bpe", "bos": "<|begin_of_text|>", "eos": "<|eot_id|>"}

    tok = byte_level(split(QWEN2), 800, normalizer=normalizers.NFC())
    tok.add_tokens(chatml + tools)
    yield "qwen2", tok, {"pre": "qwen2", "eos": "<|im_end|>"}

    tok = byte_level(split(TEKKEN), 800, ignore_merges=True)
    tok.add_tokens(special("<unk>", "<s>", "</s>", "[INST]", "[/INST]"))
    yield "tekken", tok, {"pre": "tekken", "bos": "<s>", "eos": "</s>"}

    tok = byte_level(split(GPT4O), 800)
    tok.add_tokens(special("<|endoftext|>", "<|user|>", "<|assistant|>", "<|end|>"))
    yield "phi4-mini", tok, {"pre": "gpt-4o", "eos": "<|end|>"}

    for name, patterns in CHAINS.items():
        tok = byte_level(chain(*patterns), 500)
        tok.add_tokens(chatml)
        yield name, tok, {"pre": name, "eos": "<|endoftext|>"}

    def characters():
        model = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
        return model, [f"<0x{b:02X}>" for b in range(256)]

    def train(model, pre):
        trained = Tokenizer(models.BPE(unk_token="<unk>"))
        trained.pre_tokenizer = pre
        ascii_only = [d for d in corpus() if d.isascii()]
        trained.train_from_iterator(
            ascii_only,
            trainers.BpeTrainer(vocab_size=600, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False),
        )
        data = json.loads(trained.to_str())["model"]
        vocab = {"<unk>": 0, "<s>": 1, "</s>": 2}
        for b in range(256):
            vocab[f"<0x{b:02X}>"] = len(vocab)
        for piece, _ in sorted(data["vocab"].items(), key=lambda e: e[1]):
            vocab.setdefault(piece, len(vocab))
        full = json.loads(model.to_str())
        full["model"]["vocab"], full["model"]["merges"] = vocab, data["merges"]
        return Tokenizer.from_str(json.dumps(full))

    legacy = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    words = pre_tokenizers.Metaspace(prepend_scheme="always")
    model, _ = characters()
    model.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    model.decoder = legacy
    tok = train(model, words)
    tok.add_tokens(special("<unk>", "<s>", "</s>"))
    tok.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    yield "llama2", tok, {"bos": "<s>", "eos": "</s>"}

    model, _ = characters()
    model.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    model.decoder = legacy
    tok = train(model, words)
    tok.add_tokens(special("<unk>", "<s>", "</s>", "[INST]", "[/INST]"))
    tok.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    yield "mistral", tok, {"bos": "<s>", "eos": "</s>"}

    model, _ = characters()
    model.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    model.decoder = legacy
    tok = train(model, words)
    tok.add_tokens(special("<unk>", "<s>"))
    tok.add_tokens([AddedToken("</s>", special=False, normalized=False, rstrip=True)])
    tok.add_tokens(special("<|endoftext|>"))
    tok.add_tokens(special("<|user|>", "<|assistant|>", "<|end|>", rstrip=True))
    yield "phi3", tok, {"bos": "<s>", "eos": "<|endoftext|>"}

    tok = Tokenizer(models.Unigram())
    tok.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tok.decoder = decoders.Metaspace(prepend_scheme="always")
    tok.train_from_iterator(
        corpus(),
        trainers.UnigramTrainer(
            vocab_size=700, special_tokens=["<unk>", "</s>"], unk_token="<unk>", show_progress=False
        ),
    )
    yield "unigram", tok, {"eos": "</s>"}


def goldens(tok):
    out = []
    for text in texts():
        tok.encode_special_tokens = False
        ids = tok.encode(text, add_special_tokens=False).ids
        tok.encode_special_tokens = True
        plain = tok.encode(text, add_special_tokens=False).ids
        tok.encode_special_tokens = False
        out.append(
            {
                "text": text,
                "ids": ids,
                "plain": plain,
                "decoded": tok.decode(plain, skip_special_tokens=False),
                "skipped": tok.decode(ids, skip_special_tokens=True),
            }
        )
    return out


def gguf(tok, about):
    """The same byte-level vocabulary as GGUF metadata, as llama.cpp's converter writes it."""
    data = json.loads(tok.to_str())
    vocab = tok.get_vocab(with_added_tokens=True)
    tokens = [piece for piece, _ in sorted(vocab.items(), key=lambda e: e[1])]
    types = [1] * len(tokens)
    for added in data["added_tokens"]:
        types[added["id"]] = 3 if added["special"] else 4
    merges = [m if isinstance(m, str) else " ".join(m) for m in data["model"]["merges"]]
    meta = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": about["pre"],
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.eos_token_id": vocab[about["eos"]],
    }
    if "bos" in about:
        meta["tokenizer.ggml.bos_token_id"] = vocab[about["bos"]]
    return meta


def sentencepiece_model(kind):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(d for doc in corpus() for d in doc.split("\n") if d.isascii() and d.strip()),
        model_writer=model,
        model_type=kind,
        vocab_size=700,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        split_digits=True,
        allow_whitespace_only_pieces=True,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    sp = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    size = sp.get_piece_size()
    types = [
        2 if sp.is_unknown(i) else 3 if sp.is_control(i) else 6 if sp.is_byte(i) else 1 for i in range(size)
    ]
    meta = {
        "tokenizer.ggml.model": "llama" if kind == "bpe" else "t5",
        "tokenizer.ggml.tokens": [sp.id_to_piece(i) for i in range(size)],
        "tokenizer.ggml.scores": [sp.get_score(i) for i in range(size)],
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.bos_token_id": sp.bos_id(),
        "tokenizer.ggml.eos_token_id": sp.eos_id(),
        "tokenizer.ggml.unknown_token_id": sp.unk_id(),
    }
    # Characters that sentencepiece rewrites whatever the normaliser says are not comparable.
    usable = [t for t in texts() if t and "▁" not in t and "\0" not in t]
    cases = [{"text": t, "plain": sp.encode(t), "decoded": sp.decode(sp.encode(t))} for t in usable]
    return {"metadata": meta, "cases": cases}


def write(path, data):
    path.write_text(json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


def main():
    out = pathlib.Path(sys.argv[1])
    for name, tok, about in build():
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        write(folder / "tokenizer.json", json.loads(tok.to_str()))
        config = {key + "_token": about[key] for key in ("bos", "eos") if key in about}
        write(folder / "tokenizer_config.json", config)
        write(folder / "goldens.json", goldens(tok))
        if "pre" in about:
            write(folder / "gguf.json", gguf(tok, about))
    for kind in ("bpe", "unigram"):
        folder = out / f"sentencepiece-{kind}"
        folder.mkdir(parents=True, exist_ok=True)
        write(folder / "gguf.json", sentencepiece_model(kind))


if __name__ == "__main__":
    main()
