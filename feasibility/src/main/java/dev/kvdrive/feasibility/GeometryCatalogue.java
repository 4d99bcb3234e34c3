package dev.kvdrive.feasibility;

import dev.kvdrive.api.v1alpha1.Geometry;
import dev.kvdrive.api.v1alpha1.InferenceClassSpec;
import dev.kvdrive.api.v1alpha1.InferenceClassSpec.CatalogueEntry;
import dev.kvdrive.api.v1alpha1.ModelSpec;
import dev.kvdrive.plan.ContextLimit;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.ModelShape;
import io.fabric8.kubernetes.api.model.Quantity;
import io.fabric8.kubernetes.client.utils.KubernetesSerialization;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * The sizes of models, from the first source that has them: the deployment, its class, the models
 * the operator knows. The operator downloads nothing and reads no secret to find them out.
 */
public final class GeometryCatalogue {
  /**
   * Sizes and where they came from.
   *
   * @param geometry the sizes
   * @param source in words, for the status
   */
  public record Known(ModelGeometry geometry, String source) {}

  /** Scheme of a model that the runtime image brings. */
  static final String BUNDLED_SCHEME = "builtin:";

  private static final String RESOURCE = "model-geometries.yaml";
  private static final String OF_CLASS = "the InferenceClass's catalogue";

  private final List<CatalogueEntry> wellKnown;

  private GeometryCatalogue(List<CatalogueEntry> wellKnown) {
    this.wellKnown = List.copyOf(wellKnown);
  }

  /** The models the operator knows. */
  public static GeometryCatalogue wellKnown() {
    try (InputStream in = GeometryCatalogue.class.getResourceAsStream(RESOURCE)) {
      if (in == null) {
        throw new IllegalStateException(RESOURCE + " is missing from the operator");
      }
      return new GeometryCatalogue(
          List.of(new KubernetesSerialization().unmarshal(in, CatalogueEntry[].class)));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The entries, for messages and tests. */
  List<CatalogueEntry> entries() {
    return wellKnown;
  }

  /**
   * The models that runtime images bundle: those of this build, and those that the class knows,
   * whose image may bundle others.
   */
  List<String> bundled(@Nullable InferenceClassSpec clazz) {
    List<CatalogueEntry> ofClass =
        clazz == null || clazz.models() == null ? null : clazz.models().catalogue();
    return Stream.concat(wellKnown.stream(), ofClass == null ? Stream.empty() : ofClass.stream())
        .map(CatalogueEntry::uri)
        .filter(uri -> uri.startsWith(BUNDLED_SCHEME))
        .distinct()
        .sorted()
        .toList();
  }

  /** The sizes of {@code model}, if any source has them. */
  public Optional<Known> find(ModelSpec model, @Nullable InferenceClassSpec clazz) {
    Geometry own = model.geometry();
    if (own != null) {
      return Optional.of(known(model.uri(), own, "spec.model.geometry", "spec.model.geometry"));
    }
    return inClass(model, clazz)
        .map(entry -> known(model.uri(), entry.geometry(), OF_CLASS, field(entry)))
        .or(
            () ->
                lookup(model.uri(), wellKnown)
                    .map(
                        entry ->
                            known(
                                model.uri(),
                                entry.geometry(),
                                "the models the operator knows",
                                RESOURCE)));
  }

  /** What is wrong with the sizes that a class states of {@code model}, if they are used. */
  static Optional<String> faultOfClass(ModelSpec model, InferenceClassSpec clazz) {
    Optional<CatalogueEntry> used =
        model.geometry() != null ? Optional.empty() : inClass(model, clazz);
    try {
      var _ = used.map(e -> known(model.uri(), e.geometry(), OF_CLASS, field(e)));
      return Optional.empty();
    } catch (IllegalArgumentException e) {
      return Optional.of(String.valueOf(e.getMessage()));
    }
  }

  private static String field(CatalogueEntry entry) {
    return "models.catalogue[%s].geometry".formatted(entry.uri());
  }

  private static Optional<CatalogueEntry> inClass(
      ModelSpec model, @Nullable InferenceClassSpec clazz) {
    List<CatalogueEntry> ofClass =
        clazz == null || clazz.models() == null ? null : clazz.models().catalogue();
    return ofClass == null ? Optional.empty() : lookup(model.uri(), ofClass);
  }

  private static Optional<CatalogueEntry> lookup(String uri, List<CatalogueEntry> entries) {
    return entries.stream()
        .filter(entry -> withoutRevision(uri).equals(withoutRevision(entry.uri())))
        .findFirst();
  }

  /** Whether any source has the sizes of {@code model}, whatever they are worth. */
  public boolean has(ModelSpec model, @Nullable InferenceClassSpec clazz) {
    return model.geometry() != null
        || inClass(model, clazz).isPresent()
        || lookup(model.uri(), wellKnown).isPresent();
  }

  /** A revision changes no sizes; a file, for instance a quantised one, does. */
  private static String withoutRevision(String uri) {
    return uri.startsWith("hf://") ? uri.replaceFirst("@[^/]*", "") : uri;
  }

  /**
   * @param field where the sizes are written, for errors
   */
  private static Known known(String uri, Geometry g, String source, String field) {
    ModelGeometry geometry =
        new ModelGeometry(
                uri,
                new ModelShape(
                    g.layers(),
                    g.hidden(),
                    g.heads(),
                    g.kvHeads(),
                    g.headDim(),
                    g.feedForward(),
                    g.vocabulary()),
                g.maxContext(),
                Quantities.bytes(field + ".weights", g.weights()),
                g.contextLimit() == null
                    ? ContextLimit.TRAINED
                    : ContextLimit.valueOf(g.contextLimit().name()))
            .calibrated(Boolean.TRUE.equals(g.calibrated()));
    Quantity packed = g.gpuWeights();
    return new Known(
        packed == null
            ? geometry
            : geometry.packedIn(Quantities.bytes(field + ".gpuWeights", packed)),
        source);
  }
}
