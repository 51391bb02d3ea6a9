#!/usr/bin/env bash
# Installs libtorch 2.9.0 for the `tch` backend from the PyPI wheel, and the packages of tools/peer, where they are missing.
# Sets the environment of this shell for cargo and for the built program. The x86-64 wheel contains CUDA: 7 GB on disk.
# On Debian and Ubuntu, first: apt-get install python3-venv g++
# usage: source scripts/setup-tch.sh [DIRECTORY]     (default: .venv-tch)
_directory=$(realpath -m "${1:-.venv-tch}")
if ! "$_directory/bin/python" -m pip --version >/dev/null 2>&1; then
    python3 -m venv "$_directory" || return 1
fi
if ! "$_directory/bin/python" -c 'import safetensors, torch; assert torch.__version__.startswith("2.9.0")' 2>/dev/null; then
    "$_directory/bin/python" -m pip install --quiet torch==2.9.0 numpy safetensors || return 1
fi
export PATH="$_directory/bin:$PATH"
export LIBTORCH_USE_PYTORCH=1
_lib=$("$_directory/bin/python" -c 'import os, torch; print(os.path.join(os.path.dirname(torch.__file__), "lib"))')
export LD_LIBRARY_PATH="$_lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
unset _directory _lib
