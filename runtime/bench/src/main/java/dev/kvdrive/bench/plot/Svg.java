package dev.kvdrive.bench.plot;

import java.io.StringWriter;
import java.util.Locale;
import javax.xml.stream.XMLOutputFactory;
import javax.xml.stream.XMLStreamException;
import javax.xml.stream.XMLStreamWriter;

/** A drawing of lines, dots and words, an element a line, so that versions can be compared. */
public final class Svg {
  private static final double RADIUS = 3.5;

  private final StringWriter text = new StringWriter();
  private final XMLStreamWriter xml;

  public Svg(double width, double height) {
    try {
      xml = XMLOutputFactory.newDefaultFactory().createXMLStreamWriter(text);
      xml.writeStartElement("svg");
      xml.writeDefaultNamespace("http://www.w3.org/2000/svg");
      attributes("width", number(width), "height", number(height));
      attributes("viewBox", "0 0 %s %s".formatted(number(width), number(height)));
      attributes("font-family", "sans-serif");
      element("rect", "width", "100%", "height", "100%", "fill", "white");
    } catch (XMLStreamException e) {
      throw new IllegalStateException(e);
    }
  }

  public void line(double x1, double y1, double x2, double y2, String colour, double width) {
    element(
        "line",
        "x1",
        number(x1),
        "y1",
        number(y1),
        "x2",
        number(x2),
        "y2",
        number(y2),
        "stroke",
        colour,
        "stroke-width",
        number(width));
  }

  public void dot(double x, double y, String colour) {
    element("circle", "cx", number(x), "cy", number(y), "r", number(RADIUS), "fill", colour);
  }

  /**
   * Words.
   *
   * @param anchor what is at x: start, middle or end
   */
  public void text(double x, double y, String anchor, int size, String words) {
    try {
      xml.writeCharacters("\n");
      xml.writeStartElement("text");
      attributes("x", number(x), "y", number(y), "text-anchor", anchor);
      attributes("font-size", Integer.toString(size));
      xml.writeCharacters(words);
      xml.writeEndElement();
    } catch (XMLStreamException e) {
      throw new IllegalStateException(e);
    }
  }

  /** The whole drawing. */
  public String end() {
    try {
      xml.writeCharacters("\n");
      xml.writeEndElement();
      xml.writeEndDocument();
      xml.close();
    } catch (XMLStreamException e) {
      throw new IllegalStateException(e);
    }
    return text + "\n";
  }

  private void element(String name, String... attributes) {
    try {
      xml.writeCharacters("\n");
      xml.writeEmptyElement(name);
      attributes(attributes);
    } catch (XMLStreamException e) {
      throw new IllegalStateException(e);
    }
  }

  private void attributes(String... namesAndValues) throws XMLStreamException {
    for (int i = 0; i < namesAndValues.length; i += 2) {
      xml.writeAttribute(namesAndValues[i], namesAndValues[i + 1]);
    }
  }

  private static String number(double value) {
    return String.format(Locale.ROOT, "%.1f", value);
  }
}
