# fusemix in a container, of the versions in requirements.lock, which the tests passed with.
#
#   docker build --target cpu  --tag fusemix:cpu .
#   docker build --target cuda --tag fusemix:cuda .
#   docker run --rm --volume "$PWD:/work" --volume fusemix:/cache fusemix:cpu train configs/train/glyphs.yaml
#
# /work is the folder that paths begin in; /cache keeps what is downloaded. The CUDA libraries are wheels, so that only
# the driver and NVIDIA's container toolkit have to be there: docker run --gpus all.

FROM python:3.11-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 \
    PATH=/opt/fusemix/bin:$PATH

# What both kinds are built with: uv, and an environment that only what is in it goes along with.
FROM base AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /src
COPY requirements.lock pyproject.toml ./
RUN pip install --no-cache-dir "$(grep '^uv==' requirements.lock)" \
    && uv venv /opt/fusemix
ENV UV_NO_CACHE=1 \
    UV_COMPILE_BYTECODE=1 \
    VIRTUAL_ENV=/opt/fusemix

# PyPI's torch for Linux carries CUDA: for a CPU, torch and torchvision come from PyTorch's own index, and FAISS is the
# package without a GPU.
FROM build AS build-cpu
RUN printf '%s\n' "faiss-gpu ; sys_platform == 'never'" faiss-cpu > overrides.txt \
    && uv pip install --torch-backend cpu --overrides overrides.txt --constraints requirements.lock \
        --requirements pyproject.toml --extra demo setuptools
COPY setup.py MANIFEST.in README.md LICENSE ./
COPY configs configs
COPY fusemix fusemix
RUN uv pip install --no-deps --no-build-isolation .

FROM build AS build-cuda
RUN uv pip install --constraints requirements.lock --requirements pyproject.toml --extra demo setuptools
COPY setup.py MANIFEST.in README.md LICENSE ./
COPY configs configs
COPY fusemix fusemix
RUN uv pip install --no-deps --no-build-isolation .

FROM base AS runtime
ENV XDG_CACHE_HOME=/cache \
    HF_HOME=/cache/huggingface \
    TORCH_HOME=/cache/torch \
    MPLCONFIGDIR=/cache/matplotlib
RUN useradd --uid 1000 --create-home fusemix \
    && mkdir /cache /work \
    && chown fusemix:fusemix /cache /work
USER 1000:1000
WORKDIR /work
VOLUME /cache
ENTRYPOINT ["fusemix"]
CMD ["--help"]

FROM runtime AS cuda
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=build-cuda /opt/fusemix /opt/fusemix

# Last, so that it is what is built where no target is named.
FROM runtime AS cpu
COPY --from=build-cpu /opt/fusemix /opt/fusemix
