# One image for all parts; the command says which: gateway (as it stands), capture, worker, Flower (docker-compose.yml).
#
#   docker build -t detector:cpu .                                     small: torch without CUDA
#   docker build -t detector:cuda --build-arg TORCH_BACKEND=cu130 .    as locked: torch for CUDA 13.0
#
# TORCH_BACKEND is any of `uv pip install --torch-backend`. Only cu130 is in the lock with its hashes; for the others
# torch and torchvision come at the lock's versions from the backend's own index, whose hashes the lock does not hold.

ARG PYTHON_IMAGE=python:3.13-slim-trixie

FROM ${PYTHON_IMAGE} AS dependencies
ARG TORCH_BACKEND=cpu
ENV UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never VIRTUAL_ENV=/opt/detector
WORKDIR /locks

COPY requirements-bootstrap.lock ./
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-bootstrap.lock \
    && uv venv "${VIRTUAL_ENV}"

# No source of ours in this stage, not even its installation: the gigabytes below are one layer, and it is built, pushed
# and pulled again only when the lock changes.
COPY requirements.lock deploy/split_lock.py ./
RUN --mount=type=cache,target=/root/.cache/uv \
    python split_lock.py requirements.lock "${TORCH_BACKEND}" . \
    && uv pip install --no-deps --require-hashes -r locked.txt \
    && if [ -s torch.txt ]; then \
        uv pip install --torch-backend "${TORCH_BACKEND}" --constraints locked.txt -r torch.txt; \
    fi


FROM ${PYTHON_IMAGE} AS detector

# No system libraries are added. opencv is the headless build (no libGL, libX11, libglib); av brings its FFmpeg and torch
# its libgomp; what the wheels ask of the system beside glibc is libstdc++, libgcc_s and libz, and slim has these for
# apt and dpkg. CUDA comes with torch's wheels, the driver (libcuda) from the host by the NVIDIA container toolkit.
RUN groupadd --gid 10001 detector \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin detector \
    && mkdir -p /app/.detector /app/models /app/media \
    && chown 10001:10001 /app/.detector

# Root's and not writable for the process: whoever breaks into it cannot change it. uv's own lock would be everybody's;
# sources come with the modes of the host, whose umask may leave them to root alone.
COPY --from=dependencies /opt/detector /opt/detector
COPY . /app
RUN --mount=from=dependencies,source=/usr/local/bin/uv,target=/usr/local/bin/uv --mount=type=tmpfs,target=/tmp \
    chmod -R go=rX /app \
    && uv pip install --no-cache --python /opt/detector --no-deps --no-build-isolation --editable /app \
    && /opt/detector/bin/python -m compileall -q /app \
    && rm /opt/detector/.lock

# HOME, YOLO_CONFIG_DIR, MPLCONFIGDIR: libraries write there at import, and all else may be read-only.
# DETECTOR_HOST: the loopback of a container is reachable for nobody.
ENV PATH=/opt/detector/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    YOLO_CONFIG_DIR=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    DETECTOR_HOST=0.0.0.0

WORKDIR /app
USER 10001:10001
# Packages (the demo's is in the image; none is downloaded at build time), and the model cache.
VOLUME ["/app/models", "/app/.detector"]
EXPOSE 8000
# Celery ends its thread pool in good order on SIGTERM: the running batch is finished.
STOPSIGNAL SIGTERM
# Any part gives signs of life to the state server; docker-compose.yml asks more closely.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --start-interval=3s --retries=3 \
    CMD ["python", "-m", "cli.healthcheck"]
CMD ["python", "-m", "worker_api"]
