package dev.kvdrive.cpu;

import static com.tngtech.archunit.core.domain.JavaClass.Predicates.belongToAnyOf;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.domain.JavaMethod;
import com.tngtech.archunit.core.domain.JavaMethodCall;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.lang.ArchCondition;
import com.tngtech.archunit.lang.ConditionEvents;
import com.tngtech.archunit.lang.SimpleConditionEvent;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/**
 * Kernels are compiled each by itself, so that no vector passes from one to another: what takes or
 * gives vectors is in {@link Lanes}, {@link StoredLanes} and {@link CodeLanes}, which are always
 * inlined.
 */
class KernelsTest {
  private static final DescribedPredicate<JavaClass> KERNELS =
      DescribedPredicate.describe(
          "kernels", type -> type.isTopLevelClass() && type.getSimpleName().endsWith("Kernels"));

  private static final JavaClasses CLASSES =
      new ClassFileImporter()
          .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
          .importPackages("dev.kvdrive.cpu");

  @Test
  void vectorsStayInsideOfKernels() {
    classes()
        .that(KERNELS)
        .should(haveNoVectorsInSignatures())
        .andShould(passVectorsToLanesOnly())
        .check(CLASSES);
  }

  /** Else what is made of vectors, and whether they become objects, is the compiler's chance. */
  @Test
  void onlyKernelsComputeWithVectors() {
    noClasses()
        .that(DescribedPredicate.not(KERNELS))
        .and(DescribedPredicate.not(belongToAnyOf(Lanes.class, StoredLanes.class, CodeLanes.class)))
        .should()
        .dependOnClassesThat(
            DescribedPredicate.describe(
                "vectors",
                type ->
                    type.getPackageName().equals("jdk.incubator.vector")
                        && !type.getSimpleName().equals("VectorSpecies")))
        .check(CLASSES);
  }

  private static boolean vectors(Stream<JavaClass> types) {
    return types.anyMatch(type -> type.getPackageName().equals("jdk.incubator.vector"));
  }

  private static boolean vectors(JavaMethod method) {
    return vectors(
        Stream.concat(
            Stream.of(method.getRawReturnType()), method.getRawParameterTypes().stream()));
  }

  private static ArchCondition<JavaClass> haveNoVectorsInSignatures() {
    return new ArchCondition<>("have no vectors in signatures") {
      @Override
      public void check(JavaClass type, ConditionEvents events) {
        for (JavaMethod method : type.getMethods()) {
          events.add(new SimpleConditionEvent(method, !vectors(method), method.getDescription()));
        }
      }
    };
  }

  private static ArchCondition<JavaClass> passVectorsToLanesOnly() {
    return new ArchCondition<>("pass vectors to Lanes only") {
      @Override
      public void check(JavaClass type, ConditionEvents events) {
        for (JavaMethodCall call : type.getMethodCallsFromSelf()) {
          JavaClass owner = call.getTargetOwner();
          boolean ours = owner.getPackageName().startsWith("dev.kvdrive");
          boolean passes =
              ours
                  && !owner.isEquivalentTo(Lanes.class)
                  && !owner.isEquivalentTo(StoredLanes.class)
                  && !owner.isEquivalentTo(CodeLanes.class)
                  && vectors(
                      Stream.concat(
                          Stream.of(call.getTarget().getRawReturnType()),
                          call.getTarget().getRawParameterTypes().stream()));
          events.add(new SimpleConditionEvent(call, !passes, call.getDescription()));
        }
      }
    };
  }
}
