#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# tests/layering.sh notices what is planted on purpose.
exec sh "${top_srcdir:-$(cd "$(dirname "$0")/.." && pwd)}/tests/layering.sh" --self-test
