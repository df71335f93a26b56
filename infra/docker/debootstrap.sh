#!/bin/bash
# Makes the base image $1 without a registry: Debian with its own Python, laid out like the official Python image.
# Needs buildah, debootstrap, root and a Debian mirror. For trying images out only: it lacks the security updates since
# Debian's last point release. `buildah rmi` the image to make it again.
set -euo pipefail
[[ $(buildah images --quiet --filter "reference=$1") ]] && exit
folder=$(mktemp --directory)
trap 'rm -rf "$folder"' EXIT
echo "Making $1 with debootstrap, once: about two minutes"
debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$folder/root" > "$folder/log" ||
  { tail "$folder/log" && exit 1; }
ln -s /usr/bin/python3 "$folder/root/usr/local/bin/python"
ln -s /usr/bin/python3 "$folder/root/usr/local/bin/python3"
buildah bud --quiet --tag "$1" --file - "$folder" <<'DOCKERFILE'
FROM scratch
COPY root /
ENV PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8
CMD ["python3"]
DOCKERFILE
