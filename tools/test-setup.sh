#!/usr/bin/env bash
# Tests what tools/setup/apt.sh derives from sources of packages, on made-up
# machines: nothing is installed.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tools/setup/apt.sh
. "$here/setup/apt.sh"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failed=0

# check NAME EXPECTED FOUND
check() {
    if [ "$2" != "$3" ]; then
        printf 'FAILED: %s\n--- expected\n%s\n--- found\n%s\n' "$1" "$2" "$3" >&2
        failed=1
    fi
}

cat >"$folder/a.sources" <<'END'
# A mirror of our own.
Types: deb deb-src
# with a remark in the middle
URIs: http://mirror.example/debian http://other.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/example.gpg

Types: deb
URIs: http://security.example/
Suites: bookworm-security
Components: main
END
check "deb822: first mirror, components, key" \
    "Types: deb
URIs: http://mirror.example/debian
Suites: bookworm-backports
Components: main contrib
Signed-By: /usr/share/keyrings/example.gpg" \
    "$(backports_source bookworm "$folder/a.sources")"
check "another release's sources give nothing" "" "$(backports_source trixie "$folder/a.sources")"

cat >"$folder/b.sources" <<'END'
Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: trixie
Components: main

Types: deb-src
URIs: http://source.example/debian
Suites: trixie
Components: main

Types: deb
URIs:
 http://second.example/debian
Suites:
 trixie
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEexample
 -----END PGP PUBLIC KEY BLOCK-----
END
check "deb822: disabled and source paragraphs passed over, values on lines of their own" \
    "Types: deb
URIs: http://second.example/debian
Suites: trixie-backports
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEexample
 -----END PGP PUBLIC KEY BLOCK-----" \
    "$(backports_source trixie "$folder/b.sources")"

cat >"$folder/c.list" <<'END'
# deb http://comment.example/debian bookworm main
deb-src http://source.example/debian bookworm main
deb [arch=amd64 signed-by=/etc/apt/keyrings/x.gpg] http://lines.example/debian bookworm main non-free # ours
deb http://later.example/debian bookworm main
END
check "one line a source: options, components, remarks" \
    "Types: deb
URIs: http://lines.example/debian
Suites: bookworm-backports
Components: main non-free
Signed-By: /etc/apt/keyrings/x.gpg" \
    "$(backports_source bookworm "$folder/missing.list" "$folder/c.list" "$folder/a.sources")"

check "major of a version with an epoch" 10 "$(major_of "1:10.0.2+ds-2+deb13u1~bpo12+1")"
check "major of a version without" 7 "$(major_of "7.2")"
check "major of no version" "" "$(major_of "(none)")"

[ "$failed" -eq 0 ] && echo "test-setup: ok"
exit "$failed"
