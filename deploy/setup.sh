#!/usr/bin/env bash
# Install the Debian packages that a group of make targets needs:
#   deploy/setup.sh GROUP...      groups: build run check bench
# Says what it installs; does nothing, quickly, when all is there.
set -eu
cd "$(dirname "$0")"

missing=()
while read -r group package _; do
	case "$group" in '' | '#'*) continue ;; esac
	case " $* " in *" $group "*) ;; *) continue ;; esac
	if [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null)" != "ii " ]; then
		missing+=("$package")
	fi
done <packages.txt
[ ${#missing[@]} -gt 0 ] || exit 0

echo "statweir needs these Debian packages, which are not installed yet:"
printf '  %s\n' "${missing[@]}"
if [ "$(id -u)" = 0 ]; then
	sudo=
elif command -v sudo >/dev/null; then
	sudo=sudo
else
	echo "Run this as root (there is no sudo here):"
	echo "  apt-get install --no-install-recommends ${missing[*]}"
	exit 1
fi
if ! command -v apt-get >/dev/null; then
	echo "This is no Debian: install the equivalents of these packages by hand."
	exit 1
fi

# haproxy, nginx and redis come as programs to run from tests: no service is started.
policy=/usr/sbin/policy-rc.d
made_policy=
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
	$sudo chmod 755 "$policy"
	made_policy=1
fi
cleanup() { [ -z "$made_policy" ] || $sudo rm -f "$policy"; }
trap cleanup EXIT

echo "Installing them now (apt-get)."
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get -q update </dev/null
$sudo apt-get -q install -y --no-install-recommends "${missing[@]}" </dev/null
