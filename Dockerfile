# docker build -t segue .                                    on the processor
# docker build -t segue --build-arg TORCH_INDEX=https://pypi.org/simple .     with CUDA
# docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" segue track my.mp4 --box 120,80,310,260
# With CUDA add --gpus all. -v segue-cache:/cache keeps downloads, and which layers are fastest here.
FROM python:3.12-slim

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRAS=web,mqtt

WORKDIR /opt/segue
# PyTorch by itself: it is fetched again when its version changes, not with each change of segue.
COPY constraints.txt ./
RUN pip install --no-cache-dir --constraint constraints.txt --extra-index-url "$TORCH_INDEX" torch
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir --constraint constraints.txt --extra-index-url "$TORCH_INDEX" ".[$EXTRAS]"

# The folder of files that can be made again is open to whichever user --user names.
RUN useradd --create-home segue \
    && mkdir /work \
    && chown segue /work \
    && mkdir --mode 1777 /cache

USER segue
WORKDIR /work
ENV SEGUE_HOME=/cache
ENTRYPOINT ["segue"]
CMD ["--help"]
