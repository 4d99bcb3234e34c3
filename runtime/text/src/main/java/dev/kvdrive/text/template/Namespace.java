package dev.kvdrive.text.template;

import java.util.LinkedHashMap;
import java.util.Map;

/** A template's {@code namespace()}: the one thing that inner scopes may assign to. */
final class Namespace {
  final Map<String, Object> members = new LinkedHashMap<>();
}
