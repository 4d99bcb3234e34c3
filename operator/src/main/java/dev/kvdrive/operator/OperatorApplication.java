package dev.kvdrive.operator;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.context.properties.EnableConfigurationProperties;

/** The operator as a program. */
@SpringBootApplication(proxyBeanMethods = false)
@EnableConfigurationProperties(OperatorProperties.class)
public class OperatorApplication {
  public static void main(String[] arguments) {
    SpringApplication.run(OperatorApplication.class, arguments);
  }
}
