package dev.kvdrive.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.ToIntFunction;
import org.jspecify.annotations.Nullable;

/**
 * A long document with one fact to find: a supply agreement of many clauses, in which it says
 * somewhere, once, when a company was founded. Other companies' years are there to be confused with.
 *
 * @param text the document
 * @param question asks for the fact
 * @param answer a right answer contains it
 * @param depth where the fact is, between 0 (start) and 1 (end)
 */
record DemoDocument(String text, String question, String answer, double depth) {
  private static final List<String> FIRST =
      List.of("Pen", "Dro", "Mar", "Cal", "Vel", "Ost", "Bran", "Tor", "Lin", "Hav", "Sel", "Gar");
  private static final List<String> SECOND =
      List.of("okle", "brave", "wick", "mont", "dane", "field", "sted", "more", "ridge", "combe");
  private static final List<String> TRADE =
      List.of("Motors", "Press", "Foods", "Shipping", "Textiles", "Optics", "Mills", "Instruments");
  private static final List<String> GIVEN =
      List.of("Mallory", "Adrienne", "Tobias", "Ingrid", "Rafael", "Odette", "Conrad", "Yvonne");
  private static final List<String> FAMILY =
      List.of("Jacobs", "Delacruz", "Whitfield", "Okafor", "Lindqvist", "Marchetti", "Haines");

  private static final List<String> OPENINGS =
      List.of(
          "The supplier",
          "The buyer",
          "Each party",
          "The carrier",
          "The auditor named in the schedule",
          "The party that gives notice",
          "The warehouse operator",
          "The project manager of either party");
  private static final List<String> DUTIES =
      List.of(
          "shall keep written records of every delivery",
          "may inspect the goods at the place of loading",
          "shall give notice of any delay that is likely to last longer than the agreed period",
          "bears the cost of packaging unless the schedule says otherwise",
          "shall insure the goods against loss and damage in transit",
          "may set off amounts that are not disputed",
          "shall name a person who is entitled to receive notices",
          "is not liable for delays caused by the authorities",
          "shall return the samples in the condition in which they were received",
          "may assign its claims only with the consent of the other party",
          "shall make the drawings and the test reports available for review",
          "shall correct defects at its own expense and within a reasonable time");
  private static final List<String> CONDITIONS =
      List.of(
          "as long as the agreement is in force",
          "when the other party asks for it in writing",
          "unless the schedule provides for a different procedure",
          "within the period stated in the order",
          "after the acceptance test has been passed",
          "if the goods do not conform to the specification",
          "at the latest when the invoice is issued",
          "without regard to earlier versions of this document");
  private static final List<String> CLOSINGS =
      List.of(
          "The remedies provided by law remain unaffected.",
          "The parties will review this clause once a year.",
          "Notices under this clause take effect when they are received.",
          "Nothing in this clause limits the duty to act in good faith.",
          "The schedule lists the exceptions that the parties have agreed.",
          "Amounts are stated without taxes and duties.");

  /**
   * A document whose chat message has about {@code tokens} tokens.
   *
   * @param seed of everything random
   * @param depth where to put the fact
   * @param count counts the tokens of a text
   */
  static DemoDocument create(long seed, double depth, int tokens, ToIntFunction<String> count) {
    SplittableRandom random = new SplittableRandom(seed);
    List<String> companies = new ArrayList<>();
    while (companies.size() < 9) {
      String name = pick(random, FIRST) + pick(random, SECOND) + " " + pick(random, TRADE);
      if (companies.stream().noneMatch(c -> c.startsWith(name.split(" ", 2)[0]))) {
        companies.add(name);
      }
    }
    String year = Integer.toString(1850 + random.nextInt(150));
    String fact = founding(random, companies.getFirst(), year);
    int sentences = 0;
    List<String> paragraphs = new ArrayList<>();
    int perParagraph = count.applyAsInt(paragraph(new SplittableRandom(seed), 1, null));
    int clauses = Math.max(12, tokens / Math.max(1, perParagraph) + 8);
    while (paragraphs.size() < clauses) {
      int number = paragraphs.size() + 1;
      String other =
          number % Math.max(1, clauses / companies.size()) == 3 && sentences < companies.size() - 1
              ? founding(
                  random,
                  companies.get(++sentences),
                  Integer.toString(1850 + random.nextInt(150)))
              : null;
      paragraphs.add(paragraph(random, number, other));
    }
    String text = join(paragraphs, fact, depth);
    while (paragraphs.size() > 8 && count.applyAsInt(text) > tokens) {
      int over = count.applyAsInt(text) - tokens;
      int drop = Math.max(1, over / Math.max(1, perParagraph));
      paragraphs.subList(Math.max(8, paragraphs.size() - drop), paragraphs.size()).clear();
      text = join(paragraphs, fact, depth);
    }
    return new DemoDocument(
        text, "When was %s founded?".formatted(companies.getFirst()), year, depth);
  }

  /** The user's message: instruction, document, question. */
  String message() {
    return "Answer the question based on the given text.\n" + text + "\n\n" + question;
  }

  private static String join(List<String> paragraphs, String fact, double depth) {
    List<String> all = new ArrayList<>(paragraphs);
    int at = (int) Math.min(all.size() - 1, Math.round(depth * all.size()));
    all.set(at, all.get(at) + " " + fact);
    return String.join("\n", all);
  }

  private static String founding(SplittableRandom random, String company, String year) {
    return "%s was founded in %s by %s %s."
        .formatted(company, year, pick(random, GIVEN), pick(random, FAMILY));
  }

  private static String paragraph(
      SplittableRandom random, int number, @Nullable String more) {
    StringBuilder text = new StringBuilder();
    int sentences = 2 + random.nextInt(3);
    for (int i = 0; i < sentences; i++) {
      if (i > 0) {
        text.append(' ');
      }
      text.append(pick(random, OPENINGS))
          .append(' ')
          .append(pick(random, DUTIES))
          .append(' ')
          .append(pick(random, CONDITIONS))
          .append('.');
    }
    text.append(' ').append(pick(random, CLOSINGS));
    if (more != null) {
      text.append(' ').append(more);
    }
    return "Clause %d. %s".formatted(number, text);
  }

  private static String pick(SplittableRandom random, List<String> list) {
    return list.get(random.nextInt(list.size()));
  }
}
