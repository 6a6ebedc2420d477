#!/bin/sh
# Makes a base image from Debian packages, as one file in the form of `docker save`: a manifest, a configuration named by
# its sha-256 (that is the image's id) and one layer. Nothing in it depends on this machine, its user or the time.
# Called by build-base.sh.
#
# Usage: make-tar.sh RECIPE FILE
set -eu

HERE=$(cd "$(dirname "$0")" && pwd)
RECIPE=$1
OUT=$2
EPOCH=1700000000
CREATED=2023-11-14T22:13:20Z
export LC_ALL=C TZ=UTC
umask 022

say() { echo "make-tar: $*" >&2; }
die() { say "$*"; exit 1; }

# Sets TAGS, PACKAGES, WITHOUT (patterns of packages that something depends on and nothing here needs), CMD, VERSION and
# MODULES (Python modules outside of python3-minimal, or `all`), and defines `check`.
. "$HERE/recipes/$RECIPE.sh"

mkdir -p "$(dirname "$OUT")"
WORK=$(mktemp -d "$(dirname "$OUT")/build.XXXXXX")
trap 'rm -rf "$WORK"' EXIT
trap 'exit 130' INT TERM
ROOT=$WORK/root
ARCH=$(dpkg --print-architecture)

# download [apt options]: the packages and all that they need, as if nothing were installed.
download() {
  rm -rf "$WORK/cache"
  mkdir -p "$WORK/state/lists/partial" "$WORK/cache/archives/partial"
  : >"$WORK/state/status"
  # shellcheck disable=SC2086 # PACKAGES is a list
  apt-get -qq -y --no-install-recommends --download-only \
    -o Dir::State::status="$WORK/state/status" -o Dir::Cache="$WORK/cache" -o Dir::Cache::pkgcache= \
    -o Dir::Cache::srcpkgcache= -o Debug::NoLocking=1 -o APT::Sandbox::User="$(id -un)" "$@" \
    install $PACKAGES >"$WORK/apt.log" 2>&1
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

wanted() {
  for pattern in $WITHOUT; do
    # shellcheck disable=SC2254 # a pattern
    case $1 in $pattern) return 1 ;; esac
  done
}

# Without a package system in the image, its own files are of no use.
mkdir -p "$ROOT/etc" "$ROOT/usr/bin" "$ROOT/usr/sbin" "$ROOT/usr/lib" "$ROOT/usr/lib64" "$ROOT/usr/share"
for dir in bin sbin lib lib64; do ln -s "usr/$dir" "$ROOT/$dir"; done
set -f
for deb in $(find "$WORK/cache/archives" -name '*.deb' | sort); do
  file=${deb##*/}
  wanted "${file%%_*}" || continue
  dpkg-deb --fsys-tarfile "$deb" | tar -x -p -C "$ROOT" --keep-directory-symlink --no-same-owner \
    --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' \
    --exclude='./usr/share/lintian/*' --exclude='./usr/share/info/*' --exclude='./usr/share/bug/*' \
    --exclude='./usr/share/nodejs/@types'
  echo "$file" >>"$ROOT/usr/share/packages.txt"
done
set +f
rm -rf "$ROOT"/usr/lib/*-linux-gnu/gconv
for dir in test idlelib lib2to3/tests ensurepip turtledemo tkinter; do rm -rf "$ROOT"/usr/lib/python3*/"$dir"; done

# Of the full library only what is listed: the modules of python3-minimal are there anyway.
if [ "$MODULES" != all ]; then
  find "$WORK/cache/archives" -name 'libpython3*-stdlib_*.deb' -exec dpkg-deb --fsys-tarfile {} \; | tar -t | grep -v '/$' |
    grep '^\./usr/lib/python3\.' >"$WORK/library"
  for module in $MODULES; do
    grep -v -E "^\./usr/lib/python3\.[0-9]+/(lib-dynload/)?$module(/|\.)" "$WORK/library" >"$WORK/rest"
    mv "$WORK/rest" "$WORK/library"
  done
  (cd "$ROOT" && xargs rm -f <"$WORK/library" && find usr/lib/python3* -type d -empty -delete)
fi

"$ROOT/bin/busybox" --list | while read -r applet; do
  [ -e "$ROOT/usr/bin/$applet" ] || [ -e "$ROOT/usr/sbin/$applet" ] || ln -s busybox "$ROOT/usr/bin/$applet"
done
[ -e "$ROOT/usr/bin/python3" ] || die "the packages of $RECIPE hold no python3, which starts every task"
[ -e "$ROOT/usr/bin/python" ] || ln -s python3 "$ROOT/usr/bin/python"
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/sh\n' >"$ROOT/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' >"$ROOT/etc/group"
printf '127.0.0.1 localhost\n' >"$ROOT/etc/hosts"
for dir in proc sys dev tmp task root run var/tmp; do mkdir -p "$ROOT/$dir"; done
chmod 1777 "$ROOT/tmp" "$ROOT/var/tmp"
find "$ROOT" -perm /6000 -type f -exec chmod ug-s {} +

# The image's own loader runs its own programs, whatever this machine has.
LOADER=$(find "$ROOT/usr/lib" "$ROOT/usr/lib64" -name 'ld-linux-*.so.*' | sort | head -n 1)
LIBS=$(find "$ROOT/usr/lib" -maxdepth 1 -name '*-linux-gnu' | sort | head -n 1)
within() {
  program=$(readlink -f "$ROOT/usr/bin/$1")
  shift
  PYTHONHASHSEED=0 PYTHONHOME=$ROOT/usr PYTHONDONTWRITEBYTECODE=1 "$LOADER" --library-path "$LIBS" "$program" "$@"
}
# On a read-only root Python cannot keep what it compiles: 0.08 s for its imports with these files, 0.31 s without.
# Hash-based files do not depend on times; one process in a fixed order gives the same bytes each time.
find "$ROOT" -name __pycache__ -type d -prune -exec rm -rf {} +
within python3 -S -m compileall -q --invalidation-mode unchecked-hash -s "$ROOT" -p / "$ROOT"/usr/lib/python3* >"$WORK/compile.log" 2>&1 ||
  say "some modules were not precompiled: $(tail -n 1 "$WORK/compile.log")"
# What PID 1 of every sandbox needs.
within python3 -S -c 'import _signal, ctypes, os, resource, stat, sys' || die "the launcher would not start in $RECIPE"
check

mkdir "$WORK/save"
tar --sort=name --mtime="@$EPOCH" --owner=0 --group=0 --numeric-owner --format=gnu -C "$ROOT" -cf "$WORK/save/layer.tar" .
LAYER=$(sha256sum "$WORK/save/layer.tar" | cut -d ' ' -f 1)
cat >"$WORK/config.json" <<JSON
{"architecture":"$ARCH","os":"linux","created":"$CREATED","config":{"Env":["PATH=/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin","PYTHONUNBUFFERED=1","PYTHONDONTWRITEBYTECODE=1","HOME=/tmp","LANG=C.UTF-8"],"Cmd":["$CMD"],"Labels":{"duxnode.base":"$RECIPE-$VERSION"}},"rootfs":{"type":"layers","diff_ids":["sha256:$LAYER"]},"history":[{"created":"$CREATED","created_by":"duxnode scripts/images/build-base.sh $RECIPE"}]}
JSON
ID=$(sha256sum "$WORK/config.json" | cut -d ' ' -f 1)
mv "$WORK/config.json" "$WORK/save/$ID.json"
NAMES=$(for tag in $TAGS; do printf '"%s",' "$tag"; done)
printf '[{"Config":"%s.json","RepoTags":[%s],"Layers":["layer.tar"]}]' "$ID" "${NAMES%,}" >"$WORK/save/manifest.json"
tar --sort=name --mtime="@$EPOCH" --owner=0 --group=0 --numeric-owner --format=gnu -C "$WORK/save" -cf "$WORK/image.tar" .
# Renamed in one step: a broken run leaves no half file under that name.
mv "$WORK/image.tar" "$OUT"
say "${TAGS%% *} is sha256:$ID"
