package dev.kvdrive.model.source;

import java.util.List;
import java.util.Optional;

/**
 * What a repository holds at one commit.
 *
 * @param commit 40 hex digits
 * @param files with safe names only
 */
record HubListing(String commit, List<HubFile> files) {
  HubListing {
    files = List.copyOf(files);
  }

  Optional<HubFile> file(String name) {
    return files.stream().filter(f -> f.name().equals(name)).findFirst();
  }
}
