# shellcheck shell=bash
# What the items share: where things are, a fresh clone, one release test with its figures, and the last line.
# Each item `P.N` is a script of that name, which sources this first.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(cd "$here/../.." && pwd)"
part="${0##*/}" item="${0##*.}"
part="${part%%.*}"
work="$(mktemp -d "${TMPDIR:-/tmp}/daypass-show.XXXXXX")"
concluded=""
export CARGO_TERM_COLOR=never LC_ALL=C.UTF-8

# However an item ends, nothing is left behind and there is a last line.
at_exit() {
  rm -rf "$work"
  [[ -n "$concluded" ]] ||
    printf '{"part": %d, "item": %d, "ok": false, "error": "stopped before there was a result: see stderr"}\n' "$part" "$item"
}
trap at_exit EXIT

say() {
  echo "show $part.$item: $*" >&2
}

# What a machine for building Rust may lack is installed where that is possible:  need COMMAND PACKAGE
need() {
  command -v "$1" >/dev/null && return
  if ((EUID == 0)) && command -v apt-get >/dev/null; then
    say "$1 is missing: installing $2 with apt-get"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2"; } >&2 && return
  fi
  say "this item needs $1, which is not there: install it and run this again"
  exit 1
}

# Clones what is committed to $work/clone, as a newcomer gets it.
fresh_clone() {
  if [[ -n "$(git -C "$root" status --porcelain)" ]]; then
    say "the work tree has changes that are not committed: the clone will not have them"
  fi
  git clone --quiet --no-hardlinks "$root" "$work/clone"
  git -C "$work/clone" checkout --quiet --detach "$(git -C "$root" rev-parse HEAD)"
  # Nothing may be built beforehand, so a target directory shared with other builds is not used.
  unset CARGO_TARGET_DIR
  say "cloned $(git -C "$work/clone" rev-parse --short HEAD)"
}

# Runs one integration test in release, or those of its tests that are named so, which write their figures to
# $work/figures.json:  release_test NAME [FILTER]
release_test() {
  say "building and running the test \`$1\` in release: the first build takes some minutes"
  (cd "$root" && DAYPASS_SHOW_FILE="$work/figures.json" cargo test --release --locked --test "$1" -- --nocapture "${@:2}") >&2
}

# Prints the last line and ends, by the item's rules in Python on stdin (see conclude.py):  conclude STATUS PATH <<'PY'
conclude() {
  concluded=yes
  python3 "$here/conclude.py" "$part" "$item" "$1" "$2"
}
# The items read JSON with Python.
need python3 python3
