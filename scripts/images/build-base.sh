#!/bin/sh
# Makes sure that the base image `python:3.9-slim` is in the engine. Does nothing when it is there; else pulls it, and
# where no registry answers makes it from Debian packages (python3, busybox) and loads it under that name and as
# `duxnode/python:base`. The image carries the label duxnode.base, and the same packages give the same image id on
# every machine. The built file is kept, so that another engine gets it at once.
#
# Usage: build-base.sh [--no-pull] [--rebuild]
# Needs a running engine (docker-engine.sh) and curl; to build also apt-get, dpkg-deb and Debian's keyring. No root.
set -eu

NAME=python:3.9-slim
ALIAS=duxnode/python
ALIAS_TAG=base
# Bump when the recipe changes: it names the kept file.
RECIPE=1
CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/duxnode/images
EPOCH=1700000000
CREATED=2023-11-14T22:13:20Z
PULL=1
REBUILD=0
for arg in "$@"; do
  case $arg in
    --no-pull) PULL=0 ;;
    --rebuild) REBUILD=1 ;;
    *) echo "build-base: unknown option $arg (there are --no-pull and --rebuild)" >&2; exit 2 ;;
  esac
done

say() { echo "build-base: $*" >&2; }
die() { say "$*"; exit 1; }

case "${DOCKER_HOST:-}" in
  unix://*) SOCKET=${DOCKER_HOST#unix://} ;;
  *) SOCKET=/var/run/docker.sock ;;
esac
command -v curl >/dev/null 2>&1 || die "curl is missing: install it ('apt-get install curl') and try again"

# engine METHOD PATH [curl options]: the answer's body on stdout, failing on 4xx and 5xx.
engine() {
  method=$1
  path=$2
  shift 2
  curl -fsS --unix-socket "$SOCKET" -X "$method" "$@" "http://engine$path"
}
has() { engine GET "/images/$1/json" -m 10 -o /dev/null 2>/dev/null; }
alias_it() { engine POST "/images/$NAME/tag?repo=$ALIAS&tag=$ALIAS_TAG" -m 10 -o /dev/null; }

engine GET /_ping -m 5 -o /dev/null 2>/dev/null || die "no Docker engine answers on $SOCKET: run scripts/docker-engine.sh first"
if [ "$REBUILD" = 0 ] && has "$NAME"; then
  has "$ALIAS:$ALIAS_TAG" || alias_it
  exit 0
fi

ARCH=$(dpkg --print-architecture 2>/dev/null || echo none)
KEPT=$CACHE/python-base-$RECIPE-$ARCH.tar
load() {
  engine POST '/images/load?quiet=1' -m 300 -o /dev/null -H 'Content-Type: application/x-tar' -H 'Expect:' -T "$KEPT"
  has "$NAME" || die "the engine took $KEPT but does not show $NAME: remove that file and try again"
}
if [ "$REBUILD" = 0 ] && [ -s "$KEPT" ]; then
  say "loading $KEPT"
  load
  exit 0
fi

if [ "$PULL" = 1 ]; then
  # The engine answers 200 and tells of failures in the stream, so the image itself is the proof.
  say "pulling $NAME"
  engine POST "/images/create?fromImage=${NAME%:*}&tag=${NAME#*:}" -m 600 --speed-limit 1 --speed-time 20 -o /dev/null 2>/dev/null || true
  if has "$NAME"; then
    alias_it
    exit 0
  fi
fi

for tool in apt-get dpkg-deb tar sha256sum xz; do
  command -v "$tool" >/dev/null 2>&1 ||
    die "$NAME cannot be pulled here, and '$tool' to build it is missing: use a Debian machine, or 'docker load' the image"
done

say "building $NAME from Debian packages"
export LC_ALL=C
umask 022
mkdir -p "$CACHE"
WORK=$(mktemp -d "$CACHE/build.XXXXXX")
trap 'rm -rf "$WORK"' EXIT
trap 'exit 130' INT TERM
ROOT=$WORK/root

# download [apt options]: the packages and all that they need, as if nothing were installed.
download() {
  rm -rf "$WORK/cache"
  mkdir -p "$WORK/state/lists/partial" "$WORK/cache/archives/partial"
  : >"$WORK/state/status"
  apt-get -qq -y --no-install-recommends --download-only \
    -o Dir::State::status="$WORK/state/status" -o Dir::Cache="$WORK/cache" -o Dir::Cache::pkgcache= \
    -o Dir::Cache::srcpkgcache= -o Debug::NoLocking=1 -o APT::Sandbox::User="$(id -un)" "$@" \
    install python3 busybox >"$WORK/apt.log" 2>&1
}
# The machine's own package lists may be missing or too old for the archive: then fetch fresh ones of our own.
if ! download; then
  apt-get -qq -o Dir::State="$WORK/state" -o Dir::State::status="$WORK/state/status" -o Dir::Cache="$WORK/cache" \
    -o Debug::NoLocking=1 -o APT::Sandbox::User="$(id -un)" update >>"$WORK/apt.log" 2>&1 || true
  if ! download -o Dir::State="$WORK/state"; then
    tail -5 "$WORK/apt.log" >&2
    die "apt-get could not download the packages (its last lines are above): check /etc/apt/sources.list and the network"
  fi
fi

mkdir -p "$ROOT/etc" "$ROOT/usr/bin" "$ROOT/usr/sbin" "$ROOT/usr/lib" "$ROOT/usr/lib64"
for dir in bin sbin lib lib64; do ln -s "usr/$dir" "$ROOT/$dir"; done
for deb in "$WORK"/cache/archives/*.deb; do
  dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$ROOT" --keep-directory-symlink --no-same-owner \
    --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' \
    --exclude='./usr/share/lintian/*' --exclude='./usr/share/info/*' --exclude='./usr/share/bug/*'
done
(cd "$WORK/cache/archives" && ls -- *.deb) | sort >"$ROOT/usr/share/packages.txt"
rm -rf "$ROOT"/usr/lib/*-linux-gnu/gconv
for dir in test idlelib lib2to3/tests ensurepip turtledemo tkinter; do rm -rf "$ROOT"/usr/lib/python3*/"$dir"; done

# The image's own loader runs its own programs, whatever this machine has.
LOADER=$(find "$ROOT/usr/lib" "$ROOT/usr/lib64" -name 'ld-linux-*.so.*' | sort | head -n 1)
LIBS=$(find "$ROOT/usr/lib" -maxdepth 1 -name '*-linux-gnu' | sort | head -n 1)
"$ROOT/bin/busybox" --list | while read -r applet; do
  [ -e "$ROOT/usr/bin/$applet" ] || [ -e "$ROOT/usr/sbin/$applet" ] || ln -s busybox "$ROOT/usr/bin/$applet"
done
[ -e "$ROOT/usr/bin/python" ] || ln -s python3 "$ROOT/usr/bin/python"
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/sh\n' >"$ROOT/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' >"$ROOT/etc/group"
printf '127.0.0.1 localhost\n' >"$ROOT/etc/hosts"
for dir in proc sys dev tmp task root run var/tmp; do mkdir -p "$ROOT/$dir"; done
chmod 1777 "$ROOT/tmp" "$ROOT/var/tmp"

# On a read-only root Python cannot keep what it compiles: 0.08 s for its imports with these files, 0.31 s without.
# Hash-based files do not depend on times; one process in a fixed order gives the same bytes each time.
find "$ROOT" -name __pycache__ -type d -prune -exec rm -rf {} +
PYTHON=$(readlink -f "$ROOT/usr/bin/python3")
PYTHONHASHSEED=0 PYTHONHOME=$ROOT/usr PYTHONDONTWRITEBYTECODE=1 "$LOADER" --library-path "$LIBS" "$PYTHON" -S \
  -m compileall -q --invalidation-mode unchecked-hash -s "$ROOT" -p / "$ROOT"/usr/lib/python3* >"$WORK/compile.log" 2>&1 ||
  say "some modules were not precompiled: $(tail -n 1 "$WORK/compile.log")"
find "$ROOT" -perm /6000 -type f -exec chmod ug-s {} +

mkdir "$WORK/save"
tar --sort=name --mtime="@$EPOCH" --owner=0 --group=0 --numeric-owner --format=gnu -C "$ROOT" -cf "$WORK/save/layer.tar" .
LAYER=$(sha256sum "$WORK/save/layer.tar" | cut -d ' ' -f 1)
cat >"$WORK/config.json" <<JSON
{"architecture":"$ARCH","os":"linux","created":"$CREATED","config":{"Env":["PATH=/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin","PYTHONUNBUFFERED=1","PYTHONDONTWRITEBYTECODE=1","HOME=/tmp","LANG=C.UTF-8"],"Cmd":["python3"],"Labels":{"duxnode.base":"$RECIPE"}},"rootfs":{"type":"layers","diff_ids":["sha256:$LAYER"]},"history":[{"created":"$CREATED","created_by":"duxnode scripts/images/build-base.sh"}]}
JSON
ID=$(sha256sum "$WORK/config.json" | cut -d ' ' -f 1)
mv "$WORK/config.json" "$WORK/save/$ID.json"
printf '[{"Config":"%s.json","RepoTags":["%s","%s:%s"],"Layers":["layer.tar"]}]' "$ID" "$NAME" "$ALIAS" "$ALIAS_TAG" >"$WORK/save/manifest.json"
tar --sort=name --mtime="@$EPOCH" --owner=0 --group=0 --numeric-owner -C "$WORK/save" -cf "$WORK/image.tar" .
# Renamed in one step: a broken run leaves no half file under that name.
mv "$WORK/image.tar" "$KEPT"
load
say "$NAME is sha256:$ID"
