package dev.kvdrive.e2e;

import com.fasterxml.jackson.databind.JsonNode;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.util.Set;
import java.util.TreeSet;

/**
 * Names of all objects of a cluster, of every kind that can be listed, without those that come and
 * go by themselves. Two inventories say what was left behind.
 */
final class Inventory {
  /** What Kubernetes itself makes, renews and forgets. */
  private static final Set<String> PASSING =
      Set.of("events", "componentstatuses", "endpointslices", "controllerrevisions", "csinodes");

  private final KubernetesClient client;

  private Inventory(KubernetesClient client) {
    this.client = client;
  }

  /** {@code GROUP/RESOURCE NAMESPACE/NAME} of every object. */
  static Set<String> take(KubernetesClient client) {
    Inventory inventory = new Inventory(client);
    Set<String> objects = new TreeSet<>();
    inventory.addGroup("", "/api/v1", objects);
    for (JsonNode group : inventory.get("/apis").path("groups")) {
      String version = group.at("/preferredVersion/groupVersion").asText();
      inventory.addGroup(group.path("name").asText(), "/apis/" + version, objects);
    }
    return objects;
  }

  private void addGroup(String group, String path, Set<String> objects) {
    for (JsonNode resource : get(path).path("resources")) {
      String name = resource.path("name").asText();
      boolean listed = false;
      for (JsonNode verb : resource.path("verbs")) {
        listed |= verb.asText().equals("list");
      }
      if (!listed || name.contains("/") || PASSING.contains(name)) {
        continue;
      }
      for (JsonNode item : get(path + "/" + name).path("items")) {
        JsonNode metadata = item.path("metadata");
        objects.add(
            (group + "/" + name + " " + metadata.path("namespace").asText(""))
                + "/"
                + metadata.path("name").asText());
      }
    }
  }

  private JsonNode get(String path) {
    String answer = client.raw(path);
    if (answer == null) {
      // Gone between being named and being asked for, like a CRD that was deleted.
      return Json.object();
    }
    return Json.read(answer);
  }
}
