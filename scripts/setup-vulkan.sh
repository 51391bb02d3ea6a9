#!/usr/bin/env bash
# A Vulkan adapter for the `vulkan` and `wgpu` backends on Debian and Ubuntu: the loader, Mesa's drivers (llvmpipe among
# them, an adapter in software) and the tool that lists what is there. A hardware driver of the vendor is used where it is
# installed.
#   scripts/setup-vulkan.sh
set -euo pipefail
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
if ! dpkg -s libvulkan1 mesa-vulkan-drivers >/dev/null 2>&1; then
    as_root apt-get update -qq
    as_root apt-get install -y -qq libvulkan1 mesa-vulkan-drivers >/dev/null
fi
echo "installed: $(dpkg-query -W -f '${Package} ${Version}, ' libvulkan1 mesa-vulkan-drivers)"
