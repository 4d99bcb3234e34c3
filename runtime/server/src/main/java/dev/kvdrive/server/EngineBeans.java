package dev.kvdrive.server;

import dev.kvdrive.server.serving.DeviceFactory;
import dev.kvdrive.server.serving.EngineStart;
import dev.kvdrive.server.serving.MachineCheck;
import dev.kvdrive.server.serving.ModelStart;
import dev.kvdrive.server.serving.StartFailure;
import dev.kvdrive.server.settings.RuntimeSettings;
import java.time.Clock;
import org.springframework.beans.factory.ObjectProvider;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;

/** The engine that the runtime serves with. */
@Configuration(proxyBeanMethods = false)
public class EngineBeans {
  @Bean
  ModelStart engineStart(RuntimeSettings settings, ObjectProvider<DeviceFactory> devices) {
    DeviceFactory device = devices.getIfAvailable();
    if (device == null) {
      throw new StartFailure("this build has no device to compute on");
    }
    return new EngineStart(
        settings, device, MachineCheck.here(), System.getenv(), Clock.systemUTC());
  }
}
