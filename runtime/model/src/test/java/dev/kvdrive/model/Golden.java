package dev.kvdrive.model;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.FileSystem;
import java.nio.file.FileSystemNotFoundException;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * A tiny random model and the logits that Hugging Face transformers computes for a prompt in
 * float32; made by {@code src/test/python/make_goldens.py}. For every test that claims to compute
 * what the model means: the reference here, the engine and its backends elsewhere.
 *
 * @param model file or folder to open
 * @param contextLength to open the model for, 0 for its own
 * @param tokens the prompt
 * @param logits {@code [tokens][vocabulary]}, after each token of the prompt
 */
@SuppressWarnings("ArrayRecordComponent") // test data, never written
public record Golden(Path model, int contextLength, int[] tokens, float[][] logits) {
  /** Largest relative error of a logit that an F32 computation may have. */
  public static final double TOLERANCE = 2e-3;

  private static final Path ROOT = files();

  /** All of them. */
  public static List<Golden> all() {
    try {
      List<Golden> all = new ArrayList<>();
      for (JsonNode g :
          JsonMapper.shared().readTree(Files.readAllBytes(ROOT.resolve("index.json")))) {
        all.add(read(g));
      }
      return List.copyOf(all);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The file or folder {@code name} among the goldens. */
  public static Path file(String name) {
    return ROOT.resolve(name);
  }

  /** Opens the model. */
  public Model open() {
    return ModelLoader.open(model, contextLength, ModelLoader.Verification.FULL);
  }

  /**
   * Largest difference to the logits of one position, relative to the largest of them.
   *
   * @param position index into the prompt
   * @param actual logits computed after that token
   */
  public double relativeError(int position, float[] actual) {
    double[] wide = new double[actual.length];
    for (int i = 0; i < wide.length; i++) {
      wide[i] = actual[i];
    }
    return relativeError(position, wide);
  }

  /** As above in double precision. */
  public double relativeError(int position, double[] actual) {
    float[] expected = logits[position];
    if (actual.length != expected.length) {
      throw new IllegalArgumentException(
          "%d logits, expected %d".formatted(actual.length, expected.length));
    }
    double error = 0;
    double largest = 0;
    for (int i = 0; i < expected.length; i++) {
      double difference = Math.abs(actual[i] - expected[i]);
      error = difference >= error || Double.isNaN(difference) ? difference : error;
      largest = Math.max(largest, Math.abs(expected[i]));
      if (Double.isNaN(error)) {
        return Double.POSITIVE_INFINITY;
      }
    }
    return error / largest;
  }

  @Override
  public String toString() {
    return model.getFileName() + " with " + tokens.length + " tokens";
  }

  private static Golden read(JsonNode g) throws IOException {
    int[] tokens = new int[g.get("tokens").size()];
    for (int i = 0; i < tokens.length; i++) {
      tokens[i] = g.get("tokens").get(i).intValue();
    }
    ByteBuffer values =
        ByteBuffer.wrap(Files.readAllBytes(ROOT.resolve(g.get("logits").stringValue())))
            .order(ByteOrder.LITTLE_ENDIAN);
    float[][] logits = new float[tokens.length][g.get("vocabulary").intValue()];
    for (float[] row : logits) {
      values.asFloatBuffer().get(row);
      values.position(values.position() + row.length * Float.BYTES);
    }
    return new Golden(
        ROOT.resolve(g.get("model").stringValue()), g.get("context").intValue(), tokens, logits);
  }

  /** The goldens' folder; models are mapped, so from a jar they are first copied to a folder. */
  private static Path files() {
    try {
      URI index =
          Objects.requireNonNull(Golden.class.getResource("/goldens/index.json"), "goldens")
              .toURI();
      if (index.getScheme().equals("file")) {
        return Objects.requireNonNull(Path.of(index).getParent());
      }
      Path copy = Files.createTempDirectory("goldens");
      try (FileSystem jar = jar(index);
          Stream<Path> files = Files.walk(jar.getPath("/goldens"))) {
        for (Path from : (Iterable<Path>) files::iterator) {
          Path to = copy.resolve(jar.getPath("/goldens").relativize(from).toString());
          if (Files.isDirectory(from)) {
            Files.createDirectories(to);
          } else {
            try (InputStream in = Files.newInputStream(from)) {
              Files.copy(in, to);
            }
          }
          to.toFile().deleteOnExit();
        }
      }
      return copy;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (URISyntaxException e) {
      throw new IllegalStateException(e);
    }
  }

  private static FileSystem jar(URI uri) throws IOException {
    String text = uri.toString();
    Path file = Path.of(URI.create(text.substring("jar:".length(), text.indexOf('!'))));
    try {
      return FileSystems.newFileSystem(file);
    } catch (FileSystemNotFoundException e) {
      throw new IOException("cannot open " + file, e);
    }
  }
}
