package dev.kvdrive.bench.document;

import java.util.List;
import java.util.Random;

/**
 * Sentences about a harbour that never was: the hay in which facts are hidden. The same seed gives
 * the same sentences everywhere, because {@link Random} is specified to the bit. No sentence states
 * a number of more than four digits, a pass key or who founded what.
 */
final class Prose {
  private static final List<String> PLACES =
      words(
          """
          the northern mole|the fish market|the customs house|the old lighthouse|the rope walk
          the dry dock|the pilot station|the ferry landing|the upper town|the tide mill
          the salt store|the signal hill|the chandlery|the boat yard|the western quay
          the reading room|the weigh house|the net loft|the ballast wharf|the bell tower""");
  private static final List<String> PEOPLE =
      words(
          """
          the harbour master|the keeper|a young carpenter|the ferryman|two surveyors|the pilots
          the widow from the mill|an old sailor|the clerk of works|the town council
          a travelling painter|the netmakers|the schoolteacher|three apprentices|the night watch
          the cartographer|the owner of the tavern|a crew from the islands""");
  private static final List<String> ACTIONS =
      words(
          """
          repaired the stairs of|drew a careful plan of|kept a record of the visitors to
          painted the shutters of|carried lamp oil to|counted the barrels stored in
          wrote a long letter about|asked for a new roof for|planted a row of elms behind
          measured the depth of the water beside|told stories about the winters at
          found a brass compass in the cellar of|cleared the snow in front of
          hung a lantern over the door of|argued about the cost of""");
  private static final List<String> TIMES =
      words(
          """
          in early spring|before the first frost|after the long storm|on market days
          when the herring came late|during the dry summer|at the turn of the tide
          on quiet evenings|in the week of the regatta|while the ice still held
          shortly after the new road was opened|every autumn|on the last day of the fair
          as the fog was lifting""");
  private static final List<String> THINGS =
      words(
          """
          tarred rope|oak planks|dried cod|lamp oil|copper nails|sail cloth|salt|charts|grain
          roof slates|wool|iron chain|cedar boards|candles|apples|window glass|pitch|flour""");
  private static final List<String> QUALITIES =
      words(
          """
          patient|stubborn|weathered|careful|narrow|bright|slow|sturdy|quiet|crooked|modest|steep
          draughty|generous|faded|plain|handsome|unhurried""");
  private static final List<String> CAUSES =
      words(
          """
          the wind had turned to the east|the tide would not wait|the stores were nearly empty
          nobody had oiled the hinges|the bridge was still being built|the ledger had been lost
          the light could be seen from far away|the winter had been mild
          the road was under water|the bell had a crack|the catch was better than expected
          the older charts were wrong""");
  private static final List<String> THOUGHTS =
      words(
          """
          a calm sea tells very little about the weather to come
          good rope is worth more than good luck
          a harbour is only as safe as its entrance
          those who mend nets in summer sleep well in winter
          every boat looks small from the top of the hill
          a dry cellar is the beginning of a dry house
          the sea gives nothing that it does not lend""");

  private final Random random;

  Prose(long seed) {
    random = new Random(seed);
  }

  /** The next sentence, with its full stop. */
  String sentence() {
    String text =
        switch (random.nextInt(12)) {
          case 0 -> "%s, %s %s %s".formatted(pick(TIMES), pick(PEOPLE), pick(ACTIONS), place());
          case 1 -> "%s %s %s %s".formatted(pick(PEOPLE), pick(ACTIONS), place(), pick(TIMES));
          case 2 ->
              "%s %s %s, because %s".formatted(pick(PEOPLE), pick(ACTIONS), place(), pick(CAUSES));
          case 3 ->
              "the way from %s to %s is %s and %s"
                  .formatted(place(), place(), pick(QUALITIES), pick(QUALITIES));
          case 4 ->
              "%s and %s were traded for %s near %s"
                  .formatted(pick(THINGS), pick(THINGS), pick(THINGS), place());
          case 5 -> "people said that %s".formatted(pick(THOUGHTS));
          case 6 ->
              "%s, the %s of %s was talked about even in %s"
                  .formatted(pick(TIMES), pick(THINGS), pick(PEOPLE), place());
          case 7 ->
              "in %d, %s %s %s"
                  .formatted(1700 + random.nextInt(200), pick(PEOPLE), pick(ACTIONS), place());
          case 8 ->
              "%s needed %s and %s, but %s"
                  .formatted(place(), pick(THINGS), pick(THINGS), pick(CAUSES));
          case 9 ->
              "nobody at %s remembered a more %s season, although %s"
                  .formatted(place(), pick(QUALITIES), pick(CAUSES));
          case 10 ->
              "%s used to say that %s, and %s agreed"
                  .formatted(pick(PEOPLE), pick(THOUGHTS), pick(PEOPLE));
          default ->
              "between %s and %s stands a %s house with %d windows"
                  .formatted(place(), place(), pick(QUALITIES), 2 + random.nextInt(20));
        };
    return Character.toUpperCase(text.charAt(0)) + text.substring(1) + ".";
  }

  private String place() {
    return pick(PLACES);
  }

  private String pick(List<String> words) {
    return words.get(random.nextInt(words.size()));
  }

  private static List<String> words(String lines) {
    return List.of(lines.split("[|\n]"));
  }
}
