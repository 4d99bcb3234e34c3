package dev.kvdrive.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;

class NumbersDocumentTest {

  @Property(tries = 50)
  void holdsTheAnswerOnceAndAsksForIt(
      @ForAll long seed,
      @ForAll @IntRange(min = 1, max = 900) int sentences,
      @ForAll @DoubleRange(min = 0, max = 1) double depth) {
    NumbersDocument document = NumbersDocument.of(seed, sentences, depth);

    assertThat(document.answer()).matches("[1-9][0-9]{6}");
    assertThat(document.prompt()).containsOnlyOnce(document.answer());
    assertThat(document.prompt().split("is: ", -1)).hasSize(sentences + 1);
    String name = document.prompt().replaceAll("(?s).*number for (\\S+) mentioned.*", "$1");
    assertThat(document.prompt()).containsOnlyOnce(name + " is: " + document.answer() + ".");
  }
}
