# syntax=docker/dockerfile:1
# algoperf with pinned packages, for processors or for NVIDIA GPUs; containers/README.md has the commands.
#   docker build --tag=algoperf .
#   docker build --tag=algoperf:cuda --build-arg=VARIANT=cuda --build-arg=EXTRAS=torch,data .

ARG PYTHON_VERSION=3.11.14
FROM python:${PYTHON_VERSION}-slim-bookworm AS installed

# cpu or cuda. CUDA itself comes with the wheels of the frameworks; of the host only its driver is used.
ARG VARIANT=cpu
# Of setup.cfg: a framework, and what else is wanted.
ARG EXTRAS=jax,data,plot
# Where the wheels of PyTorch are for another version of CUDA, such as https://download.pytorch.org/whl/cu126.
ARG TORCH_INDEX=
# Extra of JAX with its CUDA.
ARG JAX_CUDA=cuda13

ENV PATH=/opt/venv/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /opt/algoperf
# First what is installed: a change of the code does not install the packages anew.
COPY setup.cfg pyproject.toml constraints.txt README.md LICENSE ./
COPY containers/install.sh containers/
RUN python -m venv /opt/venv \
    && VARIANT="$VARIANT" EXTRAS="$EXTRAS" TORCH_INDEX="$TORCH_INDEX" JAX_CUDA="$JAX_CUDA" sh containers/install.sh packages

COPY . .
RUN sh containers/install.sh project

FROM python:${PYTHON_VERSION}-slim-bookworm
LABEL org.opencontainers.image.title="algoperf" \
      org.opencontainers.image.description="A time-to-result benchmark for neural-network training algorithms" \
      org.opencontainers.image.licenses="Apache-2.0"
# Read by NVIDIA's container toolkit; of no meaning elsewhere.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    ALGOPERF_DATA_DIR=/data \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=installed /opt/venv /opt/venv
COPY --from=installed /opt/algoperf /opt/algoperf
# Code and packages belong to root, so that no run changes them; results and data are the user's.
RUN useradd --create-home --uid=1000 algoperf \
    && mkdir /data /results \
    && chown algoperf: /data /results
USER 1000
WORKDIR /opt/algoperf
VOLUME ["/data", "/results"]
CMD ["python", "submission_runner.py", "--help"]
