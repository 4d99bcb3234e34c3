package dev.kvdrive.observed.stored;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.databind.BeanDescription;
import com.fasterxml.jackson.databind.DeserializationConfig;
import com.fasterxml.jackson.databind.DeserializationContext;
import com.fasterxml.jackson.databind.JsonDeserializer;
import com.fasterxml.jackson.databind.JsonMappingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.deser.BeanDeserializerModifier;
import com.fasterxml.jackson.databind.deser.ResolvableDeserializer;
import com.fasterxml.jackson.databind.module.SimpleModule;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kvdrive.api.v1alpha1.InferenceClass;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.api.v1alpha1.InferenceDeploymentStatus;
import dev.kvdrive.feasibility.Definition;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.ObjectMeta;
import io.fabric8.kubernetes.client.utils.KubernetesSerialization;
import java.io.IOException;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * Reads the custom resources. An object that was stored under another definition, or by somebody
 * who went around it, is held to this build's definition before it is converted; one that does not
 * pass, or cannot be converted all the same, becomes an {@link UnreadableDeployment} or {@link
 * UnreadableClass}. The framework would otherwise stop the watch for such an object, and with it
 * everybody's.
 */
public final class StoredObjects {
  private StoredObjects() {}

  /** For a client: as its own, but for the custom resources. */
  public static KubernetesSerialization serialization() {
    return new KubernetesSerialization(
        new ObjectMapper().registerModule(new SimpleModule().setDeserializerModifier(modifier())),
        true);
  }

  private static BeanDeserializerModifier modifier() {
    return new BeanDeserializerModifier() {
      private static final long serialVersionUID = 1;

      @Override
      public JsonDeserializer<?> modifyDeserializer(
          DeserializationConfig config, BeanDescription bean, JsonDeserializer<?> plain) {
        if (bean.getBeanClass() == InferenceDeployment.class) {
          return new Tolerant<>(plain, "inferencedeployments", UnreadableDeployment::new);
        }
        if (bean.getBeanClass() == InferenceClass.class) {
          return new Tolerant<>(plain, "inferenceclasses", UnreadableClass::new);
        }
        return plain;
      }
    };
  }

  /** Reads one kind; what it cannot read becomes what {@code unreadable} makes of the fault. */
  private static final class Tolerant<T extends HasMetadata> extends JsonDeserializer<T>
      implements ResolvableDeserializer {
    private final JsonDeserializer<?> plain;
    private final Definition definition;
    private final Function<String, T> unreadable;

    Tolerant(JsonDeserializer<?> plain, String plural, Function<String, T> unreadable) {
      this.plain = plain;
      this.definition = Definition.of(plural);
      this.unreadable = unreadable;
    }

    @Override
    public void resolve(DeserializationContext context) throws JsonMappingException {
      if (plain instanceof ResolvableDeserializer resolvable) {
        resolvable.resolve(context);
      }
    }

    @Override
    public T deserialize(JsonParser parser, DeserializationContext context) throws IOException {
      JsonNode tree = context.readTree(parser);
      List<String> faults = definition.faultsOfStored(tree);
      if (!faults.isEmpty()) {
        return unreadable(tree, String.join("; ", faults), context);
      }
      try {
        return plainly(tree, context);
      } catch (JacksonException | IllegalArgumentException e) {
        return unreadable(tree, words(e), context);
      }
    }

    @SuppressWarnings("unchecked") // the deserializer of this very class
    private T plainly(JsonNode tree, DeserializationContext context) throws IOException {
      try (JsonParser parser = tree.traverse(context.getParser().getCodec())) {
        parser.nextToken();
        return (T) plain.deserialize(parser, context);
      } catch (JacksonException | IllegalArgumentException e) {
        if (!tree.has("status")) {
          throw e;
        }
        // A status of another version is the operator's to write anew.
        return plainly(((ObjectNode) tree).without("status"), context);
      }
    }

    private T unreadable(JsonNode tree, String fault, DeserializationContext context)
        throws IOException {
      T object = unreadable.apply(fault);
      object.setMetadata(context.readTreeAsValue(tree.path("metadata"), ObjectMeta.class));
      if (object instanceof InferenceDeployment deployment) {
        status(tree, context).ifPresent(deployment::setStatus);
      }
      return object;
    }

    private static Optional<InferenceDeploymentStatus> status(
        JsonNode tree, DeserializationContext context) throws IOException {
      try {
        @Nullable InferenceDeploymentStatus status =
            tree.hasNonNull("status")
                ? context.readTreeAsValue(tree.path("status"), InferenceDeploymentStatus.class)
                : null;
        return Optional.ofNullable(status);
      } catch (JacksonException | IllegalArgumentException e) {
        return Optional.empty();
      }
    }

    private static String words(Exception e) {
      return e instanceof JacksonException jackson
          ? jackson.getOriginalMessage()
          : String.valueOf(e.getMessage());
    }
  }
}
