#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes ./configure from a fresh clone. Needs autoconf, automake, autoconf-archive and pkg-config.
set -eu
cd "$(dirname "$0")"
mkdir -p packaging/m4 packaging/build-aux
exec autoreconf --install --warnings=all "$@"
