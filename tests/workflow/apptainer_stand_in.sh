#!/bin/sh
# A stand-in for Apptainer: runs the command of `exec ... IMAGE SHELL -c COMMAND` with the interpreter in $CONTAINER_PYTHON
# first on the path, and says so. It shows what Snakemake asks for, not that an image can be built.
[ "$1" = --version ] && { echo "apptainer version 1.3.6"; exit; }
while [ $# -gt 3 ]; do
    [ "$3" = -c ] && break
    shift
done
[ -f "$1" ] || { echo "no image $1" >&2; exit 255; }
echo "inside $1"
PATH="$CONTAINER_PYTHON:$PATH" exec "$2" -c "$4"
