/**
 * Text in and out of a model: tokenizers (byte-level BPE, SentencePiece BPE and unigram, from GGUF
 * metadata or {@code tokenizer.json}), incremental detokenisation with stop strings, and chat
 * templates. Pure Java: no native library, no file but the model's own, no network.
 */
@NullMarked
package dev.kvdrive.text;

import org.jspecify.annotations.NullMarked;
