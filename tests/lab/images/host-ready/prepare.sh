#!/bin/sh
# Installs Docker in a bare host as an administrator would, then takes out all that must differ between hosts.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get install --yes docker.io docker-cli docker-compose docker-buildx python3-venv
systemctl stop docker.service docker.socket containerd.service
apt-get clean
rm -rf /var/lib/docker/* /etc/ssh/ssh_host_* /etc/docker/key.json /var/log/journal /root/.ssh/authorized_keys
: > /etc/machine-id
