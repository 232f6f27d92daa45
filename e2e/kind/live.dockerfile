
# The Tiltfile appends these lines to a Dockerfile, so that a changed module needs no new image.
COPY e2e/kind/run_live.py /opt/run_live.py
ARG MODULE
ENV LIVE_MODULE=$MODULE LIVE_PACKAGES=/opt/venv/lib/python3.13/site-packages
ENTRYPOINT ["python", "/opt/run_live.py"]
