package dev.kvdrive.text.template;

/** Python's None. */
enum None {
  NONE
}
