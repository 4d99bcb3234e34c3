package dev.kvdrive.cli;

import static com.tngtech.archunit.core.domain.JavaCall.Predicates.target;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.core.domain.properties.HasName.Predicates.nameMatching;
import static com.tngtech.archunit.core.domain.properties.HasOwner.Predicates.With.owner;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;

/** What the parts of the command line may know of each other and of the engine. */
@AnalyzeClasses(packages = "dev.kvdrive.cli", importOptions = ImportOption.DoNotIncludeTests.class)
class ArchitectureTest {
  @ArchTest
  static final ArchRule NOBODY_KNOWS_THE_ENTRY_POINT =
      noClasses()
          .that()
          .resideInAPackage("dev.kvdrive.cli.*")
          .should()
          .dependOnClassesThat()
          .resideInAPackage("dev.kvdrive.cli");

  /** Planning and looking at a cluster run nothing: no engine, no server. */
  @ArchTest
  static final ArchRule PLANS_WITHOUT_AN_ENGINE =
      noClasses()
          .that()
          .resideInAnyPackage(
              "dev.kvdrive.cli.plan",
              "dev.kvdrive.cli.cluster",
              "dev.kvdrive.cli.status",
              "dev.kvdrive.cli.logs")
          .or()
          .haveSimpleName("KubectlKvDrive")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage(
              "dev.kvdrive.server..",
              "dev.kvdrive.schedule..",
              "dev.kvdrive.device..",
              "dev.kvdrive.operator..");

  /** What is said of a cluster changes nothing in it. */
  @ArchTest
  static final ArchRule READS_ONLY =
      noClasses()
          .should()
          .callMethodWhere(
              target(
                      nameMatching(
                          "create|serverSideApply|patch.*|update.*|edit.*|delete.*|replace.*|scale"))
                  .and(target(owner(resideInAPackage("io.fabric8.kubernetes.client..")))));
}
