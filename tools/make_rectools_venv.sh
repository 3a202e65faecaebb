#!/usr/bin/env bash
# Make RecTools' own virtual environment for benchmarks/training.py: tools/make_rectools_venv.sh
# FOLDER. Reads PYTHON and TORCH_INDEX. PyTorch is a CPU build: the benchmark needs no other, and
# the default one for Linux downloads gigabytes.
set -euo pipefail
venv=$1
pins=benchmarks/rectools-constraints.txt

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3.11 python3.12 python3}; do
        if "$candidate" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info[:2] not in [(3, 11), (3, 12)])' \
            >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
    {
        echo "No usable Python 3.11 or 3.12 (with venv) among: ${PYTHON:-python3.11 python3.12 python3}."
        echo "The versions in $pins have no build for others. Install one and run"
        echo "  make bench-rectools PYTHON=/path/to/python3.11"
    } >&2
    return 1
}

python=$(find_python)
echo "Making $venv with $("$python" -c 'import sys; print(sys.executable)'): a minute or two, once."
rm -rf "$venv"
"$python" -m venv "$venv"
log=$venv/pip.log

install() {
    "$venv/bin/python" -m pip install --disable-pip-version-check --no-compile --progress-bar off \
        "$@" >>"$log" 2>&1
}

torch=$(grep '^torch==' "$pins")
[ "$(uname)" = Linux ] && torch=$torch+cpu
# What pip finds without asking PyTorch's own index is taken first: that index may be out of reach.
if ! {
    { [ -z "${TORCH_INDEX:-}" ] && install "$torch"; } ||
        install --extra-index-url "${TORCH_INDEX:-https://download.pytorch.org/whl/cpu}" "$torch"
} || ! install -c "$pins" 'rectools[torch]==0.19.*'; then
    echo "The installation failed; the end of $log:" >&2
    tail -n 15 "$log" >&2
    exit 1
fi
echo "Installed in ${SECONDS} s."
