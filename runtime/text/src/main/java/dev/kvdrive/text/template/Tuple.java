package dev.kvdrive.text.template;

import java.util.AbstractList;
import java.util.List;

/** A list that is written with round brackets. */
class Tuple extends AbstractList<Object> {

  private final List<?> items;

  Tuple(List<?> items) {
    this.items = items;
  }

  static Tuple of(Object... items) {
    return new Tuple(List.of(items));
  }

  @Override
  public Object get(int index) {
    return items.get(index);
  }

  @Override
  public int size() {
    return items.size();
  }
}
