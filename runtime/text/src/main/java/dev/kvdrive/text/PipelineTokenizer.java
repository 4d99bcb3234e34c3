package dev.kvdrive.text;

import java.nio.charset.StandardCharsets;
import java.util.List;

/**
 * A tokenizer as a chain, in the order of the {@code tokenizers} library: added tokens are taken
 * out, the text between them is normalised, added tokens that stand for normalised text are taken
 * out, the rest is cut into pre-tokens and each of those is encoded by the word model.
 */
final class PipelineTokenizer implements Tokenizer {

  /** What the readers of {@code tokenizer.json} and GGUF metadata come up with. */
  record Parts(
      Vocabulary vocabulary,
      AddedTokens added,
      AddedTokens addedNormalized,
      List<TextNormalizer> normalizers,
      List<PreTokenizer> preTokenizers,
      WordModel model,
      boolean stripsLeadingSpace,
      SpecialTokens special) {}

  private final Parts parts;
  private final TextNormalizer normalizer;

  PipelineTokenizer(Parts parts) {
    this.parts = parts;
    normalizer = TextNormalizer.all(parts.normalizers);
  }

  @Override
  public int[] encode(CharSequence text, boolean parseSpecial) {
    return encode(text.toString(), (from, to) -> parseSpecial);
  }

  @Override
  public int[] encode(PromptText prompt) {
    return encode(prompt.text(), prompt::isTemplate);
  }

  private int[] encode(String text, AddedTokens.Trust trust) {
    Ids out = new Ids();
    EncodingWork work =
        new EncodingWork(text.length(), 2 + parts.normalizers.size() + parts.preTokenizers.size());
    parts.added.split(
        work.counted(text),
        0,
        text.length(),
        trust,
        new AddedTokens.Sink() {
          @Override
          public void text(int from, int to) {
            String normal = normalizer.apply(text.substring(from, to), work);
            plain(normal, from == 0, work, out);
          }

          @Override
          public void token(int id) {
            out.add(id);
          }
        });
    return out.toArray();
  }

  private void plain(String text, boolean first, EncodingWork work, Ids out) {
    parts.addedNormalized.split(
        work.counted(text),
        0,
        text.length(),
        (from, to) -> false,
        new AddedTokens.Sink() {
          @Override
          public void text(int from, int to) {
            PreTokenizer.run(
                parts.preTokenizers,
                text,
                from,
                to,
                first && from == 0,
                work,
                (piece, start, end) -> parts.model.encode(piece, start, end, work, out));
          }

          @Override
          public void token(int id) {
            out.add(id);
          }
        });
  }

  @Override
  public String decode(int[] ids, boolean skipSpecial) {
    Vocabulary vocabulary = parts.vocabulary;
    int length = 0;
    for (int id : ids) {
      length = Math.addExact(length, vocabulary.byteCount(id));
    }
    byte[] bytes = new byte[length];
    int end = 0;
    for (int id : ids) {
      if (skipSpecial && vocabulary.isSpecial(id)) {
        continue;
      }
      vocabulary.copy(id, bytes, end);
      end += vocabulary.byteCount(id);
    }
    int start = parts.stripsLeadingSpace && end > 0 && bytes[0] == ' ' ? 1 : 0;
    return new String(bytes, start, end - start, StandardCharsets.UTF_8);
  }

  @Override
  public byte[] bytes(int id) {
    return parts.vocabulary.bytes(id);
  }

  @Override
  public String piece(int id) {
    return parts.vocabulary.piece(id);
  }

  @Override
  public boolean isSpecial(int id) {
    return parts.vocabulary.isSpecial(id);
  }

  @Override
  public boolean stripsLeadingSpace() {
    return parts.stripsLeadingSpace;
  }

  @Override
  public int vocabularySize() {
    return parts.vocabulary.size();
  }

  @Override
  public SpecialTokens special() {
    return parts.special;
  }
}
