# The service with its model, on a CPU: docker build -t emofuse . && docker run -p 8000:8000 emofuse
FROM python:3.12-slim AS build
RUN pip install --no-cache-dir uv
WORKDIR /src
COPY . .
# torch and its companions without CUDA: the CPU wheels of the same versions as in the lock
RUN uv venv /opt/emofuse \
 && uv pip install --python /opt/emofuse/bin/python --torch-backend cpu ".[serve,demo,asr,data,otel]" \
 && /opt/emofuse/bin/emofuse info

FROM python:3.12-slim
RUN useradd --uid 10001 --create-home emofuse \
 && install -d -o emofuse -g emofuse -m 0700 /var/lib/emofuse
COPY --from=build /opt/emofuse /opt/emofuse
USER emofuse
ENV PATH=/opt/emofuse/bin:$PATH PYTHONUNBUFFERED=1
VOLUME /var/lib/emofuse
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=90s --retries=4 \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["emofuse", "serve", "--host", "0.0.0.0", "--port", "8000", "--state", "/var/lib/emofuse"]
