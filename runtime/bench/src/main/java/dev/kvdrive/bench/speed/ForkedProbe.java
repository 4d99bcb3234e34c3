package dev.kvdrive.bench.speed;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** A probe in a process of its own, so that two engines share neither heap nor compiled code. */
public final class ForkedProbe implements PacedProbe {
  private static final long END_SECONDS = 20;

  private final Process process;
  private final BufferedReader out;
  private final Writer in;
  private final String description;

  private ForkedProbe(Process process) throws IOException {
    this.process = process;
    out = process.inputReader(StandardCharsets.UTF_8);
    in = process.outputWriter(StandardCharsets.UTF_8);
    description = await(ProbeProcess.READY);
  }

  /**
   * Starts a JVM of the same Java and waits until its engine is ready.
   *
   * @param classPath of the process
   * @param heapBytes largest heap
   * @param mainClass calls {@link ProbeProcess#serve}
   * @param log takes what it prints on standard error
   * @throws UncheckedIOException if it cannot be started or does not get ready, with its words
   */
  public static ForkedProbe start(
      String classPath, long heapBytes, String mainClass, Path log, List<String> arguments) {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.add("--add-modules=jdk.incubator.vector");
    command.add("--enable-native-access=ALL-UNNAMED");
    command.add("-XX:CompileCommand=quiet");
    command.add("-XX:CompileCommand=inline,*Lanes::*");
    command.add("-XX:CompileCommand=dontinline,*Kernels::*");
    command.add("-Xmx" + heapBytes / (1 << 20) + "m");
    command.add("-cp");
    command.add(classPath);
    command.add(mainClass);
    command.addAll(arguments);
    return start(command, mainClass, log);
  }

  /**
   * Starts a program that speaks as {@link ProbeProcess} does, and waits until its engine is ready.
   *
   * @param name what it is called in errors
   * @param log takes what it prints on standard error
   * @throws UncheckedIOException if it cannot be started or does not get ready, with its words
   */
  static ForkedProbe start(List<String> command, String name, Path log) {
    Process process = null;
    try {
      process =
          new ProcessBuilder(command)
              .redirectError(ProcessBuilder.Redirect.appendTo(log.toFile()))
              .start();
      return new ForkedProbe(process);
    } catch (IOException e) {
      if (process != null) {
        process.destroy();
      }
      throw new UncheckedIOException(
          "%s: %s; its log is %s".formatted(name, e.getMessage(), log), e);
    }
  }

  @Override
  public String description() {
    return description;
  }

  @Override
  public SpeedRun run() {
    return ask(ProbeProcess.RUN, ProbeProcess::decode);
  }

  @Override
  public void settle(int tokens) {
    ask(ProbeProcess.SETTLE + tokens, answer -> answer);
  }

  @Override
  public long prompt() {
    return ask(ProbeProcess.PROMPT, Long::parseLong);
  }

  @Override
  public Stretch go(int tokens) {
    return ask(ProbeProcess.GO + tokens, ProbeProcess::decodeStretch);
  }

  /** What an answer says. */
  private interface Reading<T> {
    T of(String answer) throws IOException;
  }

  private <T> T ask(String question, Reading<T> reading) {
    try {
      in.write(question + "\n");
      in.flush();
      return reading.of(await(ProbeProcess.RESULT));
    } catch (IOException e) {
      throw new UncheckedIOException("%s: %s".formatted(description, e.getMessage()), e);
    }
  }

  private String await(String beginning) throws IOException {
    for (String line = out.readLine(); line != null; line = out.readLine()) {
      if (line.startsWith(beginning)) {
        return line.substring(beginning.length());
      }
      if (line.startsWith(ProbeProcess.FAILED)) {
        throw new IOException(line.substring(ProbeProcess.FAILED.length()));
      }
    }
    throw new IOException("the process ended without a word");
  }

  /** Ends the process at once, from any thread; whoever waits for it is told so. */
  public void kill() {
    process.destroyForcibly();
  }

  @Override
  public void close() {
    try {
      in.close();
      if (!process.waitFor(END_SECONDS, TimeUnit.SECONDS)) {
        process.destroyForcibly();
      }
    } catch (IOException e) {
      process.destroyForcibly();
    } catch (InterruptedException e) {
      process.destroyForcibly();
      Thread.currentThread().interrupt();
    }
  }
}
