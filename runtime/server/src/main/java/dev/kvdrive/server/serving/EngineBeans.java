package dev.kvdrive.server.serving;

import dev.kvdrive.device.DeviceException;
import dev.kvdrive.device.DeviceFactory;
import dev.kvdrive.kv.tier.ExtentFile;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.server.settings.RuntimeSettings;
import dev.kvdrive.server.settings.SettingNames;
import java.time.Clock;
import org.springframework.beans.factory.ObjectProvider;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;

/**
 * The engine that the runtime serves with, on the configured device and files of the operating
 * system unless the context has others.
 */
@Configuration(proxyBeanMethods = false)
public class EngineBeans {
  @Bean
  ModelStart engineStart(
      RuntimeSettings settings,
      SettingNames names,
      ObjectProvider<DeviceFactory> devices,
      ObjectProvider<ExtentFile.Opener> files) {
    return new EngineStart(
        settings,
        devices.getIfAvailable(() -> require(settings.device())),
        files.getIfAvailable(() -> ExtentFile.Opener.FILES),
        MachineCheck.here(),
        System.getenv(),
        names,
        Clock.systemUTC());
  }

  private static DeviceFactory require(DeviceKind kind) {
    try {
      return DeviceFactory.require(kind);
    } catch (DeviceException e) {
      throw StartFailure.ofDevice(kind, e);
    }
  }
}
