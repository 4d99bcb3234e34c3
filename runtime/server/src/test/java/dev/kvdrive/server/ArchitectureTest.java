package dev.kvdrive.server;

import static com.tngtech.archunit.base.DescribedPredicate.not;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideOutsideOfPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.type;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.Architectures.layeredArchitecture;

import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;
import dev.kvdrive.model.file.FileFault;

/** The direction of dependencies inside the server, and what it may touch of the engine. */
@AnalyzeClasses(
    packages = "dev.kvdrive.server",
    importOptions = ImportOption.DoNotIncludeTests.class)
class ArchitectureTest {
  @ArchTest
  static final ArchRule DIRECTION =
      layeredArchitecture()
          .consideringOnlyDependenciesInLayers()
          .layer("wiring")
          .definedBy("dev.kvdrive.server")
          .layer("http")
          .definedBy("dev.kvdrive.server.http")
          .layer("access")
          .definedBy("dev.kvdrive.server.access")
          .layer("metrics")
          .definedBy("dev.kvdrive.server.metrics")
          .layer("tracing")
          .definedBy("dev.kvdrive.server.tracing")
          .layer("serving")
          .definedBy("dev.kvdrive.server.serving")
          .layer("transport")
          .definedBy("dev.kvdrive.server.transport")
          .layer("generation")
          .definedBy("dev.kvdrive.server.generation")
          .layer("settings")
          .definedBy("dev.kvdrive.server.settings")
          .layer("ui")
          .definedBy("dev.kvdrive.server.ui")
          .layer("gpu")
          .definedBy("dev.kvdrive.server.gpu")
          .layer("openai")
          .definedBy("dev.kvdrive.server.openai")
          .whereLayer("wiring")
          .mayNotBeAccessedByAnyLayer()
          .whereLayer("http")
          .mayNotBeAccessedByAnyLayer()
          .whereLayer("access")
          .mayOnlyBeAccessedByLayers("wiring", "http", "metrics")
          .whereLayer("metrics")
          .mayOnlyBeAccessedByLayers("wiring", "http")
          .whereLayer("tracing")
          .mayOnlyBeAccessedByLayers("wiring", "http")
          .whereLayer("serving")
          .mayOnlyBeAccessedByLayers("wiring", "http", "metrics", "ui")
          .whereLayer("ui")
          .mayOnlyBeAccessedByLayers("http")
          .whereLayer("gpu")
          .mayOnlyBeAccessedByLayers("wiring", "metrics")
          .whereLayer("generation")
          .mayOnlyBeAccessedByLayers("http", "metrics", "tracing")
          .whereLayer("transport")
          .mayOnlyBeAccessedByLayers("wiring")
          .whereLayer("settings")
          .mayOnlyBeAccessedByLayers("wiring", "http", "serving")
          .whereLayer("openai")
          .mayOnlyBeAccessedByLayers("http", "access", "serving", "transport", "ui");

  /**
   * Requests know the engine by its interface: what to generate, and what became of it. The words
   * for what is wrong with a file are everybody's.
   */
  @ArchTest
  static final ArchRule ENGINE_BY_ITS_INTERFACE =
      noClasses()
          .that(resideOutsideOfPackage("dev.kvdrive.server.serving"))
          .should()
          .dependOnClassesThat(
              resideInAnyPackage(
                      "dev.kvdrive.decode..",
                      "dev.kvdrive.prefill..",
                      "dev.kvdrive.kv..",
                      "dev.kvdrive.device..",
                      "dev.kvdrive.cpu..",
                      "dev.kvdrive.cuda..",
                      "dev.kvdrive.model..")
                  .and(not(type(FileFault.class))));

  /** The shapes of the API are plain Java: they know neither the framework nor its threads. */
  @ArchTest
  static final ArchRule SHAPES_WITHOUT_A_FRAMEWORK =
      noClasses()
          .that(resideInAPackage("dev.kvdrive.server.openai"))
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage("org.springframework..", "reactor..", "io.micrometer..");
}
