#!/bin/sh
# Makes sure that a base image is in the engine. Does nothing when it is there; else pulls it, where the recipe says from
# where, and where no registry answers makes it from Debian packages (make-tar.sh). The same packages give the same image
# id on every machine. The made file is kept, so that another engine gets it at once.
#
#   python   python:3.9-slim, also as duxnode/python:base: Python with its library, busybox (the default)
#   shell    duxnode/shell:base: bash, busybox
#   node     duxnode/node:base: Node, bash, busybox
#
# Usage: build-base.sh [NAME] [--no-pull] [--rebuild] [--file-only]
#   --no-pull     never asks a registry
#   --rebuild     makes it anew, even where it is there
#   --file-only   asks no engine: makes the file alone, in the form of `docker save`, and prints its path
# Needs a running engine (docker-engine.sh) and curl, unless --file-only; to build also apt-get, dpkg-deb and Debian's
# keyring. No root.
set -eu

HERE=$(cd "$(dirname "$0")" && pwd)
CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/duxnode/images

say() { echo "build-base: $*" >&2; }
die() { say "$*"; exit 1; }

NAME=python
PULL=1
REBUILD=0
FILE_ONLY=0
for arg in "$@"; do
  case $arg in
    --no-pull) PULL=0 ;;
    --rebuild) REBUILD=1 ;;
    --file-only) FILE_ONLY=1 ;;
    python | shell | node) NAME=$arg ;;
    *)
      say "unknown word $arg (there are python, shell, node, --no-pull, --rebuild and --file-only)"
      exit 2
      ;;
  esac
done
# Sets TAGS (the first is the image's name), PULL_FROM (empty: there is no such image elsewhere) and VERSION.
. "$HERE/recipes/$NAME.sh"
TAG=${TAGS%% *}
ARCH=$(dpkg --print-architecture 2>/dev/null || echo none)
KEPT=$CACHE/$NAME-base-$VERSION-$ARCH.tar

make_file() {
  [ "$REBUILD" = 0 ] && [ -s "$KEPT" ] && return 0
  for tool in apt-get dpkg-deb tar sha256sum xz; do
    command -v "$tool" >/dev/null 2>&1 ||
      die "$TAG cannot be made here, '$tool' is missing: use a Debian machine, or 'docker load' the image"
  done
  say "building $TAG from Debian packages"
  "$HERE/make-tar.sh" "$NAME" "$KEPT"
}

if [ "$FILE_ONLY" = 1 ]; then
  make_file
  echo "$KEPT"
  exit 0
fi

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
# The other names of an image that is there by its first.
name_it() {
  for other in $TAGS; do
    has "$other" || engine POST "/images/$TAG/tag?repo=${other%:*}&tag=${other##*:}" -m 10 -o /dev/null
  done
}

engine GET /_ping -m 5 -o /dev/null 2>/dev/null || die "no Docker engine answers on $SOCKET: run scripts/docker-engine.sh first"
if [ "$REBUILD" = 0 ] && has "$TAG"; then
  name_it
  exit 0
fi

if [ "$PULL" = 1 ] && [ -n "$PULL_FROM" ] && [ "$REBUILD" = 0 ] && ! [ -s "$KEPT" ]; then
  # The engine answers 200 and tells of failures in the stream, so the image itself is the proof.
  say "pulling $PULL_FROM"
  engine POST "/images/create?fromImage=${PULL_FROM%:*}&tag=${PULL_FROM##*:}" -m 600 --speed-limit 1 --speed-time 20 -o /dev/null 2>/dev/null || true
  if has "$TAG"; then
    name_it
    exit 0
  fi
fi

make_file
say "loading $KEPT"
engine POST '/images/load?quiet=1' -m 300 -o /dev/null -H 'Content-Type: application/x-tar' -H 'Expect:' -T "$KEPT"
has "$TAG" || die "the engine took $KEPT but does not show $TAG: remove that file and try again"
