# Sourced by test/run, packaging/demo/run and .ci/run: what Debian 12 must have, and how it gets it.
BUILD_PACKAGES="g++ meson ninja-build pkg-config libuv1-dev libc-ares-dev libnanopb-dev nanopb protobuf-compiler
  nettle-dev libtomlplusplus-dev libre2-dev python3"
# What the workers of packaging/examples are made of.
EXAMPLE_PACKAGES="gunicorn uvicorn nodejs gccgo-12 nginx-light"
# What looks at the image, and reads the compose files.
IMAGE_PACKAGES="umoci python3-yaml"
PROXY_PACKAGES="haproxy python3"
TEST_PACKAGES="doctest-dev serf haproxy procps iproute2 nftables groff-base systemd curl socat $EXAMPLE_PACKAGES
  $IMAGE_PACKAGES"
CI_PACKAGES="clang-14 libclang-rt-14-dev file git"
# What builds for arm64 on amd64, and runs it.
ARM64_PACKAGES="g++-aarch64-linux-gnu qemu-user-static pkgconf:arm64 libuv1-dev:arm64 libc-ares-dev:arm64
  libnanopb-dev:arm64 nettle-dev:arm64 libtomlplusplus-dev:arm64 libre2-dev:arm64"

# Installs those of the named packages that are missing. Nothing to install: touches nothing, needs no root.
need_packages() {
  local missing="" package
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
  done
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    echo "missing packages; run as root: apt-get install$missing" >&2
    return 1
  fi
  echo "installing:$missing" >&2
  case $missing in *:arm64*) dpkg --add-architecture arm64 ;; esac
  local apt="apt-get -o DPkg::Lock::Timeout=900 -o Acquire::Retries=3 -qq"
  # RUNLEVEL=1: a package's own service (HAProxy's) is not started.
  export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
  $apt update >&2 && $apt install -y --no-install-recommends $missing >/dev/null
}

# The program in a build directory.
shoal_in() {
  find "$1" -name shoal -type f -perm -u+x -not -path '*/include-roots/*' -print -quit
}

# Configures a build directory anew or again, and compiles. need_build DIR MESON-OPTIONS... BUILD_TARGETS: only these;
# CROSS_FILE: for another machine.
need_build() {
  local dir=$1 log
  shift
  log=$(mktemp)
  if ! { if [ -f "$dir/build.ninja" ]; then meson configure "$dir" "$@"
         else meson setup --wrap-mode=nodownload ${CROSS_FILE:+--cross-file "$CROSS_FILE"} "$dir" "$root" "$@"; fi \
         && ninja -C "$dir" ${BUILD_TARGETS:-}; } >"$log" 2>&1; then
    tail -n 60 "$log" >&2
    rm -f "$log"
    return 1
  fi
  rm -f "$log"
}
