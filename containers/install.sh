#!/bin/sh
# Installs algoperf where the Dockerfile and the Apptainer recipe build an image, with the versions of constraints.txt.
#   VARIANT=cpu|cuda EXTRAS=jax,data install.sh packages    what setup.cfg names, before the code is there
#   install.sh project                                      the code of this folder
# TORCH_INDEX and JAX_CUDA choose another CUDA than the one below. PIP is the installer, `python -m pip` by default.
set -eu

PIP=${PIP:-python -m pip}

packages() {
  case "${VARIANT:?cpu or cuda}" in
    cpu) index=https://download.pytorch.org/whl/cpu jax_extra='' ;;
    cuda) index=https://download.pytorch.org/whl/cu130 jax_extra=${JAX_CUDA:-cuda13} ;;
    *)
      echo "error: VARIANT=$VARIANT is none: choose cpu or cuda." >&2
      exit 2
      ;;
  esac
  set -- --editable ".[${EXTRAS:?extras of setup.cfg, such as jax,data}]"
  # PyPI has one build of PyTorch for each version; the other ones are on its own index, as <version>+cpu or +cu130,
  # which satisfy constraints.txt.
  case ",$EXTRAS," in
    *,torch,*) set -- --extra-index-url "${TORCH_INDEX:-$index}" "$@" ;;
  esac
  case ",$EXTRAS," in
    *,jax,*) [ -z "$jax_extra" ] || set -- "$@" "jax[$jax_extra]" ;;
  esac
  $PIP install --no-cache-dir --constraint constraints.txt "$@"
}

project() {
  $PIP install --no-cache-dir --no-deps --constraint constraints.txt --editable .
  # Compiled here, because nobody but root can write beside the code.
  python -m compileall -q algoperf campaign scoring workloads reference_algorithms > /dev/null
}

case "${1:-}" in
  packages | project) "$1" ;;
  *)
    echo "error: say what to install: install.sh packages, or install.sh project." >&2
    exit 2
    ;;
esac
