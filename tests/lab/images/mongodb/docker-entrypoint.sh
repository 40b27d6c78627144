#!/usr/bin/env bash
# As in the official mongo image: options alone mean mongod; started as root, it gives the data to mongodb (999) and becomes
# mongodb; a root name and password, or files with them, switch authentication on.
set -Eeuo pipefail

# Reads variable $1, or the file that $1_FILE names, into variable $1.
file_env() {
    local name=$1 file_name="$1_FILE"
    if [[ ${!name:-} && ${!file_name:-} ]]; then
        echo >&2 "error: both $name and $file_name are set (but are exclusive)"
        exit 1
    fi
    if [[ ${!file_name:-} ]]; then
        export "$name=$(< "${!file_name}")"
    fi
    unset "$file_name"
}

[[ ${1:-mongod} == -* ]] && set -- mongod "$@"

if [[ $1 == mongod && $(id -u) == 0 ]]; then
    # A secret's file may be readable by root alone.
    file_env MONGO_INITDB_ROOT_USERNAME
    file_env MONGO_INITDB_ROOT_PASSWORD
    find /data/db /data/configdb \! -user mongodb -exec chown mongodb '{}' +
    exec setpriv --reuid=mongodb --regid=mongodb --clear-groups "${BASH_SOURCE[0]}" "$@"
fi

if [[ $1 == mongod ]]; then
    file_env MONGO_INITDB_ROOT_USERNAME
    file_env MONGO_INITDB_ROOT_PASSWORD
    if [[ ${MONGO_INITDB_ROOT_USERNAME:-} && ! ${MONGO_INITDB_ROOT_PASSWORD:-} || ! ${MONGO_INITDB_ROOT_USERNAME:-} && ${MONGO_INITDB_ROOT_PASSWORD:-} ]]; then
        echo >&2 "error: missing 'MONGO_INITDB_ROOT_USERNAME' or 'MONGO_INITDB_ROOT_PASSWORD': both must be specified for a user to be created"
        exit 1
    fi
    [[ ${MONGO_INITDB_ROOT_USERNAME:-} ]] && set -- "$@" --auth
fi
exec "$@"
