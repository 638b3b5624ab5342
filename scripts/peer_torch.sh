# shellcheck shell=bash
# Sourced after common.sh by the benchmarks that compare with PyTorch. The wheel is the cache's (setup.sh); what its Python part
# needs beyond the C++ library goes into PARE_CACHE/peer-torch.
# shellcheck disable=SC2154

# Installs what is missing, once.
setup_peer_torch() {
  if peer_torch_python -c 'import torch' 2>/dev/null; then return; fi
  local peer=$cache/peer-torch cuda_libraries=${CUDA_HOME:-/usr/local/cuda}/lib64
  local wheels=(nvidia-cufile==1.15.1.6 nvidia-cusparselt-cu13==0.8.0 nvidia-nvshmem-cu13==3.4.5 typing_extensions sympy mpmath networkx
                jinja2 markupsafe filelock fsspec)
  # Without a CUDA toolkit, its libraries come as wheels too.
  if [[ ! -e $cuda_libraries/libcublas.so.13 ]]; then
    wheels+=(nvidia-cublas==13.1.0.3 nvidia-cufft==12.0.0.61 nvidia-curand==10.4.0.35 nvidia-cusolver==12.0.4.66 nvidia-cusparse==12.6.3.3
             nvidia-nvjitlink==13.0.88 nvidia-cuda-nvrtc==13.0.88 nvidia-nvtx==13.0.85)
  fi
  if [[ ! -e $cuda_libraries/libcudnn.so.9 ]]; then wheels+=(nvidia-cudnn-cu13==9.19.0.56); fi
  if [[ ! -e $cuda_libraries/libnccl.so.2 ]]; then wheels+=(nvidia-nccl-cu13==2.28.9); fi
  say "installing what Python's torch needs into $peer"
  rm -rf -- "$peer"
  "$test_python" -m pip install -q --disable-pip-version-check --no-cache-dir --no-deps --no-compile --target "$peer" "${wheels[@]}"
  peer_torch_python -c 'import torch' || die "Python cannot import torch"
}

# Runs the tests' Python with torch importable.
peer_torch_python() {
  local peer=$cache/peer-torch site cuda_libraries=${CUDA_HOME:-/usr/local/cuda}/lib64
  site=$(dirname -- "$(realpath -- "$torch_dir")")
  PYTHONPATH=$site:$peer PYTHONDONTWRITEBYTECODE=1 \
    LD_LIBRARY_PATH=$site/nvidia/cu13/lib:$peer/nvidia/cu13/lib:$peer/nvidia/cusparselt/lib:$peer/nvidia/cudnn/lib:$peer/nvidia/nccl/lib:$peer/nvidia/nvshmem/lib:$cuda_libraries \
    "$test_python" "$@"
}
