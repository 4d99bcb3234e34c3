package dev.kvdrive.server.settings;

import dev.kvdrive.plan.ByteSize;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.springframework.boot.context.properties.ConfigurationPropertiesBinding;
import org.springframework.core.convert.TypeDescriptor;
import org.springframework.core.convert.converter.GenericConverter;
import org.springframework.stereotype.Component;

/** Reads sizes: plain numbers, and text with Kubernetes' suffixes, which Spring does not know. */
@Component
@ConfigurationPropertiesBinding
public final class TierBytesConverter implements GenericConverter {
  @Override
  public Set<ConvertiblePair> getConvertibleTypes() {
    return Set.of(
        new ConvertiblePair(String.class, TierBytes.class),
        new ConvertiblePair(Number.class, TierBytes.class));
  }

  @Override
  public @Nullable Object convert(
      @Nullable Object source, TypeDescriptor sourceType, TypeDescriptor targetType) {
    return source == null ? null : new TierBytes(ByteSize.parse("size", source.toString()));
  }
}
