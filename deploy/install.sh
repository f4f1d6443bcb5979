#!/usr/bin/env bash
# Installs feeder from the checkout this file stands in, or goes back to the version before.
#
#     deploy/install.sh                   as root: /opt/feeder, /etc/feeder, systemd units, user, sysctl
#     deploy/install.sh --rollback        the version that was current before; once more, and it is the newer one again
#     deploy/install.sh --root DIR        everything under DIR, and nothing outside is touched: to try it
#     deploy/install.sh --version V       name it V instead of the project's version and the commit
#
# A version lives in /opt/feeder/releases/V; /opt/feeder/current and previous point to two of the last three. Before
# current is switched, the new version must accept the configuration there is; if not, nothing changes. A second run
# changes nothing. /etc/feeder is the machine's own: what is there stays, and a default that is new since the version
# before is put beside it as feeder.yaml.new. feeder is not restarted: that is said, and the operator's to do.
#
# Needs python3 >= 3.11 with venv (PYTHON=... for another), systemd, and pip's index.

set -euo pipefail
umask 022
unset CDPATH PYTHONHOME PYTHONPATH # each would bring in what is not of this version

say() { printf '%s\n' "$*"; }
fail() {
    printf 'install.sh: %s\n' "$*" >&2
    exit 1
}

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-python3}
root=
version=
rollback=false
while [ $# -gt 0 ]; do
    case $1 in
        --root | --version)
            [ -n "${2:-}" ] || fail "$1 needs a value"
            if [ "$1" = --root ]; then root=$2; else version=$2; fi
            shift
            ;;
        --rollback) rollback=true ;;
        --help | -h)
            sed -n '2,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
            exit 0
            ;;
        *)
            printf 'install.sh: unknown argument %s; see --help\n' "$1" >&2
            exit 2
            ;;
    esac
    shift
done

if [ -n "$root" ]; then
    mkdir -p "$root"
    root=$(cd "$root" && pwd)
    [ "$root" != / ] || root=
elif [ "$(id -u)" != 0 ]; then
    fail "run it as root, or with --root DIR"
fi
prefix=$root/opt/feeder
etc=$root/etc
exec 9<"${root:-/}" # a lock that leaves no file behind
flock --nonblock 9 || fail "another install.sh is at work; run it again when that has ended"

sources=
unfinished= # a release that is not to be left behind
changed=    # what this run did beside building, for the messages at the end
reloaded=   # whether systemd has read the units, for the same
clean_up() {
    [ -z "$sources" ] || rm -rf "$sources"
    if [ -n "$unfinished" ]; then
        discard "$unfinished"
        rmdir --ignore-fail-on-non-empty "$prefix/releases" "$prefix" "$root/opt" 2>/dev/null || true
    fi
}
trap clean_up EXIT

# discard RELEASE: what is left of it if this is cut short does not pass for a whole one.
discard() {
    rm -f "$1/.complete"
    rm -rf "$1"
}

# What --version did not say: the project's version and the commit, so that each commit has a directory of its own.
name_version() {
    local project commit
    project=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$checkout/pyproject.toml" | head -n 1)
    [ -n "$project" ] || fail "no version in $checkout/pyproject.toml; give --version"
    version=$project
    if [ -e "$checkout/.git" ]; then
        local -a git=(git -c "safe.directory=$checkout" -C "$checkout")
        commit=$("${git[@]}" rev-parse --short=9 HEAD) || fail "git cannot tell the commit; give --version"
        if [ -n "$("${git[@]}" status --porcelain -- feeder config deploy pyproject.toml)" ]; then
            fail "the checkout differs from its commit $commit; commit that, or name what it is with --version"
        fi
        version=$project+g$commit
    fi
}

# A venv with the tested versions of everything, and the files that belong to this version.
build() {
    local release=$1 share=$1/share/feeder
    if [ -e "$release/.complete" ]; then
        return
    fi
    "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
        fail "$python is no Python >= 3.11 with venv; install python3-venv, or give PYTHON=/path/to/python3.11"
    if [ -z "$root" ] && # the units' ProtectHome
        ! "$python" -c 'import sys; sys.exit(sys.base_prefix.startswith(("/root/", "/home/", "/run/user/")))'; then
        fail "$python is in somebody's home, which feeder cannot see into; give PYTHON=/usr/bin/python3, or another"
    fi
    say "building $version in ${release#"$root"}"
    rm -rf "$release" # of a run that was cut short
    unfinished=$release
    mkdir -p "$share/deploy" "$share/config"
    # A copy, so that building leaves nothing in the checkout and nothing that an earlier build left gets in.
    sources=$(mktemp -d)
    cp -R "$checkout"/{feeder,pyproject.toml,README.md,deploy/constraints.txt} "$sources"
    find "$sources" -name __pycache__ -prune -exec rm -rf {} +
    "$python" -m venv "$release"
    # By environment as well, so that also what builds it is of the tested version (the second name: pip >= 25.3).
    PIP_CONSTRAINT=$sources/constraints.txt PIP_BUILD_CONSTRAINT=$sources/constraints.txt \
        "$release/bin/python" -m pip install --quiet --disable-pip-version-check -c "$sources/constraints.txt" \
        "$sources" || fail "pip did not install it, see above; is the package index reachable? Nothing has changed."
    cp -R "$checkout"/deploy/{systemd,sysctl,install.sh,constraints.txt} "$share/deploy"
    cp "$checkout/config/feeder.yaml" "$share/config"
    touch "$release/.complete"
}

# Whether a version accepts the machine's configuration, with the variables that its unit gives it.
accepts() {
    local release=$1 file=$etc/feeder/feeder.yaml
    [ -e "$file" ] || file=$release/share/feeder/config/feeder.yaml
    local -a variables
    local blank='[[:space:]]*' name='[A-Za-z_][A-Za-z0-9_]*='
    mapfile -t variables < <(
        sed -n 's/^Environment=//p' "$release/share/feeder/deploy/systemd/feeder.service"
        if [ -e "$etc/feeder/feeder.env" ]; then
            sed -nE "s/^$blank//; s/$blank\$//; s/^($name)$blank([\"'])(.*)\2\$/\1\3/; /^$name/p" "$etc/feeder/feeder.env"
        fi
    )
    env -i PATH=/usr/bin:/bin LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 "${variables[@]}" \
        "$release/bin/feeder" check --config="$file"
}

# put MODE SOURCE TARGET [GROUP]: a file as it should be, replaced at once and only if it is not.
put() {
    if $rollback && [ ! -e "$2" ]; then # newer than that version
        return
    fi
    if [ -f "$3" ] && cmp --silent "$2" "$3" && [ "$(stat -c %a "$3")" = "$1" ]; then
        return
    fi
    install -D -m "$1" ${4:+-g "$4"} "$2" "$3.partial"
    mv -f "$3.partial" "$3"
    say "installed ${3#"$root"}"
    changed+=" ${3#"$root"}"
}

# The group that is to read the configuration, by number; nothing for who cannot give files away.
readers() {
    [ "$(id -u)" = 0 ] || return 0
    { if [ -n "$root" ]; then cat "$root/etc/group"; else getent group feeder; fi; } |
        awk -F: '$1 == "feeder" { print $3; found = 1 } END { exit !found }'
}

# The user, the configuration if there is none yet, units and sysctl of one release.
place() {
    local deploy=$1/share/feeder/deploy default=$1/share/feeder/config/feeder.yaml unit units=$etc/systemd/system
    put 644 "$deploy/systemd/feeder.sysusers" "$etc/sysusers.d/feeder.conf"
    if [ "$(id -u)" = 0 ]; then
        systemd-sysusers ${root:+--root="$root"} "$etc/sysusers.d/feeder.conf" >/dev/null
    fi
    local file group
    group=$(readers) || fail "there is no group feeder, though systemd-sysusers was to make one"
    for file in feeder.yaml feeder.env; do
        if [ ! -e "$etc/feeder/$file" ]; then
            local origin=$default
            [ $file = feeder.yaml ] || origin=$deploy/systemd/$file
            put 640 "$origin" "$etc/feeder/$file" "$group"
        fi
    done
    local before=$prefix/current/share/feeder/config/feeder.yaml
    if ! $rollback && [ -e "$before" ] && ! cmp --silent "$default" "$before" &&
        ! cmp --silent "$default" "$etc/feeder/feeder.yaml"; then
        put 640 "$default" "$etc/feeder/feeder.yaml.new" "$group"
        say "the default configuration is another than before: compare $etc/feeder/feeder.yaml.new with your own"
    fi
    put 644 "$deploy/systemd/feeder.service" "$units/feeder.service"
    put 644 "$deploy/systemd/feeder@.service" "$units/feeder@.service"
    for unit in feeder feeder@; do
        if [ "$(systemd_version)" -ge 254 ]; then
            put 644 "$deploy/systemd/restart-backoff.conf" "$units/$unit.service.d/restart-backoff.conf"
        fi
    done
    put 644 "$deploy/sysctl/10-feeder.conf" "$etc/sysctl.d/10-feeder.conf"
}

# 0 where there is none.
systemd_version() {
    { systemctl --version 2>/dev/null || true; } | awk 'NR == 1 { version = $2 } END { print int(version) }'
}

# point LINK VERSION: in one step, so that there is no moment without.
point() {
    if [ "$(readlink "$prefix/$1" || true)" != "releases/$2" ]; then
        ln -sfn "releases/$2" "$prefix/$1.partial"
        mv -fT "$prefix/$1.partial" "$prefix/$1"
        changed+=" /opt/feeder/$1"
    fi
}

# The last three versions stay, among them current and previous; what runs that were cut short have left goes.
prune() {
    local kept each
    kept=" $(named current) $(named previous) "
    for each in "$prefix"/releases/*; do
        [ -e "$each/.complete" ] || [[ $kept == *" ${each##*/} "* ]] || rm -rf "$each"
    done
    while read -r each; do
        each=${each%/.complete}
        each=${each##*/}
        if [[ $kept != *" $each "* ]]; then
            if [ "$(wc -w <<<"$kept")" -lt 3 ]; then
                kept+="$each "
            else
                discard "$prefix/releases/$each"
                say "removed version $each"
            fi
        fi
    done < <(ls -1t "$prefix"/releases/*/.complete)
}

# named LINK: the version it points to, nothing if there is none.
named() {
    local target
    target=$(readlink "$prefix/$1" || true)
    printf '%s' "${target#releases/}"
}

# What the running system must be told; also where nothing changed, for the run that changed it may have been cut short.
tell_system() {
    if [ -n "$root" ]; then
        reloaded="systemctl daemon-reload is needed where these files are used. "
        return
    fi
    local key value
    while IFS=' =' read -r key value; do # a machine that has more keeps it
        [ "$(sysctl --values "$key")" -ge "$value" ] || sysctl --quiet --write "$key=$value" ||
            say "sysctl did not take $key=$value, see above (a container?)"
    done < <(grep '^[a-z]' "$etc/sysctl.d/10-feeder.conf")
    if [ -d /run/systemd/system ]; then
        systemctl daemon-reload
        reloaded="systemd has read the units (daemon-reload). "
    fi
}

if $rollback; then
    version=$(named previous)
    [ -n "$version" ] || fail "there is no version before this one to go back to"
    [ -e "$prefix/releases/$version/.complete" ] || fail "version $version is not there any more"
else
    [ -e "$checkout/pyproject.toml" ] || fail "this is no checkout of feeder; only --rollback works from here"
    [ -n "$version" ] || name_version
    [[ $version =~ ^[A-Za-z0-9][A-Za-z0-9.+_-]*$ ]] || fail "version $version: use letters, digits and .+_-"
    build "$prefix/releases/$version"
fi
release=$prefix/releases/$version
before=$(named current)

accepts "$release" >/dev/null || fail "version $version does not accept the configuration, see above." \
    "Nothing has changed${before:+, $before is current}: correct what is in $etc/feeder, and run this again."
unfinished=
place "$release"
if [ "$version" != "$before" ]; then
    # Cut short between the two, the next run of the same kind ends where this one was to end.
    if $rollback; then
        point current "$version"
        point previous "$before"
    else
        [ -z "$before" ] || point previous "$before"
        point current "$version"
    fi
fi
prune
tell_system

if [ -z "$changed" ]; then
    say "version $version is installed already; nothing changed"
elif [ -z "$before" ]; then
    say "version $version is installed. Next:
    edit $etc/feeder/feeder.yaml: what to follow, and the interfaces of the lines
    $prefix/current/bin/feeder check --config=$etc/feeder/feeder.yaml
    systemctl enable --now feeder       (shards: see feeder@.service)"
elif [ "$version" != "$before" ]; then
    say "version $version is current, $before is kept. ${reloaded}Next:
    systemctl restart feeder            (shards: one after the other, feeder@0, feeder@1, ...)
    $0 --rollback${root:+ --root $root}      should it disappoint"
else
    say "version $version is complete again. ${reloaded}Next: systemctl restart feeder, if a unit changed"
fi
