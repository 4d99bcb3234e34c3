package dev.kvdrive.bench.document;

import dev.kvdrive.bench.eval.EvalTask;
import dev.kvdrive.text.ChatMessage;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.function.ToIntFunction;

/**
 * Makes tasks: a document with planted facts, the question after it, and the answers. The same
 * seed, family, length and depth give the same task.
 */
public final class TaskMaker {
  /** Longest task: beyond it there are not enough different keys. */
  public static final int MAX_LENGTH = 100_000;

  /** Tokens kept free for a chat template and for joints between sentences. */
  private static final int MARGIN = 64;

  private static final int PARAGRAPH = 6;
  private static final int QUERIES = 4;

  private static final String NUMBERS_INTRODUCTION =
      "Some special magic numbers are hidden within the following text. Make sure to memorize them."
          + " I will quiz you about the numbers afterwards.";

  /** With an example of a ship that the text does not have, so that the form is plain. */
  private static final String EXTRACTION =
      """
      Extract what the text says of a ship as a JSON object with four fields. For example, for the \
      ship Golden Gull: {"registration": "RK-00001", "captain": "Ada Lund", "built": "1801", \
      "tons": "95"}
      What is the JSON object for the ship\s""";

  private static final List<String> WORDS =
      List.of(
          ("amber anchor apple autumn badger barley basket beacon birch blanket bottle branch breeze"
                  + " bridge bucket butter canyon carpet castle cellar cherry circle copper cotton"
                  + " cricket curtain desert eagle ember feather ferry forest fountain garden ginger"
                  + " hammer harbor honey island jacket kettle ladder lantern lemon linen maple"
                  + " marble meadow mirror needle oyster paddle paper pebble pepper pillow planet"
                  + " pocket river saddle shadow silver spider summer sunset temple thunder timber"
                  + " tunnel turtle valley velvet walnut willow window winter yellow")
              .split(" "));
  private static final List<String> COMPANY_BEGINNINGS =
      List.of("Baro", "Velka", "Tormin", "Hasko", "Pelan", "Grumba", "Sonda", "Kirva", "Lumet");
  private static final List<String> COMPANY_ENDS =
      List.of("Motors", "Press", "Labs", "Robotics", "Software", "Foods", "Textiles", "Optics");
  private static final List<String> FIRST_NAMES =
      List.of("Adela", "Bruno", "Clara", "Edgar", "Fiona", "Hector", "Irene", "Jonas", "Martha");
  private static final List<String> LAST_NAMES =
      List.of("Hudson", "Keller", "Moreno", "Novak", "Okafor", "Prescott", "Rasmussen", "Tanaka");

  private final long seed;
  private final ToIntFunction<String> tokens;

  /**
   * @param seed of everything that is drawn
   * @param tokens counts the tokens of a text
   */
  public TaskMaker(long seed, ToIntFunction<String> tokens) {
    this.seed = seed;
    this.tokens = tokens;
  }

  /**
   * Makes one task.
   *
   * @param length bound of prompt and answer together, in tokens
   * @param depth where the fact asked for is, from 0 (start) to 1 (end); where several are, the
   *     first of them
   * @throws TooShortException if the length is too short for a document
   * @throws IllegalArgumentException if it is above {@link #MAX_LENGTH}
   */
  public EvalTask make(TaskFamily family, int length, double depth) {
    if (!(depth >= 0 && depth <= 1)) {
      throw new IllegalArgumentException("the depth must be between 0 and 1, got " + depth);
    }
    if (length > MAX_LENGTH) {
      throw new IllegalArgumentException(
          "a task can have %,d tokens at most, got %,d".formatted(MAX_LENGTH, length));
    }
    long mixed = seed;
    for (long part :
        new long[] {family.word().hashCode(), length, Double.doubleToLongBits(depth)}) {
      mixed = mixed * 0x9E3779B97F4A7C15L + part;
    }
    Random random = new Random(mixed);
    return switch (family) {
      case NIAH_SINGLE -> single(random, length, depth);
      case NIAH_MULTIKEY_2 -> multikey(random, length, depth);
      case NIAH_MULTIQUERY -> multiquery(random, length, depth);
      case JSON_KV -> json(random, length, depth);
      case PASSKEY -> passkey(random, length, depth);
      case FACT_QA -> factQa(random, length, depth);
      case EXTRACT_JSON -> extract(random, length, depth);
    };
  }

  /**
   * Makes {@code samples} tasks of each family and length, with depths spread evenly.
   *
   * @return by length, then family, then depth
   */
  public List<EvalTask> makeAll(List<TaskFamily> families, List<Integer> lengths, int samples) {
    List<EvalTask> tasks = new ArrayList<>();
    for (int length : lengths) {
      for (TaskFamily family : families) {
        for (int i = 0; i < samples; i++) {
          tasks.add(make(family, length, (i + 0.5) / samples));
        }
      }
    }
    return tasks;
  }

  private EvalTask single(Random random, int length, double depth) {
    String key = key(random);
    String number = digits(random, 7);
    return prose(
        TaskFamily.NIAH_SINGLE,
        random,
        length,
        "A special magic number is hidden within the following text. Make sure to memorize it. I"
            + " will quiz you about the number afterwards.",
        List.of(new Planted(depth, number(key, number))),
        "What is the special magic number for %s mentioned in the provided text?".formatted(key),
        List.of(number));
  }

  private EvalTask multiquery(Random random, int length, double depth) {
    Set<String> keys = new LinkedHashSet<>();
    while (keys.size() < QUERIES) {
      keys.add(key(random));
    }
    List<Planted> planted = new ArrayList<>();
    List<String> answers = new ArrayList<>();
    for (String key : keys) {
      String number = digits(random, 7);
      answers.add(number);
      planted.add(new Planted(depth + (1 - depth) * planted.size() / QUERIES, number(key, number)));
    }
    List<String> names = List.copyOf(keys);
    return prose(
        TaskFamily.NIAH_MULTIQUERY,
        random,
        length,
        NUMBERS_INTRODUCTION,
        planted,
        "What are all the special magic numbers for %s, and %s mentioned in the provided text?"
            .formatted(String.join(", ", names.subList(0, QUERIES - 1)), names.getLast()),
        answers);
  }

  private EvalTask passkey(Random random, int length, double depth) {
    String key = digits(random, 5);
    return prose(
        TaskFamily.PASSKEY,
        random,
        length,
        "There is an important piece of information hidden inside a lot of irrelevant text. Find it"
            + " and memorize it. I will quiz you about it.",
        List.of(
            new Planted(
                depth, "The pass key is %s. Remember it. %s is the pass key.".formatted(key, key))),
        "What is the pass key? The pass key is mentioned in the text above.",
        List.of(key));
  }

  private EvalTask factQa(Random random, int length, double depth) {
    Set<String> companies = new LinkedHashSet<>();
    while (companies.size() < QUERIES) {
      companies.add(pick(COMPANY_BEGINNINGS, random) + " " + pick(COMPANY_ENDS, random));
    }
    List<Planted> planted = new ArrayList<>();
    Set<String> years = new LinkedHashSet<>();
    for (String company : companies) {
      String year;
      do {
        year = Integer.toString(1900 + random.nextInt(100));
      } while (!years.add(year));
      planted.add(
          new Planted(
              planted.isEmpty() ? depth : random.nextDouble(),
              "%s was founded in %s by %s %s."
                  .formatted(company, year, pick(FIRST_NAMES, random), pick(LAST_NAMES, random))));
    }
    return prose(
        TaskFamily.FACT_QA,
        random,
        length,
        "Answer the question based on the given text.",
        planted,
        "When was %s founded?".formatted(companies.iterator().next()),
        List.of(years.iterator().next()));
  }

  /** What is said of a ship, in two places. */
  private EvalTask extract(Random random, int length, double depth) {
    Set<String> ships = new LinkedHashSet<>();
    while (ships.size() < QUERIES) {
      ships.add(capital(pick(WORDS, random)) + " " + capital(pick(WORDS, random)));
    }
    List<Planted> planted = new ArrayList<>();
    Map<String, String> fields = new LinkedHashMap<>();
    Set<String> registrations = new LinkedHashSet<>();
    for (String ship : ships) {
      String registration;
      do {
        registration = "RK-" + digits(random, 5);
      } while (!registrations.add(registration));
      String captain = pick(FIRST_NAMES, random) + " " + pick(LAST_NAMES, random);
      String built = Integer.toString(1850 + random.nextInt(100));
      String tons = digits(random, 3);
      boolean asked = planted.isEmpty();
      double first = asked ? depth : random.nextDouble();
      planted.add(
          new Planted(
              first,
              "The ship %s has the registration %s, and her captain is %s."
                  .formatted(ship, registration, captain)));
      planted.add(
          new Planted(
              asked ? depth + (1 - depth) / 2 : random.nextDouble(),
              "The ship %s was built in %s and carries %s tons.".formatted(ship, built, tons)));
      if (asked) {
        fields.put("registration", registration);
        fields.put("captain", captain);
        fields.put("built", built);
        fields.put("tons", tons);
      }
    }
    EvalTask task =
        prose(
            TaskFamily.EXTRACT_JSON,
            random,
            length,
            "Several ships are described in the following text. I will ask for what it says of one of"
                + " them.",
            planted,
            EXTRACTION + ships.iterator().next() + "?",
            List.copyOf(fields.values()));
    return new EvalTask(
        task.task(), length, task.messages(), task.answers(), fields, task.maxNewTokens());
  }

  private static String capital(String word) {
    return Character.toUpperCase(word.charAt(0)) + word.substring(1);
  }

  private EvalTask multikey(Random random, int length, double depth) {
    Set<String> keys = new LinkedHashSet<>();
    Set<String> numbers = new LinkedHashSet<>();
    List<String> sentences = new ArrayList<>();
    int room = room(TaskFamily.NIAH_MULTIKEY_2, length, NUMBERS_INTRODUCTION);
    while (true) {
      String key = unused(keys, random);
      String number;
      do {
        number = digits(random, 7);
      } while (numbers.contains(number));
      String sentence = number(key, number);
      room -= tokens.applyAsInt(" " + sentence);
      if (room < 0) {
        break;
      }
      keys.add(key);
      numbers.add(number);
      sentences.add(sentence);
    }
    int asked = (int) Math.round(depth * (sentences.size() - 1));
    return task(
        TaskFamily.NIAH_MULTIKEY_2,
        length,
        NUMBERS_INTRODUCTION + "\n" + String.join(" ", sentences),
        "What is the special magic number for %s mentioned in the provided text?"
            .formatted(List.copyOf(keys).get(asked)),
        List.of(List.copyOf(numbers).get(asked)));
  }

  private EvalTask json(Random random, int length, double depth) {
    String introduction =
        "Extract the value corresponding to the specified key in the JSON object below.";
    List<String> keys = new ArrayList<>();
    List<String> values = new ArrayList<>();
    List<String> entries = new ArrayList<>();
    int room = room(TaskFamily.JSON_KV, length, introduction);
    while (true) {
      String key = uuid(random);
      String value = uuid(random);
      String entry = "\"%s\": \"%s\"".formatted(key, value);
      room -= tokens.applyAsInt(", " + entry);
      if (room < 0) {
        break;
      }
      keys.add(key);
      values.add(value);
      entries.add(entry);
    }
    int asked = (int) Math.round(depth * (keys.size() - 1));
    return task(
        TaskFamily.JSON_KV,
        length,
        introduction + "\n{" + String.join(", ", entries) + "}",
        "What is the value for the key \"%s\"?".formatted(keys.get(asked)),
        List.of(values.get(asked)));
  }

  /** A sentence and where it goes. */
  private record Planted(double depth, String sentence) {}

  private EvalTask prose(
      TaskFamily family,
      Random random,
      int length,
      String introduction,
      List<Planted> planted,
      String question,
      List<String> answers) {
    Prose hay = new Prose(random.nextLong());
    int room = room(family, length, introduction);
    for (Planted p : planted) {
      room -= tokens.applyAsInt("\n" + p.sentence());
    }
    List<String> sentences = new ArrayList<>();
    while (true) {
      String sentence = joint(sentences.size()) + hay.sentence();
      room -= tokens.applyAsInt(sentence);
      if (room < 0) {
        break;
      }
      sentences.add(sentence);
    }
    StringBuilder document = new StringBuilder(introduction);
    for (int i = 0; i <= sentences.size(); i++) {
      for (Planted p : planted) {
        if (Math.round(p.depth() * sentences.size()) == i) {
          document.append(joint(i)).append(p.sentence());
        }
      }
      if (i < sentences.size()) {
        document.append(sentences.get(i));
      }
    }
    return task(family, length, document.toString(), question, answers);
  }

  /** What stands before sentence {@code index}. */
  private static char joint(int index) {
    return index % PARAGRAPH == 0 ? '\n' : ' ';
  }

  private static EvalTask task(
      TaskFamily family, int length, String document, String question, List<String> answers) {
    return new EvalTask(
        family.word(),
        length,
        List.of(ChatMessage.of("user", document + "\n\n" + question)),
        answers,
        family.maxNewTokens());
  }

  /** Tokens that are left for the document. */
  private int room(TaskFamily family, int length, String introduction) {
    int room = length - family.maxNewTokens() - 2 * MARGIN - tokens.applyAsInt(introduction);
    if (room < 4 * MARGIN) {
      throw new TooShortException(family, length - room + 4 * MARGIN, length);
    }
    return room;
  }

  private static String number(String key, String number) {
    return "The special magic number for %s is: %s.".formatted(key, number);
  }

  private static String key(Random random) {
    return pick(WORDS, random) + "-" + pick(WORDS, random);
  }

  private static String unused(Set<String> keys, Random random) {
    String key;
    do {
      key = key(random);
    } while (keys.contains(key));
    return key;
  }

  private static String digits(Random random, int count) {
    StringBuilder number = new StringBuilder().append(1 + random.nextInt(9));
    while (number.length() < count) {
      number.append(random.nextInt(10));
    }
    return number.toString();
  }

  private static String uuid(Random random) {
    String hex = String.format(Locale.ROOT, "%016x%016x", random.nextLong(), random.nextLong());
    return String.join(
        "-",
        hex.substring(0, 8),
        hex.substring(8, 12),
        hex.substring(12, 16),
        hex.substring(16, 20),
        hex.substring(20));
  }

  private static String pick(List<String> words, Random random) {
    return words.get(random.nextInt(words.size()));
  }
}
