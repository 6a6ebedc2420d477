#!/bin/sh
# Makes sure that a Docker engine answers. Does nothing when one does. On Debian, as root, it installs docker.io where
# the engine is missing and starts it. Ends 0 when the engine answers, else 1 after one line that says what to do.
#
#   DOCKER_HOST                 unix:///path of the engine's socket (default /var/run/docker.sock)
#   DUXNODE_ENGINE_PIDFILE      where the engine's pid is written, only if this run started it outside systemd
#   DUXNODE_ENGINE_WAIT_S       how long to wait for a started engine (default 60)
set -eu

say() { echo "docker-engine: $*" >&2; }
die() { say "$*"; exit 1; }

case "${DOCKER_HOST:-}" in
  '') SOCKET=/var/run/docker.sock ;;
  unix://*) SOCKET=${DOCKER_HOST#unix://} ;;
  *) die "DOCKER_HOST=$DOCKER_HOST is not a local socket; duxnode needs an engine on this machine: unset DOCKER_HOST" ;;
esac
WAIT_S=${DUXNODE_ENGINE_WAIT_S:-60}
LOG=${TMPDIR:-/tmp}/duxnode-dockerd.log
LOCK=/run/lock/duxnode-docker-engine.lock

# Removes the pid file of a process that has died (a zombie too: it would pass for alive, and stop the new engine).
drop_stale() {
  [ -f "$1" ] || return 0
  state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$(cat "$1")/status" 2>/dev/null || true)
  case $state in '' | Z | X) rm -f "$1" ;; esac
}

# One small HTTP request by whatever is there: curl, python3, or the client itself.
answers() {
  [ -S "$SOCKET" ] || return 1
  if command -v curl >/dev/null 2>&1; then
    [ "$(curl -fsS -m 2 --unix-socket "$SOCKET" http://engine/_ping 2>/dev/null)" = OK ]
  elif command -v docker >/dev/null 2>&1; then
    docker --host "unix://$SOCKET" version >/dev/null 2>&1
  else
    return 0
  fi
}

if answers; then exit 0; fi

if [ "$(id -u)" != 0 ]; then
  if [ -S "$SOCKET" ] && ! [ -w "$SOCKET" ]; then
    die "this user may not use $SOCKET: run 'sudo usermod -aG docker $(id -un)' and log in again"
  fi
  die "no Docker engine answers on $SOCKET and this user is not root: run 'sudo $0', or ask for Docker to be started"
fi
[ "$SOCKET" = /var/run/docker.sock ] || die "no engine answers on $SOCKET: start it, or unset DOCKER_HOST"

# Two at once would install and start twice.
mkdir -p "${LOCK%/*}"
if command -v flock >/dev/null 2>&1; then
  exec 9>"$LOCK"
  flock -w 600 9 || die "another run of this script holds $LOCK for ten minutes: end it and try again"
  if answers; then exit 0; fi
fi

if ! command -v dockerd >/dev/null 2>&1; then
  command -v apt-get >/dev/null 2>&1 ||
    die "no Docker engine, and this is not Debian: install Docker as its handbook says, start it, and try again"
  say 'installing docker.io from the Debian archive'
  APT_LOG=$(mktemp)
  export DEBIAN_FRONTEND=noninteractive
  # Installing must not start a service of its own accord on a machine without systemd; dpkg ends a broken run first.
  if ! { dpkg --configure -a &&
    apt-get -o DPkg::Lock::Timeout=300 update -qq &&
    apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends docker.io curl ca-certificates; } \
    >"$APT_LOG" 2>&1 9>&-; then
    tail -5 "$APT_LOG" >&2
    rm -f "$APT_LOG"
    die "apt-get could not install docker.io (its last lines are above): mend that and try again"
  fi
  rm -f "$APT_LOG"
fi
if answers; then exit 0; fi

PID=
if [ -d /run/systemd/system ]; then
  say 'starting the engine by systemd'
  systemctl start docker 9>&- || die "systemd could not start docker: see 'journalctl -u docker'"
else
  say "starting dockerd (its log: $LOG)"
  drop_stale /var/run/docker.pid
  drop_stale /var/run/docker/containerd/containerd.pid
  # No sandbox has a network, so the engine needs neither a bridge nor firewall rules.
  setsid nohup dockerd --iptables=false --bridge=none >"$LOG" 2>&1 </dev/null 9>&- &
  PID=$!
  # A run that is broken off leaves no engine behind.
  trap 'kill "$PID" 2>/dev/null; exit 130' INT TERM
fi

TRIES=$((WAIT_S * 10))
while [ "$TRIES" -gt 0 ]; do
  if answers; then
    if [ -n "$PID" ]; then
      # setsid forks when it leads a group: the engine's own file knows the pid for sure.
      [ -f /var/run/docker.pid ] && PID=$(cat /var/run/docker.pid)
      if [ -n "${DUXNODE_ENGINE_PIDFILE:-}" ]; then echo "$PID" >"$DUXNODE_ENGINE_PIDFILE"; fi
      say "started, pid $PID"
    fi
    exit 0
  fi
  if [ -n "$PID" ] && ! kill -0 "$PID" 2>/dev/null && ! [ -f /var/run/docker.pid ]; then break; fi
  TRIES=$((TRIES - 1))
  sleep 0.1
done
if [ -n "$PID" ]; then
  tail -20 "$LOG" >&2 || true
  [ -f /var/run/docker.pid ] && PID=$(cat /var/run/docker.pid)
  kill "$PID" 2>/dev/null || true
  die "dockerd did not answer within $WAIT_S s and was stopped; the last lines of $LOG are above"
fi
die "the engine did not answer within $WAIT_S s: see 'journalctl -u docker'"
