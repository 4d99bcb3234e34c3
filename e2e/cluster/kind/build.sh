#!/usr/bin/env bash
# Builds kind and, where podman runs the nodes, kind's node image, from Debian
# packages and Go modules, without any image registry. What is there already is
# skipped.
#   build.sh            builds what is missing
#   build.sh --force    builds the image again, from the cached parts
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PACKAGES=(podman netavark aardvark-dns conmon runc mmdebstrap containerd busybox-static jq pigz)
NODE_PACKAGES=(systemd bash ca-certificates procps hostname jq curl mount util-linux kmod
  iproute2 iptables nftables ebtables conntrack ethtool socat pigz
  containerd runc containernetworking-plugins)
WORK= # where the image is put together; set by build_image

# --- programs ---------------------------------------------------------------

go_build() { # NAME MODULE_FOLDER PACKAGE [LDFLAGS]
  local name=$1 folder=$2 package=$3 flags=${4:-} began=$SECONDS
  (cd "$folder" && CGO_ENABLED=0 nice -n 10 "$GO" build -mod=mod -trimpath \
    -ldflags "-s -w $flags" -o "$KIND_BIN/.$name" "$package")
  mv "$KIND_BIN/.$name" "$KIND_BIN/$name"
  log "built $name in $((SECONDS - began)) s ($(du -m "$KIND_BIN/$name" | cut -f1) MB)"
}

build_kubeadm() {
  [ -x "$KIND_BIN/kubeadm" ] && return
  local module=$CACHE/build/kubernetes v=k8s.io/component-base/version minor=${K8S_VERSION#v1.}
  [ -e "$module/go.mod" ] || die "$module is missing: remove $BIN and run build.sh again"
  go_build kubeadm "$module" k8s.io/kubernetes/cmd/kubeadm \
    "-X $v.gitVersion=$K8S_VERSION -X $v.gitMajor=1 -X $v.gitMinor=${minor%%.*} -X $v.gitTreeState=clean"
}

build_module() { # NAME PACKAGE VERSION
  [ -x "$KIND_BIN/$1" ] && return
  mkdir -p "$KIND_CACHE/build/$1"
  printf 'module cluster.test/%s\n' "$1" >"$KIND_CACHE/build/$1/go.mod"
  (cd "$KIND_CACHE/build/$1" && "$GO" get "$2@$3" 2>get.log) || die "$(tail -n 5 "$KIND_CACHE/build/$1/get.log")"
  go_build "$1" "$KIND_CACHE/build/$1" "$2"
}

build_coredns() {
  [ -x "$KIND_BIN/coredns" ] && return
  local module=$KIND_CACHE/build/coredns
  mkdir -p "$module"
  cp "$KIND_FOLDER/node/coredns/main.go" "$module/"
  printf 'module cluster.test/coredns\n' >"$module/go.mod"
  (cd "$module" && "$GO" get "github.com/coredns/coredns@$COREDNS_VERSION" && "$GO" mod tidy) 2>"$module/get.log" ||
    die "$(tail -n 5 "$module/get.log")"
  go_build coredns "$module" .
}

# --- the node's file system -------------------------------------------------

# From where this machine has its own packages.
apt_sources() {
  local file
  for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
    if [ -s "$file" ]; then
      echo "$file"
      return
    fi
  done
}

debian_base() {
  local began=$SECONDS source codename base=$KIND_CACHE/base.tar
  [ -s "$base" ] && return
  # shellcheck source=/dev/null
  codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
  source=$(apt_sources)
  nice -n 10 mmdebstrap --quiet --format=tar --variant=minbase \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --include="$(IFS=,; echo "${NODE_PACKAGES[*]}")" \
    "$codename" "$base.new" ${source:+"$source"} >&2
  mv "$base.new" "$base"
  log "installed the node's packages in $((SECONDS - began)) s ($(du -m "$base" | cut -f1) MB)"
}

# kind keeps what makes a container a node beside its own source.
kind_source() {
  "$GO" mod download -json "sigs.k8s.io/kind@$KIND_VERSION" | jq -r .Dir
}

add_kind_files() { # ROOTFS
  local files
  files=$(kind_source)/images/base/files
  # The module cache is read-only and knows no executables.
  cp -r --no-preserve=mode "$files/." "$1/"
  chmod 0755 "$1"/usr/local/bin/* "$1"/kind/bin/*
  ln -sfn /usr/bin/containerd "$1/usr/local/bin/containerd"
  ln -sfn /lib/systemd/systemd "$1/sbin/init"
  # Where nothing speaks for either kind of iptables it takes the legacy one;
  # the image of kube-proxy has the other.
  # shellcheck disable=SC2016  # the variable is that script's
  sed -i 's/\("${num_legacy_lines}" \)-ge/\1-gt/' "$1/usr/local/bin/entrypoint"
  mkdir -p "$1/opt/cni" "$1/etc/kubernetes/manifests"
  ln -sfn /usr/lib/cni "$1/opt/cni/bin"
}

configure_containerd() { # ROOTFS
  # Root in a confined machine may lack CAP_SYS_RESOURCE, and runc could then
  # not give a pod the low oom_score_adj that kubelet asks for.
  sed -i -e 's/\(restrict_oom_score_adj = \)false/\1true/' \
    -e "s#\(sandbox_image = \).*#\1\"$(image_named pause)\"#" "$1/etc/containerd/config.toml"
  # A pod sees its node's product names and not the machine's; its limits are
  # those of containerd.
  ctr oci spec | jq '.hooks.createContainer += [{path: "/kind/bin/mount-product-files.sh"}] | del(.process.rlimits)' \
    >"$1/etc/containerd/cri-base.json"
}

# A node needs no terminals, devices or log of the machine.
configure_systemd() { # ROOTFS
  rm -f "$1"/etc/systemd/system/*.wants/* "$1"/lib/systemd/system/{multi-user,local-fs,basic}.target.wants/* \
    "$1"/lib/systemd/system/sockets.target.wants/*{udev,initctl}* \
    "$1"/lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service
  echo ReadKMsg=no >>"$1/etc/systemd/journald.conf"
  : >"$1/etc/machine-id"
  chroot "$1" systemctl --quiet enable containerd kubelet undo-mount-hacks pod-network
  chroot "$1" systemctl --quiet mask systemd-binfmt
}

add_kubernetes() { # ROOTFS
  local b
  for b in "$BIN/kubelet" "$BIN/kubectl" "$KIND_BIN/kubeadm"; do
    install -m 0755 "$b" "$1/usr/bin/"
  done
  printf %s "$K8S_VERSION" >"$1/kind/version"
  install -m 0755 "$KIND_FOLDER/node/pod-network" "$KIND_FOLDER/node/crictl" "$1/usr/local/bin/"
  install -m 0644 "$KIND_FOLDER/node/pod-network.service" "$1/etc/systemd/system/"
  mkdir -p "$1/kind/manifests"
  cp "$KIND_FOLDER/node/default-cni.yaml" "$1/kind/manifests/"
  storage_manifest >"$1/kind/manifests/default-storage.yaml"
}

storage_source() { echo "$(kind_source)/pkg/build/nodeimage/const_storage.go"; }
storage_image() { sed -n "s/^const $1 = \"\(.*\)\"/\1/p" "$(storage_source)"; }
# shellcheck disable=SC2016  # these backquotes are Go's
storage_manifest() {
  sed -n '/^const defaultStorageManifest = `/,/^`$/p' "$(storage_source)" |
    sed -e '1d;$d' -e "s#\` + storageProvisionerImage + \`#$(storage_image storageProvisionerImage)#" \
      -e "s#\` + storageHelperImage + \`#$(storage_image storageHelperImage)#"
}

# --- the images within ------------------------------------------------------

# kubeadm knows what it will ask for.
image_named() { "$KIND_BIN/kubeadm" config images list --kubernetes-version "$K8S_VERSION" | grep "/$1:"; }

pack_image() { # NAME FOLDER ENTRYPOINT: one more image of the archive
  local number layer
  mkdir -p "$WORK/archive"
  number=$(find "$WORK/archive" -name '*.json' | wc -l)
  layer=$WORK/archive/$number
  tar --numeric-owner --owner=0 --group=0 --sort=name -C "$2" -cf "$layer.tar" .
  jq -n --arg entrypoint "$3" --arg arch "$(dpkg --print-architecture)" \
    --arg layer "sha256:$(sha256sum "$layer.tar" | cut -d' ' -f1)" \
    '{architecture: $arch, os: "linux", rootfs: {type: "layers", diff_ids: [$layer]}, history: [{}],
      config: {Entrypoint: [$entrypoint], Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}}' \
    >"$layer.json"
  nice -n 10 pigz "$layer.tar"
  jq -n --arg name "$1" --arg number "$number" \
    '{Config: "\($number).json", RepoTags: [$name], Layers: ["\($number).tar.gz"]}' >>"$WORK/list"
}

pack_program() { # NAME PROGRAM PLACE [FOLDER_WITH_MORE]
  local folder=${4:-$WORK/program}
  mkdir -p "$folder/tmp" "$folder/$(dirname "$3")"
  chmod 1777 "$folder/tmp"
  cp "$2" "$folder/$3"
  pack_image "$1" "$folder" "$3"
  rm -rf "$folder"
}

# kube-proxy calls these; they come, with the libraries of them and of iptables'
# own plugins, from the node's packages.
copy_proxy_tools() { # ROOTFS FOLDER
  local files
  mkdir -p "$2"
  files=$(cd "$1" && ls usr/sbin/{nft,conntrack,{ip,ip6}tables{,-save,-restore}} usr/lib/*/xtables/*.so)
  (cd "$1" && {
    printf '%s\n' "$files"
    # shellcheck disable=SC2086  # names, to be split
    chroot . ldd $files | awk '$2 == "=>" {print $3} $1 ~ "/ld-" {print $1}'
  } | sed 's#^/*#./#' | sort -u | xargs cp --parents -L -t "$2")
}

# The storage provisioner makes and removes its folders with sh, mkdir and rm.
pack_storage_helper() {
  local folder=$WORK/helper b
  mkdir -p "$folder/bin"
  for b in mkdir rm; do ln -s sh "$folder/bin/$b"; done
  pack_program "$(storage_image storageHelperImage)" /bin/busybox /bin/sh "$folder"
}

pack_images() { # ROOTFS
  local c
  for c in kube-apiserver kube-controller-manager kube-scheduler etcd; do
    pack_program "$(image_named "$c")" "$BIN/$c" "/usr/local/bin/$c"
  done
  copy_proxy_tools "$1" "$WORK/proxy"
  pack_program "$(image_named kube-proxy)" "$BIN/kube-proxy" /usr/local/bin/kube-proxy "$WORK/proxy"
  pack_program "$(image_named coredns)" "$KIND_BIN/coredns" /coredns
  pack_program "$(image_named pause)" "$BIN/pause" /pause
  pack_program "$(storage_image storageProvisionerImage)" "$KIND_BIN/local-path-provisioner" \
    /usr/local/bin/local-path-provisioner
  pack_storage_helper
  jq -s . "$WORK/list" >"$WORK/archive/manifest.json"
}

# Through a containerd that lives only as long as this takes. Unpacked they
# would make the image larger; the node does that when it needs them.
preload_images() { # ROOTFS
  local pid socket=$WORK/containerd.sock
  printf 'version = 2\nroot = "%s"\nstate = "%s"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "%s"\n' \
    "$1/var/lib/containerd" "$WORK/state" "$socket" >"$WORK/containerd.toml"
  containerd --config "$WORK/containerd.toml" >"$WORK/containerd.log" 2>&1 &
  pid=$!
  wait_for 30 containerd ctr --address "$socket" version
  tar -C "$WORK/archive" -cf - . |
    ctr --address "$socket" --namespace k8s.io images import --no-unpack --all-platforms - >"$WORK/import.log"
  kill "$pid"
  wait "$pid" || true
}

# --- together ---------------------------------------------------------------

build_image() {
  local began=$SECONDS rootfs replaced
  replaced=$(podman image ls --quiet --no-trunc "$NODE_IMAGE")
  WORK=$(mktemp -d -p "$KIND_CACHE" work.XXXXXX)
  # shellcheck disable=SC2064  # the folder is known now and not later
  trap "rm -rf --one-file-system '$WORK'" EXIT
  rootfs=$WORK/rootfs
  mkdir "$rootfs"
  tar -C "$rootfs" --numeric-owner --xattrs -xf "$KIND_CACHE/base.tar"
  add_kind_files "$rootfs"
  configure_containerd "$rootfs"
  add_kubernetes "$rootfs"
  configure_systemd "$rootfs"
  pack_images "$rootfs"
  preload_images "$rootfs"
  # systemd takes its place as PID 1 from kind's entrypoint, and ends on a
  # signal of its own.
  tar -C "$rootfs" --numeric-owner --xattrs -cf - . |
    podman import --quiet --change 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]' \
      --change 'ENV container=docker' --change 'STOPSIGNAL SIGRTMIN+3' - "$NODE_IMAGE" >/dev/null
  # A cluster that is up still needs the old one.
  [ -z "$replaced" ] || podman image rm "$replaced" >/dev/null 2>&1 || true
  log "built $NODE_IMAGE in $((SECONDS - began)) s ($(podman image inspect --format '{{.Size}}' "$NODE_IMAGE" | numfmt --to=iec))"
}

build_parts() {
  "$KIND_FOLDER/../native/build.sh" >/dev/null
  find_go
  build_kubeadm
  build_module kind sigs.k8s.io/kind "$KIND_VERSION"
  build_module local-path-provisioner github.com/rancher/local-path-provisioner "$LOCAL_PATH_PROVISIONER_VERSION"
  build_coredns
  debian_base
}

# A Docker engine's users have a registry, and take kind's own node image.
build_kubectl_and_kind() {
  [ -x "$BIN/kubectl" ] && [ -x "$KIND_BIN/kind" ] && return
  "$KIND_FOLDER/../native/build.sh" kubectl >/dev/null
  find_go
  build_module kind sigs.k8s.io/kind "$KIND_VERSION"
}

main() {
  need_root
  case ${1:-} in '' | --force) ;; *) die "usage: build.sh [--force]" ;; esac
  mkdir -p "$KIND_BIN"
  exec 9>"$KIND_CACHE/lock"
  flock -w 1800 9 || die "another build.sh is at work"
  if [ "$ENGINE" = docker ]; then
    install_debian jq
    build_kubectl_and_kind
  else
    install_debian "${PACKAGES[@]}"
    write_containers_conf
    # kind mounts it into every node, and podman insists that it exists.
    mkdir -p /lib/modules
    if [ "${1:-}" = --force ] || ! podman image exists "$NODE_IMAGE" || [ ! -x "$KIND_BIN/kind" ]; then
      build_parts
      build_image
    fi
  fi
  echo "$NODE_IMAGE"
}
main "$@"
