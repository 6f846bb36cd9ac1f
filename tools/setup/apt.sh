# shellcheck shell=bash
# What tools/setup.sh does with apt. The machine's own sources are read and
# never changed: a suite they lack is added for one command alone.

# Whether packages can be installed without asking anybody.
apt_may_install() {
    command -v apt-get >/dev/null || return 1
    [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null
}

apt_get() {
    local as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends "$@" >&2
}

# The major version in a Debian version: 10 of 1:10.0.2+ds-2.
major_of() {
    local version=${1#*:}
    echo "${version%%[!0-9]*}"
}

# Whether apt would install PACKAGE in at least major version MAJOR, with the options that follow.
candidate_is_at_least() {
    local package=$1 major=$2 candidate
    shift 2
    candidate=$(LC_ALL=C apt-cache "$@" policy "$package" 2>/dev/null | sed -n 's/^ *Candidate: //p')
    candidate=$(major_of "${candidate:-0}")
    [ "${candidate:-0}" -ge "$major" ]
}

# Installs PACKAGE in at least major version MAJOR: from the suites this
# machine uses, else from backports.
apt_install_at_least() {
    local package=$1 major=$2 suite source
    apt_get update || return
    if candidate_is_at_least "$package" "$major"; then
        echo "setup: installing $package"
        apt_get install "$package"
        return
    fi
    # shellcheck source=/dev/null
    suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    [ -n "$suite" ] || return
    # Backports may be there already: they are never installed from unasked.
    if candidate_is_at_least "$package" "$major" -t "$suite-backports"; then
        echo "setup: installing $package from $suite-backports"
        apt_get install -t "$suite-backports" "$package"
        return
    fi
    source=$(backports_source "$suite" /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources)
    [ -n "$source" ] || return
    apt_install_from "$source" "$suite-backports" "$package" "$major"
}

# Installs PACKAGE from SUITE, which SOURCE describes and only this command sees.
apt_install_from() {
    local source=$1 suite=$2 package=$3 major=$4 parts options status=0
    parts=$(mktemp -d)
    chmod 755 "$parts" # apt fetches as a user of its own
    find /etc/apt/sources.list.d -maxdepth 1 -type f -exec ln -s -t "$parts" {} +
    printf '%s\n' "$source" >"$parts/setup-backports.sources"
    options=(-o "Dir::Etc::SourceParts=$parts")
    if apt_get "${options[@]}" update && candidate_is_at_least "$package" "$major" "${options[@]}" -t "$suite"; then
        echo "setup: installing $package from $suite"
        apt_get "${options[@]}" install -t "$suite" "$package" || status=$?
    else
        status=1
    fi
    rm -rf "$parts"
    # The lists of the suite that is gone again go too.
    apt_get update || status=$?
    return "$status"
}

# Prints a source (deb822) for CODENAME-backports, from the mirror and with the
# key that the given files of sources use for CODENAME. Nothing if none does.
backports_source() {
    local codename=$1 file source
    shift
    for file; do
        [ -r "$file" ] || continue
        case $file in
            *.sources) source=$(awk -v codename="$codename" "$BACKPORTS_OF_DEB822" "$file") ;;
            *) source=$(awk -v codename="$codename" "$BACKPORTS_OF_LINES" "$file") ;;
        esac
        if [ -n "$source" ]; then
            echo "$source"
            return
        fi
    done
}

# One `deb [options] URI suite components` a line.
# shellcheck disable=SC2016
readonly BACKPORTS_OF_LINES='
    $1 != "deb" { next }
    {
        sub(/#.*/, "")
        signed = ""
        if (match($0, /\[[^]]*\]/)) {
            count = split(substr($0, RSTART + 1, RLENGTH - 2), options, /[ \t]+/)
            for (i = 1; i <= count; i++)
                if (tolower(options[i]) ~ /^signed-by=/) signed = substr(options[i], 11)
            $0 = substr($0, 1, RSTART - 1) substr($0, RSTART + RLENGTH)
        }
        suite = $3
        sub(/\/$/, "", suite)
        if (suite != codename) next
        print "Types: deb\nURIs: " $2 "\nSuites: " codename "-backports"
        components = ""
        for (i = 4; i <= NF; i++) components = components " " $i
        print "Components:" components
        if (signed != "") print "Signed-By: " signed
        exit
    }'

# Paragraphs of `Field: value`, values going on in indented lines.
# shellcheck disable=SC2016
readonly BACKPORTS_OF_DEB822='
    function close_paragraph(   i, count, types, suites, uris, hit) {
        count = split(value["types"], types, /[ \t\n]+/)
        for (i = 1; i <= count; i++) if (types[i] == "deb") hit = 1
        if (!hit || tolower(value["enabled"]) ~ /^[ \t]*(no|false|off|0|disable|without)/) { delete value; return }
        hit = 0
        count = split(value["suites"], suites, /[ \t\n]+/)
        for (i = 1; i <= count; i++) { sub(/\/$/, "", suites[i]); if (suites[i] == codename) hit = 1 }
        if (hit) {
            count = split(value["uris"], uris, /[ \t\n]+/)
            for (i = 1; i <= count && uris[i] == ""; i++);
            print "Types: deb\nURIs: " uris[i] "\nSuites: " codename "-backports\nComponents:" value["components"]
            if ("signed-by" in value) print "Signed-By:" value["signed-by"]
            done = 1
            exit
        }
        delete value
    }
    /^#/ { next }
    /^[ \t]*$/ { close_paragraph(); next }
    /^[ \t]/ { value[field] = value[field] "\n" $0; next }
    { field = tolower($0); sub(/:.*/, "", field); line = $0; sub(/^[^:]*:/, "", line); value[field] = line }
    END { if (!done) close_paragraph() }'
