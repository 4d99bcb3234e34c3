package dev.kvdrive.text.template;

/** A macro, a global function or a method bound to its object. */
interface Callable {
  Object call(Rendering rendering, Args args);
}
