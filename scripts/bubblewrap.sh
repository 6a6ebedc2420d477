#!/bin/sh
# Makes sure that bubblewrap is there, which tasks run in where there is no Docker. Does nothing when it is. On Debian, as
# root, it installs it. Ends 0 when it is there, else 1 after one line that says what to do.
set -eu

die() { echo "bubblewrap: $*" >&2; exit 1; }

if command -v bwrap >/dev/null 2>&1; then exit 0; fi
command -v apt-get >/dev/null 2>&1 || die "bwrap is missing, and this is not Debian: install bubblewrap as your system does"
[ "$(id -u)" = 0 ] || die "bwrap is missing and this user is not root: run 'sudo $0', or ask for bubblewrap to be installed"
LOG=$(mktemp)
trap 'rm -f "$LOG"' EXIT
export DEBIAN_FRONTEND=noninteractive
if ! { dpkg --configure -a &&
  apt-get -o DPkg::Lock::Timeout=300 update -qq &&
  apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends bubblewrap; } >"$LOG" 2>&1; then
  tail -5 "$LOG" >&2
  die "apt-get could not install bubblewrap (its last lines are above): mend that and try again"
fi
