#!/usr/bin/env bash
# Installs the Vulkan loader and Mesa's drivers for the `vulkan` and `wgpu` backends on Debian and Ubuntu. Mesa includes the
# software adapter llvmpipe. A vendor's hardware driver is used where it is installed.
# usage: scripts/setup-vulkan.sh
set -euo pipefail
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
if ! dpkg -s libvulkan1 mesa-vulkan-drivers >/dev/null 2>&1; then
    as_root apt-get update -qq
    as_root apt-get install -y -qq libvulkan1 mesa-vulkan-drivers >/dev/null
fi
echo "installed: $(dpkg-query -W -f '${Package} ${Version}, ' libvulkan1 mesa-vulkan-drivers)"
