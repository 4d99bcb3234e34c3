package dev.kvdrive.server.settings;

import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.springframework.boot.context.properties.source.ConfigurationProperty;
import org.springframework.boot.context.properties.source.ConfigurationPropertyName;
import org.springframework.boot.context.properties.source.ConfigurationPropertySource;
import org.springframework.boot.context.properties.source.ConfigurationPropertySources;
import org.springframework.boot.origin.Origin;
import org.springframework.boot.origin.PropertySourceOrigin;
import org.springframework.boot.origin.SystemEnvironmentOrigin;
import org.springframework.core.env.ConfigurableEnvironment;
import org.springframework.core.env.PropertySource;

/**
 * What settings are called by whoever wrote them. Messages name a setting by its property; before
 * one is shown it goes through here, where the property becomes the environment variable or the
 * flag that it came from. Thread-safe.
 */
public final class SettingNames {
  private static final Pattern SETTING =
      Pattern.compile(
          "(?<![\\w./-])(?:kvdrive(?:\\.[a-z]+(?:-[a-z]+)*)+|server\\.(?:port|address)|management(?:\\.[a-z]+(?:-[a-z]+)*)+)");

  private final @Nullable ConfigurableEnvironment environment;

  /**
   * @param environment that the settings are read from; null leaves the properties as they are
   */
  public SettingNames(@Nullable ConfigurableEnvironment environment) {
    this.environment = environment;
  }

  /** The text with every setting in it called as it was written, or would be. */
  public String in(String text) {
    return environment == null
        ? text
        : SETTING.matcher(text).replaceAll(match -> Matcher.quoteReplacement(written(match)));
  }

  private String written(MatchResult match) {
    String setting = match.group();
    Origin origin = origin(setting);
    if (origin instanceof SystemEnvironmentOrigin variable) {
      return variable.getProperty();
    }
    if (environment != null && (origin == null || origin instanceof PropertySourceOrigin)) {
      for (PropertySource<?> source : environment.getPropertySources()) {
        String flag = source instanceof FlagSource flags ? flags.flag(setting) : null;
        if (flag != null) {
          return flag;
        }
      }
    }
    return setting;
  }

  /** Where the value comes from; null if it is not set, or nobody noted where. */
  private @Nullable Origin origin(String setting) {
    if (environment == null) {
      return null;
    }
    ConfigurationPropertyName name = ConfigurationPropertyName.of(setting);
    for (ConfigurationPropertySource source : ConfigurationPropertySources.get(environment)) {
      ConfigurationProperty property = source.getConfigurationProperty(name);
      if (property != null) {
        Origin origin = property.getOrigin();
        return origin instanceof PropertySourceOrigin wrapped && wrapped.getOrigin() != null
            ? wrapped.getOrigin()
            : origin;
      }
    }
    return null;
  }
}
