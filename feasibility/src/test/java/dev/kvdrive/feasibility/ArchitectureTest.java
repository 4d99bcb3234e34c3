package dev.kvdrive.feasibility;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;

/** A verdict depends on manifests and the planner alone, so that everybody comes to the same. */
@AnalyzeClasses(
    packages = "dev.kvdrive.feasibility",
    importOptions = ImportOption.DoNotIncludeTests.class)
class ArchitectureTest {
  @ArchTest
  static final ArchRule PURE =
      noClasses()
          .should()
          .dependOnClassesThat()
          .haveNameMatching("io\\.fabric8\\.kubernetes\\.client\\.(KubernetesClient|dsl\\..*)")
          .orShould()
          .dependOnClassesThat()
          .resideInAnyPackage(
              "io.javaoperatorsdk..",
              "org.springframework..",
              "dev.kvdrive.model..",
              "dev.kvdrive.operator..",
              "dev.kvdrive.server..",
              "java.nio.file..",
              "java.net..");
}
