#!/bin/bash
# `docker build --tag NAME FOLDER` and `docker run --rm NAME [ARGUMENT ...]` by Buildah, without a daemon, a registry or
# namespaces: images lie in $IMAGES, and what a Dockerfile takes from a registry is made there by `docker base`.
set -euo pipefail
buildah=(buildah --root "$IMAGES/root" --runroot "$IMAGES/run" --storage-driver vfs)
# Where a file of the configuration would say it, for images made here.
export BUILDAH_ISOLATION=chroot

# base NAME ARCHIVE [ENVIRONMENT ...]: an image of an archive.
base() {
    local name=$1 archive=$2 container
    container=$("${buildah[@]}" from scratch)
    "${buildah[@]}" add --quiet "$container" "$archive" / >/dev/null
    shift 2
    for pair in "$@"; do "${buildah[@]}" config --env "$pair" "$container"; done
    "${buildah[@]}" commit --quiet "$container" "$name" >/dev/null 2>&1
    "${buildah[@]}" rm "$container" >/dev/null
}

# A list of an image's configuration, a line each.
configured() {
    "${buildah[@]}" inspect --type image --format "{{range .OCIv1.Config.$2}}{{println .}}{{end}}" "$1" |
        sed '/^$/d'
}

case "$1" in
    base) base "${@:2}" ;;
    build)
        [ "$2" = --tag ]
        # shellcheck disable=SC2086
        "${buildah[@]}" bud --pull-never --layers=false ${MOUNTS-} --tag "$3" "$4" 2>&1
        ;;
    run)
        [ "$2" = --rm ]
        name=$3
        shift 3
        mapfile -t entry < <(configured "$name" Entrypoint)
        if [ $# = 0 ]; then
            mapfile -t command < <(configured "$name" Cmd)
            set -- "${command[@]}"
        fi
        container=$("${buildah[@]}" from --pull-never "$name")
        status=0
        "${buildah[@]}" run "$container" -- "${entry[@]}" "$@" || status=$?
        "${buildah[@]}" rm "$container" >/dev/null
        exit $status
        ;;
    *)
        echo "docker_by_buildah.sh: $1 is none of its commands" >&2
        exit 2
        ;;
esac
