#!/usr/bin/env bash
# Installs Chromium for tools/report/check.py, unless it is there. Needs Debian or Ubuntu, and root or sudo.
set -euo pipefail
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
if ! command -v chromium >/dev/null; then
    as_root apt-get update -qq
    as_root apt-get install -y -qq --no-install-recommends chromium >/dev/null
fi
chromium --version
