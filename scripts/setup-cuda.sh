#!/usr/bin/env bash
# Reports the run-time requirements of the `cuda` backend that this machine lacks. Installs nothing: drivers and toolkits
# come from NVIDIA. The build needs none of them.
# usage: scripts/setup-cuda.sh
missing=0
IFS=: read -ra folders <<<"${LD_LIBRARY_PATH:-}"
has_library() { # LIBRARY: in the cache of the linker or in a folder of LD_LIBRARY_PATH
    /sbin/ldconfig -p | grep -q "$1" && return
    for folder in "${folders[@]}"; do
        [ -n "$folder" ] && compgen -G "$folder/$1*" >/dev/null && return
    done
    return 1
}
need() { # NAME LIBRARY ADVICE
    if has_library "$2"; then
        echo "found     $1 ($2)"
    else
        echo "missing   $1 ($2): $3"
        missing=1
    fi
}
need "the driver" libcuda.so "install NVIDIA's driver"
need "the run-time compiler" libnvrtc.so "install the CUDA toolkit, or pip install nvidia-cuda-nvrtc and put its lib folder into LD_LIBRARY_PATH"
# CubeCL searches these folders.
for folder in /usr/local/cuda /opt/cuda /usr; do
    [ -e "$folder/include/cuda_fp16.h" ] && found=$folder && break
done
headers=${CUDA_PATH:-${found:-/usr/local/cuda}}/include
if [ -e "$headers/cuda_fp16.h" ]; then
    echo "found     CUDA's headers ($headers)"
else
    echo "missing   CUDA's headers ($headers/cuda_fp16.h): install the CUDA toolkit and set CUDA_PATH"
    missing=1
fi
exit $missing
