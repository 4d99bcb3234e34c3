package dev.kvdrive;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.Architectures.layeredArchitecture;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import org.junit.jupiter.api.Test;

/** Dependencies of the engine, and of what it stands on, point one way, as ARCHITECTURE.md says. */
class DependencyDirectionTest {
  private static final JavaClasses ENGINE =
      new ClassFileImporter()
          .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
          .withImportOption(location -> !location.contains("-tests.jar"))
          .importPackages("dev.kvdrive");

  @Test
  void scheduleThenDecodeAndPrefillThenTransformerAndKvThenDevice() {
    layeredArchitecture()
        .consideringOnlyDependenciesInLayers()
        .layer("schedule")
        .definedBy("dev.kvdrive.schedule..")
        .layer("decode")
        .definedBy("dev.kvdrive.decode..")
        .layer("prefill")
        .definedBy("dev.kvdrive.prefill..")
        .layer("transformer")
        .definedBy("dev.kvdrive.transformer..")
        .layer("kv")
        .definedBy("dev.kvdrive.kv..")
        .layer("device")
        .definedBy("dev.kvdrive.device..")
        .layer("model")
        .definedBy(
            "dev.kvdrive.model",
            "dev.kvdrive.model.file",
            "dev.kvdrive.model.gguf",
            "dev.kvdrive.model.safetensors",
            "dev.kvdrive.model.source")
        .layer("tensor")
        .definedBy("dev.kvdrive.model.tensor")
        .layer("text")
        .definedBy("dev.kvdrive.text..")
        .layer("plan")
        .definedBy("dev.kvdrive.plan..")
        .whereLayer("schedule")
        .mayNotBeAccessedByAnyLayer()
        .whereLayer("decode")
        .mayOnlyBeAccessedByLayers("schedule")
        .whereLayer("prefill")
        .mayOnlyBeAccessedByLayers("schedule")
        .whereLayer("transformer")
        .mayOnlyBeAccessedByLayers("schedule", "decode", "prefill")
        .whereLayer("kv")
        .mayOnlyBeAccessedByLayers("schedule", "decode", "prefill")
        .whereLayer("device")
        .mayOnlyAccessLayers("tensor", "plan")
        .whereLayer("plan")
        .mayNotAccessAnyLayer()
        .whereLayer("kv")
        .mayOnlyAccessLayers("device", "plan")
        .whereLayer("text")
        .mayNotAccessAnyLayer()
        .whereLayer("model")
        .mayOnlyAccessLayers("tensor", "plan")
        .whereLayer("model")
        .mayOnlyBeAccessedByLayers("schedule", "prefill", "transformer")
        .whereLayer("text")
        .mayOnlyBeAccessedByLayers("schedule")
        .whereLayer("tensor")
        .mayNotAccessAnyLayer()
        .check(ENGINE);
  }

  @Test
  void extentsKnowNothingOfWhereTiersKeepThem() {
    noClasses()
        .that()
        .resideInAPackage("dev.kvdrive.kv.extent")
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage("dev.kvdrive.kv.tier", "dev.kvdrive.kv.window", "dev.kvdrive.device..")
        .check(ENGINE);
  }

  @Test
  void packagesHaveNoCycles() {
    slices().matching("dev.kvdrive.(**)").should().beFreeOfCycles().check(ENGINE);
  }

  @Test
  void theEngineKnowsNoFramework() {
    classes()
        .that()
        .resideInAPackage("dev.kvdrive..")
        .should()
        .onlyDependOnClassesThat()
        .resideInAnyPackage(
            "dev.kvdrive..",
            "java..",
            "javax.crypto..",
            "javax.net.ssl..",
            "sun.nio.ch..",
            "com.sun.nio.file..",
            "jdk.incubator.vector..",
            "tools.jackson..",
            "com.fasterxml.jackson.annotation..",
            "org.jspecify.annotations..",
            "com.google.errorprone.annotations..")
        .check(ENGINE);
  }
}
