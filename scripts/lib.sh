# Shared by the scripts in this folder; to be sourced by bash.
# shellcheck shell=bash

# Prints what went wrong and ends the script.
die() {
    printf '%s: %s\n' "${PROGRAM:-script}" "$*" >&2
    exit 1
}

# Seconds as `9 m 12 s`.
elapsed() {
    local seconds=$1
    if ((seconds >= 60)); then
        printf '%d m %d s' $((seconds / 60)) $((seconds % 60))
    else
        printf '%d s' "$seconds"
    fi
}

# Runs a command as root where that needs no password.
as_root() {
    if [[ $(id -u) -eq 0 ]]; then
        "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo -n "$@"
    else
        return 1
    fi
}

# need PROGRAM PACKAGE: installs the Debian package unless the program is there.
need() {
    command -v "$1" >/dev/null && return
    printf '%s is missing; trying to install %s\n' "$1" "$2"
    if command -v apt-get >/dev/null; then
        as_root apt-get update -qq </dev/null || true
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$2" </dev/null || true
    fi
    command -v "$1" >/dev/null || die "missing: $1. Install it (Debian and Ubuntu: the package $2)"
}

# What every build needs.
check_build_tools() {
    # rustup's own folder, for a shell that was open when Rust was installed.
    if ! command -v cargo >/dev/null && [[ -x ${HOME:-}/.cargo/bin/cargo ]]; then
        PATH="${HOME:-}/.cargo/bin:$PATH"
    fi
    command -v cargo >/dev/null || die "missing: cargo. Install Rust, see https://rustup.rs"
    need cc build-essential
    need git git
}

# need_component SUBCOMMAND COMPONENT: adds a part of the Rust toolchain unless it is there.
need_component() {
    cargo "$1" --version >/dev/null 2>&1 && return
    if command -v rustup >/dev/null; then
        rustup component add "$2" || true
    fi
    cargo "$1" --version >/dev/null 2>&1 || die "missing: cargo $1. Add the Rust component $2"
}
