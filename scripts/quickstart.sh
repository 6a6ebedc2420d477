#!/bin/sh
# From a bare checkout to a paid task: installs what is missing, starts a network of three daemons on this machine, sends the first
# task over HTTP to one of them, and shows who ran it, that the result is attested and that it was paid. Stops all that it started.
#
# Usage: scripts/quickstart.sh [--keep] [--native]
#   --keep     leaves the network (and the engine) running and says how to use it
#   --native   runs the task in bubblewrap; no Docker engine is touched or needed. So it is where no engine can be had, too.
set -eu
cd "$(dirname "$0")/.."

die() { echo "quickstart: $*" >&2; exit 1; }

KEEP=
NATIVE=
for arg in "$@"; do
  case $arg in
    --keep) KEEP=--keep ;;
    --native) NATIVE=1 ;;
    *) die "unknown option $arg; there are --keep and --native" ;;
  esac
done

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
if [ -z "$NATIVE" ]; then
  echo '- making sure that a Docker engine answers'
  if ! DUXNODE_ENGINE_PIDFILE="$WORK/engine.pid" scripts/docker-engine.sh >"$WORK/log" 2>&1 </dev/null; then
    command -v bwrap >/dev/null 2>&1 || {
      cat "$WORK/log" >&2
      die 'no Docker engine can be had (see above), nor is bubblewrap here: install docker.io or bubblewrap (scripts/bubblewrap.sh does), and try again'
    }
    echo "  none can be had ($(tail -n 1 "$WORK/log")): the task runs natively, in bubblewrap"
    NATIVE=1
  fi
fi
if [ -n "$NATIVE" ]; then
  step 'making sure that bubblewrap is there' scripts/bubblewrap.sh
  step 'making sure that the base image is there, as a file' scripts/images/build-base.sh --file-only
  DUXNODE_SANDBOX_RUNTIME=native
  export DUXNODE_SANDBOX_RUNTIME
else
  step 'making sure that the base image is there' scripts/images/build-base.sh
fi
step 'building dist/duxnode.js' npm run --silent build

node scripts/quickstart.mjs $KEEP
