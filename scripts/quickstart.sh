#!/bin/sh
# From a bare checkout to a paid task: installs what is missing, starts a network of three daemons on this machine, sends the first
# task over HTTP to one of them, and shows who ran it, that the result is attested and that it was paid. Stops all that it started.
#
# Usage: scripts/quickstart.sh [--keep]     --keep leaves the network (and the engine) running and says how to use it
set -eu
cd "$(dirname "$0")/.."

die() { echo "quickstart: $*" >&2; exit 1; }

KEEP=
case "${1:-}" in
  '') ;;
  --keep) KEEP=--keep ;;
  *) die "unknown option $1; there is only --keep" ;;
esac

command -v node >/dev/null 2>&1 || die 'Node is missing: install Node 20.19 or newer'
node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' ||
  die "Node $(node -p process.versions.node) is too old: install 20.19 or newer"
command -v npm >/dev/null 2>&1 || die 'npm is missing: install the npm that comes with Node'

WORK=$(mktemp -d)
# Ends the engine if this run started it, waits for it, and cleans up.
finish() {
  status=$?
  trap - EXIT
  if [ -z "$KEEP" ] && [ -s "$WORK/engine.pid" ]; then
    engine=$(cat "$WORK/engine.pid")
    kill "$engine" 2>/dev/null || true
    tries=100
    while kill -0 "$engine" 2>/dev/null && [ "$tries" -gt 0 ]; do tries=$((tries - 1)); sleep 0.1; done
    rm -f "${TMPDIR:-/tmp}/duxnode-dockerd.log"
  fi
  rm -rf "$WORK"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# step TEXT COMMAND...: says what it does; what it printed only when it fails.
step() {
  echo "- $1"
  shift
  "$@" >"$WORK/log" 2>&1 </dev/null || { cat "$WORK/log" >&2; die "this failed: $*"; }
}

if [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  step 'installing the npm packages' npm ci --no-audit --no-fund --loglevel=error
fi
step 'making sure that a Docker engine answers' env DUXNODE_ENGINE_PIDFILE="$WORK/engine.pid" scripts/docker-engine.sh
step 'making sure that the base image is there' scripts/images/build-base.sh
step 'building dist/duxnode.js' npm run --silent build

node scripts/quickstart.mjs $KEEP
