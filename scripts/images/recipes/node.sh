# shellcheck shell=sh disable=SC2034 # read by build-base.sh and make-tar.sh
# Node, bash and busybox, and as much of Python as starts a task.
TAGS=duxnode/node:base
PULL_FROM=
# Bump when the recipe or make-tar.sh changes: it names the kept file.
VERSION=1
PACKAGES='nodejs busybox bash python3-minimal libpython3-stdlib'
# Dependencies of libraries that are left out, and of packages whose programs busybox has.
WITHOUT='base-files debianutils dpkg libacl1 libbz2-* libcom-err2 libcrypt1 libdb5* libgssapi-* libk5crypto*
  libkeyutils1 libkrb5* liblzma5 libmd0 libncursesw6 libnsl2 libpcre2-* libreadline* libselinux1 libsqlite3-*
  libtirpc* libuuid1 libzstd1 mawk media-types readline-common tar'
MODULES='ctypes _ctypes resource'
CMD=node
# More than that it cannot do outside of its root: it reads its own modules by absolute paths.
check() { within node --version >/dev/null; }
