# shellcheck shell=sh disable=SC2034 # read by build-base.sh and make-tar.sh
# bash and busybox, and as much of Python as starts a task.
TAGS=duxnode/shell:base
PULL_FROM=
# Bump when the recipe or make-tar.sh changes: it names the kept file.
VERSION=1
PACKAGES='busybox bash python3-minimal libpython3-stdlib'
# Dependencies of libraries that are left out, and of packages whose programs busybox has.
WITHOUT='base-files debianutils dpkg gcc-12-base libacl1 libbz2-* libcom-err2 libcrypt1 libdb5* libgssapi-* libk5crypto*
  libkeyutils1 libkrb5* liblzma5 libmd0 libncursesw6 libnsl2 libpcre2-* libreadline* libselinux1 libsqlite3-* libssl*
  libtirpc* libuuid1 libzstd1 mawk media-types readline-common tar'
MODULES='ctypes _ctypes resource'
CMD=sh
check() { within bash -c 'exit 0'; }
