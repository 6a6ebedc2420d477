# shellcheck shell=sh disable=SC2034 # read by build-base.sh and make-tar.sh
# Python with its library, and busybox.
TAGS='python:3.9-slim duxnode/python:base'
PULL_FROM=python:3.9-slim
# Bump when the recipe or make-tar.sh changes: it names the kept file.
VERSION=2
PACKAGES='python3 busybox'
WITHOUT=
MODULES=all
CMD=python3
check() { within python3 -S -c 'import hashlib, json, sqlite3, ssl'; }
