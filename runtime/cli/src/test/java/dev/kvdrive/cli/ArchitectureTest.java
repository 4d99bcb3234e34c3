package dev.kvdrive.cli;

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

  /** Planning runs nothing: no engine, no server. */
  @ArchTest
  static final ArchRule PLANS_WITHOUT_AN_ENGINE =
      noClasses()
          .that()
          .resideInAPackage("dev.kvdrive.cli.plan")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage(
              "dev.kvdrive.server..",
              "dev.kvdrive.schedule..",
              "dev.kvdrive.device..",
              "dev.kvdrive.operator..");
}
