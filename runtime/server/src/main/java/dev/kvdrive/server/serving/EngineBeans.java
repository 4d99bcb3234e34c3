package dev.kvdrive.server.serving;

import dev.kvdrive.device.DeviceFactory;
import dev.kvdrive.server.settings.RuntimeSettings;
import dev.kvdrive.server.settings.SettingNames;
import java.time.Clock;
import org.springframework.beans.factory.ObjectProvider;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;

/** The engine that the runtime serves with, on the configured device unless the context has one. */
@Configuration(proxyBeanMethods = false)
public class EngineBeans {
  @Bean
  ModelStart engineStart(
      RuntimeSettings settings, SettingNames names, ObjectProvider<DeviceFactory> devices) {
    return new EngineStart(
        settings,
        devices.getIfAvailable(() -> DeviceFactory.require(settings.device())),
        MachineCheck.here(),
        System.getenv(),
        names,
        Clock.systemUTC());
  }
}
