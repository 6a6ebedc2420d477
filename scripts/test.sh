#!/bin/sh
# Installs what the tests need (npm packages, iproute2, libfaketime, Docker engine, gVisor, bubblewrap, base images), builds, checks types and style, and runs every
# test. Ends with the runner's line `N passed, N failed` and its exit code. May be run again, from any directory.
#
# Usage: scripts/test.sh [file, folder or part of a path of tests ...]
# A missing part is said in one line and fails. An engine that had to be started without systemd stays up for the next
# run; docker-engine.sh says its pid.
set -eu
cd "$(dirname "$0")/.."

die() { echo "test: $*" >&2; exit 1; }

command -v node >/dev/null 2>&1 || die 'Node is missing: install Node 20.19 or newer'
node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' ||
  die "Node $(node -p process.versions.node) is too old: install 20.19 or newer"
command -v npm >/dev/null 2>&1 || die 'npm is missing: install the npm that comes with Node'

LOG=$(mktemp)
trap 'rm -f "$LOG"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# step NAME COMMAND...: one line a step; what it printed only when it fails.
step() {
  name=$1
  shift
  began=$(date +%s)
  printf '%-10s' "$name"
  if "$@" >"$LOG" 2>&1 </dev/null; then
    echo "ok, $(($(date +%s) - began)) s"
  else
    echo 'FAILED'
    cat "$LOG" >&2
    die "the step '$name' failed: $*"
  fi
}

# npm writes this file at the end of an install, so half an install counts as none.
INSTALLED=node_modules/.package-lock.json
if [ ! -f "$INSTALLED" ] || [ package-lock.json -nt "$INSTALLED" ]; then
  step install npm ci --no-audit --no-fund --loglevel=error
fi
# Tests of allowed hosts make network namespaces of their own.
command -v ip >/dev/null 2>&1 ||
  step iproute2 sh -c 'apt-get -o DPkg::Lock::Timeout=300 update -qq &&
    apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends iproute2'
# Tests of wrong clocks give a daemon one that is off.
[ -n "$(find /usr/lib -name libfaketimeMT.so.1 -print -quit)" ] ||
  step faketime sh -c 'apt-get -o DPkg::Lock::Timeout=300 update -qq &&
    apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends libfaketime'
step engine scripts/docker-engine.sh
# Only root can give an engine gVisor: elsewhere its tests are skipped, and say so.
if [ -n "${CI:-}" ] || [ "$(id -u)" = 0 ]; then step gvisor scripts/runsc.sh; fi
step bwrap scripts/bubblewrap.sh
for image in python shell node; do step "$image" scripts/images/build-base.sh "$image"; done
step file scripts/images/build-base.sh --file-only
step build npm run --silent build
step typecheck npm run --silent typecheck
step lint npm run --silent lint

status=0
npm test --silent -- "$@" || status=$?
exit "$status"
