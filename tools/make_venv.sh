#!/usr/bin/env bash
# Make the virtual environment: tools/make_venv.sh FOLDER. Reads PYTHON and TORCH_INDEX (Makefile).
set -euo pipefail
venv=$1

# Version managers put launchers on PATH for versions that are not active, so a candidate counts
# only after it has run.
suits() {
    "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info[:2] not in [(3, 11), (3, 12), (3, 13)])' \
        >/dev/null 2>&1
}

find_python() {
    local candidate candidates=${PYTHON:-python3.13 python3.12 python3.11 python3 python}
    for candidate in $candidates; do
        if suits "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    {
        echo "No usable Python 3.11, 3.12 or 3.13 (with venv) among: $candidates."
        echo "Install one, for example"
        echo "  Debian/Ubuntu: apt-get install python3 python3-venv"
        echo "  macOS:         brew install python@3.13"
        echo "  conda:         conda env create -f environment.yml"
        echo "and run make again, with PYTHON=/path/to/python3 if it is not on PATH."
    } >&2
    return 1
}

# pip logs one line for each package it fetches, and each installed package leaves one dist-info
# folder; both are counted here, because pip's own bars restart at every file.
show_progress() {
    local pid=$1 log=$2 done_ total width=30 filled
    while kill -0 "$pid" 2>/dev/null; do
        total=$(sed -n 's/^Installing collected packages: //p' "$log" | tr ',' '\n' | grep -c . || true)
        if [ "$total" -gt 0 ]; then
            done_=$(find "$venv"/lib/python3.*/site-packages -maxdepth 1 -name '*.dist-info' | wc -l)
            done_=$((done_ < total ? done_ : total))
            filled=$(printf '%*s' $((done_ * width / total)) '' | tr ' ' '#')
            printf '\r  installing  [%-*s] %d/%d packages ' "$width" "$filled" "$done_" "$total"
        else
            done_=$(grep -cE '^(Collecting|Processing|Obtaining) ' "$log" || true)
            printf '\r  downloading %d packages ' "$done_"
        fi
        sleep 1
    done
    printf '\r\033[K'
}

# A working environment is brought up to date; anything else is made anew.
if suits "$venv/bin/python"; then
    echo "Bringing $venv up to date with the pinned packages ($("$venv/bin/python" -V))."
else
    python=$(find_python)
    echo "Making $venv with $("$python" -c 'import sys; print(sys.executable)')" \
        "and installing the pinned packages: a few minutes, once."
    rm -rf "$venv"
    "$python" -m venv "$venv"
fi
log=$venv/pip.log
index=(${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"})

# Bytecode is left to the first import: compiling every module of every package costs more.
pip=("$venv/bin/python" -m pip install --disable-pip-version-check --no-compile --progress-bar off
    ${index[@]+"${index[@]}"} -c constraints.txt)
"${pip[@]}" -e '.[book,dev]' >"$log" 2>&1 &
pid=$!
trap 'kill "$pid" 2>/dev/null || true' INT TERM
[ -t 1 ] && show_progress "$pid" "$log"
# RecBole asks for a ray that has no build for Python 3.12 and that nothing here imports; what else
# it asks for is in the extra `book`.
if ! wait "$pid" || ! "${pip[@]}" --no-deps recbole >>"$log" 2>&1; then
    echo "The installation failed; the end of $log:" >&2
    tail -n 15 "$log" >&2
    exit 1
fi
echo "Installed in ${SECONDS} s."
