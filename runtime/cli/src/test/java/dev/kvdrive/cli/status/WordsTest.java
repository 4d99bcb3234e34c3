package dev.kvdrive.cli.status;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class WordsTest {
  private static final Pattern REASON = Pattern.compile("`([A-Z][A-Za-z]+)`");

  @Test
  void everyReasonOfTheDocumentHasAWayOutAndNoOther() throws IOException {
    Set<String> documented = new TreeSet<>();
    boolean inTable = false;
    for (String line : Files.readAllLines(Path.of("../../docs/kubernetes.md"))) {
      inTable = line.startsWith("| reason | says | way out |") || (inTable && line.startsWith("|"));
      if (inTable) {
        Matcher reason = REASON.matcher(line.substring(0, line.indexOf('|', 1) + 1));
        while (reason.find()) {
          documented.add(reason.group(1));
        }
      }
    }
    assertThat(documented).hasSizeGreaterThan(30);
    assertThat(Words.reasons()).containsExactlyInAnyOrderElementsOf(documented);
  }

  @ParameterizedTest
  @CsvSource({
    "Ready,True,it serves",
    "StorageBound,False,a volume is not as it must be",
    "RuntimeReady,Unknown,not known whether the pods serve",
    "OfALaterVersion,True,OfALaterVersion is True",
  })
  void aConditionIsASentence(String type, String status, String sentence) {
    assertThat(Words.sentence(type, status)).isEqualTo(sentence);
  }
}
