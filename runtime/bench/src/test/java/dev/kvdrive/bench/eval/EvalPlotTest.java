package dev.kvdrive.bench.eval;

import static dev.kvdrive.bench.eval.Columns.column;
import static dev.kvdrive.bench.eval.Columns.samples;
import static dev.kvdrive.bench.eval.Columns.settings;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;

class EvalPlotTest {
  private final EvalReport report = new EvalReport();

  private static Document drawn(EvalReport report) throws Exception {
    return DocumentBuilderFactory.newInstance()
        .newDocumentBuilder()
        .parse(new ByteArrayInputStream(EvalPlot.svg(report).getBytes(StandardCharsets.UTF_8)));
  }

  private static List<Element> elements(Document drawing, String name) {
    NodeList found = drawing.getElementsByTagName(name);
    List<Element> elements = new ArrayList<>();
    for (int i = 0; i < found.getLength(); i++) {
      elements.add((Element) found.item(i));
    }
    return elements;
  }

  @Test
  void everyColumnThatIsComparedIsADotAndWorseIsFurtherLeft() throws Exception {
    for (int length : new int[] {8192, 16384}) {
      report.add(column(settings("full", 1, length), samples("a", 1, 1, 1)));
      report.add(column(settings("good <&> well", 0.25, length), samples("a", 1, 1, 0.9)));
      report.add(column(settings("bad", 0.25, length), samples("a", 0, 0.2, 0.1)));
    }
    Document drawing = drawn(report);
    List<Element> dots = elements(drawing, "circle");
    // Two in the legend, then two policies of two contexts.
    assertThat(dots).hasSize(6);
    List<Double> x = dots.stream().map(dot -> Double.valueOf(dot.getAttribute("cx"))).toList();
    assertThat(x.get(2)).isEqualTo(x.get(3)).isGreaterThan(x.get(4)).isGreaterThan(x.get(5) - 1);
    assertThat(elements(drawing, "text"))
        .extracting(Element::getTextContent)
        .contains("good <&> well", "bad", "8k tokens", "16k tokens", "tiny, 25 %", "0");
  }

  @Test
  void eachModelAndBudgetHasAPanelAndExactModeIsWhatTheyAreComparedWith() throws Exception {
    report.add(column(settings("kvdrive", 1, 1024), samples("a", 1, 1)));
    report.add(column(settings("kvdrive", 0.25, 1024), samples("a", 1, 0)));
    report.add(column(settings("kvdrive", 0.0625, 1024), samples("a", 0, 0)));
    assertThat(elements(drawn(report), "text"))
        .extracting(Element::getTextContent)
        .contains("tiny, 25 %", "tiny, 6.25 %")
        .doesNotContain("tiny, exact");
  }

  @Test
  void theSameReportIsTheSameDrawing() {
    report.add(column(settings("kvdrive", 1, 1024), samples("a", 1, 1)));
    report.add(column(settings("kvdrive", 0.25, 1024), samples("a", 1, 0)));
    assertThat(EvalPlot.svg(report)).isEqualTo(EvalPlot.svg(report));
  }

  @Test
  void whereNothingCanBeComparedTheWayOutIsTold() {
    report.add(column(settings("kvdrive", 0.25, 1024), samples("a", 1)));
    assertThatThrownBy(() -> EvalPlot.svg(report)).hasMessageContaining("--budget exact");
  }
}
