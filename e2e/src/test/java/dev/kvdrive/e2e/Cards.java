package dev.kvdrive.e2e;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Assumptions;

/**
 * Cards of a resource that a device plugin offers to the kubelet, until they are closed: the
 * cluster's node has them as it would have a vendor's, but no driver is behind them.
 */
final class Cards implements AutoCloseable {
  private final Settings settings;
  private final String resource;

  private Cards(Settings settings, String resource) {
    this.settings = settings;
    this.resource = resource;
  }

  /** Offers a single card. Where the harness cannot, the test is skipped. */
  static Cards one(Settings settings, String resource) {
    Assumptions.assumeFalse(
        settings.gpus().isEmpty(),
        "no device plugin in this mode: the harness runs one beside the kubelet of the native cluster only");
    Cards cards = new Cards(settings, resource);
    cards.run(resource, "1");
    return cards;
  }

  /** Names the resource, as pods ask for it. */
  String resource() {
    return resource;
  }

  /** The card fails, or comes back. */
  void lost(boolean lost) {
    run(resource, "1", lost ? "1" : "0");
  }

  /** Names the cards that the container of a pod found in its environment; blank for none. */
  String given(String pod) {
    return run("--given", pod).strip();
  }

  @Override
  public void close() {
    run("--stop");
  }

  private String run(String... arguments) {
    List<String> command = new ArrayList<>(settings.gpus());
    command.addAll(List.of(arguments));
    return Program.run(settings.root(), command);
  }
}
