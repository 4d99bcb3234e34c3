package dev.kvdrive.server;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.model.Model;
import dev.kvdrive.model.ModelLoader;
import dev.kvdrive.plan.AttentionOptions;
import dev.kvdrive.plan.ByteSize;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.Load;
import dev.kvdrive.plan.PlanRequest;
import dev.kvdrive.plan.Planner;
import dev.kvdrive.plan.PodSizes;
import dev.kvdrive.plan.TierBudgets;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The runtime as a pod runs it, with the heap and the direct memory of its plan and not a byte
 * more, under more bodies at once than both could hold.
 */
class RequestFloodTest {
  private static final int CONTEXT = 2048;
  private static final int CONCURRENCY = 64;
  private static final int CLIENTS = 500;
  private static final int BODY_BYTES = 1 << 20;
  private static final TierBudgets TIERS =
      new TierBudgets(640 * ByteSize.MIB, 640 * ByteSize.MIB, 0);

  @TempDir Path folder;

  private static PodSizes plan() {
    try (Model model = ModelLoader.open(ScriptedRuntime.bundledModel())) {
      return Planner.plan(
              PlanRequest.of(
                  model.geometry(),
                  new Load(CONTEXT, CONCURRENCY),
                  AttentionOptions.DEFAULT_BUDGET,
                  KvType.BF16,
                  TIERS,
                  DeviceKind.CPU))
          .requirePod();
    }
  }

  private static int freePort() throws IOException {
    try (ServerSocket socket = new ServerSocket(0)) {
      return socket.getLocalPort();
    }
  }

  private Process start(PodSizes pod, int port) throws IOException {
    String classPath =
        Stream.of(System.getProperty("java.class.path").split(File.pathSeparator))
            .filter(entry -> !Path.of(entry).endsWith("test-classes"))
            .collect(Collectors.joining(File.pathSeparator));
    return new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-Xmx" + pod.heapBytes(),
            "-XX:MaxDirectMemorySize=" + pod.directBytes(),
            "-XX:+ExitOnOutOfMemoryError",
            "--add-modules",
            "jdk.incubator.vector",
            "--enable-native-access=ALL-UNNAMED",
            "-cp",
            classPath,
            RuntimeApplication.class.getName(),
            "--server.port=" + port,
            "--kvdrive.context-length=" + CONTEXT,
            "--kvdrive.concurrency=" + CONCURRENCY,
            "--kvdrive.tiers.gpu-bytes=" + TIERS.gpu(),
            "--kvdrive.tiers.dram-bytes=" + TIERS.dram(),
            "--kvdrive.model.cache-dir=" + TestFolder.PATH.toAbsolutePath())
        .redirectErrorStream(true)
        .redirectOutput(folder.resolve("log").toFile())
        .start();
  }

  /** A body that is as large as a body may be, and quick to answer. */
  private static byte[] request(String framing) {
    String body = " ".repeat(BODY_BYTES - 40) + "{\"prompt\":\"a\",\"max_tokens\":1}";
    String head =
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n";
    String whole =
        framing.equals("length")
            ? head + "Content-Length: " + body.length() + "\r\n\r\n" + body
            : head
                + "Transfer-Encoding: chunked\r\n\r\n"
                + Integer.toHexString(body.length())
                + "\r\n"
                + body
                + "\r\n0\r\n\r\n";
    return whole.getBytes(StandardCharsets.US_ASCII);
  }

  /** The status of the answer, also if the server answers before it has read everything. */
  private static int ask(int port, byte[] request) throws IOException {
    try (Socket socket = new Socket()) {
      socket.connect(new InetSocketAddress("localhost", port));
      socket.setSoTimeout(60_000);
      try {
        socket.getOutputStream().write(request);
      } catch (IOException e) {
        // The answer says why.
      }
      InputStream in = socket.getInputStream();
      String status = new String(in.readNBytes("HTTP/1.1 200".length()), StandardCharsets.US_ASCII);
      in.readAllBytes();
      return status.isEmpty() ? 0 : Integer.parseInt(status.substring(9));
    }
  }

  @Test
  void moreBodiesThanFitAreRefusedAndNothingElseHappens() throws Exception {
    int port = freePort();
    PodSizes pod = plan();
    assertThat((long) CLIENTS * BODY_BYTES).isGreaterThan(pod.heapBytes());
    Process runtime = start(pod, port);
    try (HttpClient client = HttpClient.newHttpClient();
        ExecutorService clients = Executors.newVirtualThreadPerTaskExecutor()) {
      HttpRequest ready =
          HttpRequest.newBuilder(URI.create("http://localhost:" + port + "/health/ready")).build();
      Awaitility.await()
          .atMost(Duration.ofMinutes(2))
          .ignoreExceptions()
          .until(
              () -> client.send(ready, HttpResponse.BodyHandlers.discarding()).statusCode() == 200);
      for (String framing : List.of("length", "chunks")) {
        int clientsAtOnce = framing.equals("length") ? CLIENTS : CLIENTS / 5;
        byte[] request = request(framing);
        Callable<Integer> one = () -> ask(port, request);
        List<Integer> statuses = new ArrayList<>();
        for (Future<Integer> answer :
            clients.invokeAll(java.util.Collections.nCopies(clientsAtOnce, one))) {
          statuses.add(answer.get());
        }
        assertThat(statuses).as(framing).isSubsetOf(200, 429);
        assertThat(ask(port, request)).as("%s, once the others are gone", framing).isEqualTo(200);
      }
      assertThat(runtime.isAlive()).isTrue();
      assertThat(client.send(ready, HttpResponse.BodyHandlers.discarding()).statusCode())
          .isEqualTo(200);
      assertThat(java.nio.file.Files.readString(folder.resolve("log"))).doesNotContain("ERROR");
    } finally {
      runtime.destroyForcibly().waitFor();
    }
  }
}
