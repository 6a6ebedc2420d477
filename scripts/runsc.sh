#!/bin/sh
# Makes sure that the Docker engine has gVisor as the runtime `runsc`. Does nothing when it has. On Debian, as root, it
# installs the package runsc where that is missing, adds the runtime to the engine's configuration and has the engine read
# that again: nothing is restarted, and containers run on. Ends 0 when the engine has it, else 1 after one line that
# says what to do.
#
#   DOCKER_HOST                 unix:///path of the engine's socket (default /var/run/docker.sock)
#   DUXNODE_DOCKER_CONFIG       the engine's configuration file (default /etc/docker/daemon.json)
#   DUXNODE_DOCKER_PIDFILE      where the engine keeps its pid (default /var/run/docker.pid)
set -eu

say() { echo "runsc: $*" >&2; }
die() { say "$*"; exit 1; }

case "${DOCKER_HOST:-}" in
  unix://*) SOCKET=${DOCKER_HOST#unix://} ;;
  *) SOCKET=/var/run/docker.sock ;;
esac
CONFIG=${DUXNODE_DOCKER_CONFIG:-/etc/docker/daemon.json}
PIDFILE=${DUXNODE_DOCKER_PIDFILE:-/var/run/docker.pid}
command -v curl >/dev/null 2>&1 || die "curl is missing: install it ('apt-get install curl') and try again"

has() { curl -fsS -m 10 --unix-socket "$SOCKET" http://engine/info 2>/dev/null | grep -q '"runsc":'; }

curl -fsS -m 10 -o /dev/null --unix-socket "$SOCKET" http://engine/_ping 2>/dev/null ||
  die "no Docker engine answers on $SOCKET: run scripts/docker-engine.sh first"
if has; then exit 0; fi
[ "$(id -u)" = 0 ] || die "the engine does not have gVisor, and this user is not root: run 'sudo $0'"

if ! command -v runsc >/dev/null 2>&1; then
  command -v apt-get >/dev/null 2>&1 ||
    die "gVisor is missing, and this is not Debian: install runsc as its handbook says and try again"
  say 'installing runsc from the Debian archive'
  APT_LOG=$(mktemp)
  export DEBIAN_FRONTEND=noninteractive
  if ! { apt-get -o DPkg::Lock::Timeout=300 update -qq &&
    apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends runsc; } >"$APT_LOG" 2>&1; then
    tail -5 "$APT_LOG" >&2
    rm -f "$APT_LOG"
    die "apt-get could not install runsc (its last lines are above): mend that and try again"
  fi
  rm -f "$APT_LOG"
fi

# ptrace: works everywhere, and the KVM platform of Debian's version hangs. network none: a sandbox has none anyway.
# oci-seccomp: our filter holds inside as well, where it stands before gVisor's own calls.
node --input-type=module - "$CONFIG" "$(command -v runsc)" <<'JS' || die "$CONFIG could not be changed: mend it and try again"
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
const [file, path] = process.argv.slice(2);
mkdirSync(dirname(file), { recursive: true });
const config = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8') || '{}') : {};
const runtimeArgs = ['--platform=ptrace', '--network=none', '--oci-seccomp'];
config.runtimes = { ...config.runtimes, runsc: { path, runtimeArgs } };
writeFileSync(`${file}.new`, `${JSON.stringify(config, null, 2)}\n`);
renameSync(`${file}.new`, file);
JS

[ -f "$PIDFILE" ] || die "$CONFIG has runsc now, but $PIDFILE does not say which process to tell: restart the engine"
kill -HUP "$(cat "$PIDFILE")"
TRIES=100
until has; do
  TRIES=$((TRIES - 1))
  [ "$TRIES" -gt 0 ] || die "the engine did not take runsc from $CONFIG: see its log"
  sleep 0.1
done
say 'the engine has gVisor now'
