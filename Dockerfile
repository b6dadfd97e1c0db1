# docker build -t segue .                                    on the processor
# docker build -t segue --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu128 .     with CUDA
# docker run --rm -v "$PWD:/work" segue track my.mp4 --box 120,80,310,260
# With CUDA add --gpus all.
FROM python:3.12-slim

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRAS=web

WORKDIR /opt/segue
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir --constraint constraints.txt --extra-index-url "$TORCH_INDEX" ".[$EXTRAS]" \
    && useradd --create-home segue \
    && mkdir /work \
    && chown segue /work

USER segue
WORKDIR /work
ENV SEGUE_HOME=/home/segue/.cache/segue
ENTRYPOINT ["segue"]
CMD ["--help"]
