#!/usr/bin/env bash
# Install the Debian packages that a group of make targets needs:
#   deploy/setup.sh GROUP...      groups: build run check bench insn
# Says what it installs; does nothing, quickly, when all is there.
set -eu
cd "$(dirname "$0")"

missing=()
while read -r group package _; do
	case "$group" in '' | '#'*) continue ;; esac
	case " $* " in *" $group "*) ;; *) continue ;; esac
	# Wanted or on hold makes no difference: installed is what counts.
	case "$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null)" in
	?i*) ;;
	*) missing+=("$package") ;;
	esac
done <packages.txt
[ ${#missing[@]} -gt 0 ] || exit 0

echo "statweir needs these Debian packages, which are not installed yet:"
printf '  %s\n' "${missing[@]}"
if ! command -v apt-get >/dev/null; then
	echo "There is no apt-get here: install the equivalents of these packages by hand."
	exit 1
fi
if [ "$(id -u)" = 0 ]; then
	sudo=
elif command -v sudo >/dev/null; then
	sudo=sudo
else
	echo "Run this as root (there is no sudo here):"
	echo "  apt-get update && apt-get install --no-install-recommends ${missing[*]}"
	exit 1
fi

# haproxy and nginx come as programs to measure against: no service is started, now or at boot.
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
apt() {
	# sudo drops the environment
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 "$@" </dev/null
}
apt update || echo "apt-get update failed: trying with the package lists that are here."
apt install -y --no-install-recommends "${missing[@]}"

for service in haproxy nginx; do
	case " ${missing[*]} " in
	*" $service "*) ! command -v systemctl >/dev/null || $sudo systemctl disable "$service" ;;
	esac
done
