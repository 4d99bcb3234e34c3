package dev.kvdrive.e2e;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * A document of one fact a sentence, in the wording of RULER's multi-key needle task, in which
 * every sentence distracts from every other: a number comes out right only when exactly its
 * sentence was attended.
 *
 * @param prompt the document and the question about one of its facts
 * @param answer the number asked for, of seven digits; it occurs once in the prompt
 */
record NumbersDocument(String prompt, String answer) {
  private static final List<String> WORDS =
      List.of(
          ("amber anchor apple arrow aspen autumn badger bamboo barley basket beacon birch bishop"
                  + " blanket border bottle branch breeze bridge bronze bucket butter candle"
                  + " canyon carpet castle cedar cellar cherry circle clover cobalt copper coral"
                  + " cotton crater cricket crystal curtain dagger desert dragon eagle ember"
                  + " engine falcon feather ferry fiddle finger forest fossil fountain galaxy"
                  + " garden garlic ginger glacier goblet granite hammer harbor hazel helmet"
                  + " hollow honey island ivory jacket jasmine jungle kettle kitten ladder lagoon"
                  + " lantern lemon linen lizard magnet maple marble market meadow mirror molten"
                  + " monkey mortar needle nickel oyster paddle palace panther paper parrot pebble"
                  + " pepper pickle pillow planet pocket poplar potter prairie puzzle quarry"
                  + " rabbit ribbon river rocket saddle saffron salmon sandal satin scarlet"
                  + " shadow silver socket sparrow spider spruce stable summer sunset tailor"
                  + " temple thunder ticket timber tunnel turtle valley velvet violet walnut"
                  + " whistle willow window winter yellow zephyr")
              .split(" "));

  /**
   * Makes a document of {@code sentences} facts and asks for the one at {@code depth}.
   *
   * @param sentences number of facts; about 24 tokens each with the bundled model's tokenizer
   * @param depth relative position of the fact asked for, from 0 (first) to 1 (last)
   */
  static NumbersDocument of(long seed, int sentences, double depth) {
    Random random = new Random(seed);
    Map<String, String> numberByName = new LinkedHashMap<>();
    while (numberByName.size() < sentences) {
      String name = word(random) + "-" + word(random);
      String number = Integer.toString(1_000_000 + random.nextInt(9_000_000));
      if (!numberByName.containsValue(number)) {
        numberByName.putIfAbsent(name, number);
      }
    }
    List<String> names = new ArrayList<>(numberByName.keySet());
    String asked = names.get((int) Math.round(depth * (sentences - 1)));
    StringBuilder text = new StringBuilder();
    text.append("Some special magic numbers are hidden within the following text. ")
        .append("Make sure to memorize them. I will quiz you about the numbers afterwards.\n");
    numberByName.forEach(
        (name, number) ->
            text.append("The special magic number for ")
                .append(name)
                .append(" is: ")
                .append(number)
                .append(". "));
    text.append("\n\nWhat is the special magic number for ")
        .append(asked)
        .append(" mentioned in the provided text?");
    return new NumbersDocument(text.toString(), numberByName.getOrDefault(asked, ""));
  }

  private static String word(Random random) {
    return WORDS.get(random.nextInt(WORDS.size()));
  }
}
