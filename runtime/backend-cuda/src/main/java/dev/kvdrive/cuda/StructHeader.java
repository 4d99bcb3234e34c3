package dev.kvdrive.cuda;

/**
 * The C header of {@link Structs} and {@link Constants}, which lies with the kernels: {@code
 * src/main/cuda/structs.cuh}. A test holds the two together and writes the header when asked to.
 */
final class StructHeader {
  private StructHeader() {}

  static String text() {
    StringBuilder out = new StringBuilder();
    out.append(
        """
        // Generated from dev.kvdrive.cuda.Structs and Constants; StructHeaderTest says how. Do not edit.
        #pragma once

        #include <cuda_bf16.h>
        #include <stddef.h>
        #include <stdint.h>

        typedef __nv_bfloat16 bf16;
        struct Round;
        struct BitWeights;

        """);
    Constants.all()
        .forEach(
            (name, value) ->
                out.append("#define ").append(name).append(' ').append(value).append('\n'));
    for (Struct struct : Structs.all()) {
      append(out, struct);
    }
    return out.toString();
  }

  private static void append(StringBuilder out, Struct struct) {
    out.append("\nstruct ").append(struct.name()).append(" {\n");
    for (Struct.Field field : struct.fields()) {
      out.append("  ").append(field.declared()).append(' ').append(field.name());
      if (field.count() > 1) {
        out.append('[').append(field.count()).append(']');
      }
      out.append(";\n");
    }
    out.append("};\n");
    for (Struct.Field field : struct.fields()) {
      out.append(
          "static_assert(offsetof(%s, %s) == %d, \"%1$s.%2$s\");\n"
              .formatted(struct.name(), field.name(), field.offset()));
    }
    out.append(
        "static_assert(sizeof(%s) == %d, \"%1$s\");\n".formatted(struct.name(), struct.size()));
  }
}
