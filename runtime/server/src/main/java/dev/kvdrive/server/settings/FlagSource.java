package dev.kvdrive.server.settings;

import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;
import org.springframework.core.env.EnumerablePropertySource;

/** Settings that came from the flags of a command line, and what the flags are called. */
public final class FlagSource extends EnumerablePropertySource<Map<String, String>> {
  private final Map<String, String> flags;
  private final String[] names;

  /**
   * @param values by the names of the settings; those without a flag are left to other sources
   * @param flags of each setting that has one, given or not
   */
  public FlagSource(Map<String, String> values, Map<String, String> flags) {
    super("flags", Map.copyOf(values));
    this.flags = Map.copyOf(flags);
    Set<String> given = new TreeSet<>(values.keySet());
    given.retainAll(flags.keySet());
    this.names = given.toArray(String[]::new);
  }

  /** The flag of a setting, if it has one. */
  @Nullable String flag(String setting) {
    return flags.get(setting);
  }

  @Override
  public String[] getPropertyNames() {
    return names.clone();
  }

  @Override
  public @Nullable Object getProperty(String name) {
    return flags.containsKey(name) ? getSource().get(name) : null;
  }
}
