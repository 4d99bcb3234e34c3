package dev.kvdrive.server;

import dev.kvdrive.server.serving.CpuDevices;
import dev.kvdrive.server.serving.DeviceFactory;
import dev.kvdrive.server.serving.EngineStart;
import dev.kvdrive.server.serving.MachineCheck;
import dev.kvdrive.server.serving.ModelStart;
import dev.kvdrive.server.settings.RuntimeSettings;
import java.time.Clock;
import org.springframework.beans.factory.ObjectProvider;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;

/** The engine that the runtime serves with, on the CPU device unless the context has another. */
@Configuration(proxyBeanMethods = false)
public class EngineBeans {
  @Bean
  ModelStart engineStart(RuntimeSettings settings, ObjectProvider<DeviceFactory> devices) {
    return new EngineStart(
        settings,
        devices.getIfAvailable(CpuDevices::new),
        MachineCheck.here(),
        System.getenv(),
        Clock.systemUTC());
  }
}
