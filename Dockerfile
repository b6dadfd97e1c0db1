# docker build -t segue .                                    on the processor
# docker build -t segue --build-arg TORCH_INDEX=https://pypi.org/simple .     with CUDA
# docker build -t segue --build-arg EXTRAS=web,mqtt,apprise .                 with other extras
# docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" segue track my.mp4 --box 120,80,310,260
# With CUDA add --gpus all. -v segue-cache:/cache keeps downloads, and which layers are fastest here.
FROM python:3.12-slim AS build

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRAS=web,mqtt

RUN python -m venv /opt/segue
ENV PATH=/opt/segue/bin:$PATH
WORKDIR /source
# PyTorch by itself: it is fetched again when its version changes, not with each change of segue. What compiles or
# tests PyTorch stays behind: the image has no compiler.
COPY constraints.txt ./
RUN pip install --no-cache-dir --constraint constraints.txt --extra-index-url "$TORCH_INDEX" torch \
    && cd /opt/segue/lib/python3.12/site-packages/torch \
    && rm -rf include share test bin/test_* bin/protoc* lib/*.a
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir --constraint constraints.txt --extra-index-url "$TORCH_INDEX" ".[$EXTRAS]"

FROM python:3.12-slim

COPY --from=build /opt/segue /opt/segue
# The folder of files that can be made again is open to whichever user --user names.
RUN useradd --create-home segue \
    && mkdir /work \
    && chown segue /work \
    && mkdir --mode 1777 /cache

USER segue
WORKDIR /work
ENV PATH=/opt/segue/bin:$PATH SEGUE_HOME=/cache
ENTRYPOINT ["segue"]
CMD ["--help"]
