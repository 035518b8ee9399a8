# shellcheck shell=bash
# Sourced by tools/test and tools/demo: sets `venv`, a virtual environment with the project in it.
#
# The environment is .venv in the checkout, or the folder named by KERAS_MOTHERNETS_VENV. It is made if there is none, and
# installed into again only when setup.cfg, pyproject.toml, constraints.txt or the checkout's place have changed.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${KERAS_MOTHERNETS_VENV:-$root/.venv}
case $venv in /*) ;; *) venv=$PWD/$venv ;; esac
cd "$root" || exit 1

find_python() {
    local candidate
    # The pins in constraints.txt are for Python 3.11; other versions may find no wheel for one of them.
    for candidate in "${PYTHON:-}" python3.11 /usr/bin/python3.11 python3; do
        [ -n "$candidate" ] || continue
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "No Python 3.11 with the venv module was found. Install it, or name one: PYTHON=/path/to/python3.11 $0" >&2
    return 1
}

ensure_environment() {
    local stamp=$venv/keras-mothernets.stamp want
    want=$({ echo "$root"; cat setup.cfg pyproject.toml constraints.txt; } | cksum)
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ]; then
        return
    fi
    if [ ! -x "$venv/bin/python" ]; then
        local python
        python=$(find_python) || return 1
        echo "Making a virtual environment in $venv"
        "$python" -m venv "$venv" || return 1
    fi
    echo "Installing the project and its pinned dependencies (a few minutes the first time)"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --constraint constraints.txt --editable '.[test]' || return 1
    echo "$want" >"$stamp"
}

ensure_environment || exit 1

# TensorFlow's start-up notices say nothing about this project.
export TF_CPP_MIN_LOG_LEVEL=${TF_CPP_MIN_LOG_LEVEL:-3}
