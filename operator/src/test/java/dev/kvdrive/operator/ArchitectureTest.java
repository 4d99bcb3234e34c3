package dev.kvdrive.operator;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.Architectures.layeredArchitecture;

import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;

/** The direction of dependencies, and where the API server may be spoken to. */
@AnalyzeClasses(
    packages = "dev.kvdrive.operator",
    importOptions = ImportOption.DoNotIncludeTests.class)
class ArchitectureTest {
  @ArchTest
  static final ArchRule DIRECTION =
      layeredArchitecture()
          .consideringOnlyDependenciesInLayers()
          .layer("wiring")
          .definedBy("dev.kvdrive.operator")
          .layer("reconcile")
          .definedBy("dev.kvdrive.operator.reconcile")
          .layer("status")
          .definedBy("dev.kvdrive.operator.status")
          .layer("usage")
          .definedBy("dev.kvdrive.operator.usage")
          .layer("desired")
          .definedBy("dev.kvdrive.operator.desired")
          .whereLayer("wiring")
          .mayNotBeAccessedByAnyLayer()
          .whereLayer("reconcile")
          .mayOnlyBeAccessedByLayers("wiring")
          .whereLayer("status")
          .mayOnlyBeAccessedByLayers("wiring", "reconcile")
          .whereLayer("usage")
          .mayOnlyBeAccessedByLayers("wiring", "reconcile", "status")
          .whereLayer("desired")
          .mayOnlyBeAccessedByLayers("wiring", "reconcile", "status");

  @ArchTest
  static final ArchRule PURE =
      noClasses()
          .that()
          .resideInAnyPackage("..desired..", "..status..")
          .should()
          .dependOnClassesThat()
          .haveNameMatching("io\\.fabric8\\.kubernetes\\.client\\.(KubernetesClient|dsl\\..*)")
          .orShould()
          .dependOnClassesThat()
          .resideInAnyPackage("io.javaoperatorsdk..", "org.springframework..");
}
