#!/bin/bash
# What statweir is for, in under two minutes: a storm of metering rule messages (status
# message 10907) against a sample management point, first straight, then through statweir.
#
#   make demo             run, print the comparison, clean up
#   KEEP=1 make demo      keep everything running afterwards, until Ctrl-C
#
# Exit status 0: both books balance (what was acknowledged = what the management point
# received + what summaries counted).
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1

B=${B:-build/dev}
CLIENTS=${CLIENTS:-500}
RULES=${RULES:-500}
DIRECT_RULES=${DIRECT_RULES:-60}
INTERVAL=${INTERVAL:-10s}
CONNECTIONS=${CONNECTIONS:-64}

work=$(mktemp -d "${TMPDIR:-/tmp}/statweir-demo.XXXXXX") || exit 1
point_pid='' weir_pid='' storm_pid=''

stop() { # PID: end it and wait, harder after ten seconds
	[ -n "$1" ] || return 0
	kill -TERM "$1" 2>/dev/null || return 0
	for _ in $(seq 100); do
		kill -0 "$1" 2>/dev/null || break
		sleep 0.1
	done
	kill -KILL "$1" 2>/dev/null
	wait "$1" 2>/dev/null
}

# shellcheck disable=SC2317 # called by the trap
finish() {
	trap '' INT TERM
	stop "$storm_pid"
	stop "$weir_pid"
	stop "$point_pid"
	rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
	echo "demo: $1" >&2
	[ -f "$work/statweir.log" ] && tail -n 15 "$work/statweir.log" >&2
	exit 1
}

free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

fetch() { # URL: the body, or nothing
	python3 - "$1" 2>/dev/null <<'PYTHON'
import sys, urllib.request
sys.stdout.write(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())
PYTHON
}

metric() { # NAME: the sum over its labels, as of the last scrape
	awk -v name="$1" '$1 == name || index($1, name "{") == 1 { sum += $2; seen = 1 }
		END { if (seen) printf "%.0f", sum; else print "?" }' "$work/metrics"
}

figure() { # FILE NAME: a number of a JSON file
	python3 -c 'import json, sys; v = json.load(open(sys.argv[1]))
for key in sys.argv[2].split("."): v = v[key]
print(f"{v:.0f}" if isinstance(v, (int, float)) else v)' "$1" "$2"
}

number() { # 1234567 as 1,234,567
	echo "$1" | sed -E ':a; s/^([0-9]+)([0-9]{3})/\1,\2/; ta'
}

start_point() { # NAME: a sample management point with an empty STAT.BOX
	mkdir "$work/$1"
	"$B/sample_mp" --listen 127.0.0.1:0 --control 127.0.0.1:0 --box "$work/$1/STAT.BOX" \
		--dispatch --log "$work/$1/log" >"$work/$1/addresses" &
	point_pid=$!
	for _ in $(seq 50); do
		grep -q listening "$work/$1/addresses" && break
		sleep 0.1
	done
	point=$(awk '$1 == "listening" { print $2 }' "$work/$1/addresses")
	control=$(awk '$1 == "control" { print $2 }' "$work/$1/addresses")
	[ -n "$point" ] || fail "the sample management point did not start"
}

point_stats() { # FILE: what the management point says of itself
	exec 3<>"/dev/tcp/${control%:*}/${control#*:}" || return 1
	echo stats >&3
	read -r -t 60 line <&3
	exec 3>&-
	echo "$line" >"$1"
}

storm() { # NAME TARGET RULES: journal and report under that name
	"$B/storm" --target "$2" --clients "$CLIENTS" --rules "$3" --connections "$CONNECTIONS" \
		--journal "$work/$1/journal" --report "$work/$1/report" >"$work/$1/text" &
	storm_pid=$!
	wait "$storm_pid"
	local rc=$?
	storm_pid=''
	[ $rc -eq 0 ] || { cat "$work/$1/text"; echo "demo: the storm did not get all it wanted"; }
	return $rc
}

judge() { # NAME: compare the two sides
	tests/tools/judge.py --log "$work/$1/log" --journal "$work/$1/journal" \
		--json "$work/$1/books" >"$work/$1/judge"
}

for tool in sample_mp storm statweir; do
	[ -x "$B/$tool" ] || fail "$B/$tool is missing: make"
done
status=0
direct_all=$((CLIENTS * DIRECT_RULES))
weir_all=$((CLIENTS * RULES))

echo "1. Straight to the management point: $CLIENTS clients, $DIRECT_RULES rules"
start_point direct
storm direct "$point" "$DIRECT_RULES" || status=1
point_stats "$work/direct/stats" || fail "the management point does not answer"
judge direct || { cat "$work/direct/judge"; status=1; }
stop "$point_pid"
point_pid=''
rm -rf "$work/direct/STAT.BOX"

echo
echo "2. Through statweir: $CLIENTS clients, $RULES rules, a summary every $INTERVAL"
start_point weir
listen=127.0.0.1:$(free_port)
admin=127.0.0.1:$(free_port)
read -ra more <<<"${STATWEIR_OPTIONS:-}"
"$B/statweir" --listen "$listen" --upstream "$point" --admin "$admin" --state "$work/state" \
	--set rollup.interval="$INTERVAL" ${more[@]+"${more[@]}"} 2>"$work/statweir.log" &
weir_pid=$!
for _ in $(seq 150); do
	[ -n "$(fetch "http://$admin/readyz")" ] && break
	kill -0 "$weir_pid" 2>/dev/null || fail "statweir did not start"
	sleep 0.1
done
[ -n "$(fetch "http://$admin/readyz")" ] || fail "statweir is not ready after 15 seconds"
storm weir "$listen" "$RULES" || status=1

echo "waiting for the last summaries"
for _ in $(seq 60); do
	sleep 0.5
	point_stats "$work/weir/stats" || fail "the management point does not answer"
	have=$(($(figure "$work/weir/stats" summarised_messages) + \
		$(figure "$work/weir/stats" taken.rule)))
	[ "$have" -ge "$(figure "$work/weir/report" acknowledged_rule)" ] && break
done
# The ledger is recounted every ten seconds, not derived: let it catch up.
for _ in $(seq 30); do
	fetch "http://$admin/metrics" >"$work/metrics"
	absorbed=$(metric statweir_ledger_absorbed_messages)
	summarised=$(metric statweir_ledger_summarised_messages)
	pending=$(metric statweir_ledger_pending_messages)
	[ "$absorbed" = "$summarised" ] && [ "$pending" = 0 ] && break
	sleep 0.5
done
judge weir || status=1

d() { figure "$work/direct/report" "$1"; }
w() { figure "$work/weir/report" "$1"; }
row() { printf '  %-40s %16s %16s\n' "$1" "$2" "$3"; }

direct_files=$(figure "$work/direct/stats" box_written)
weir_files=$(figure "$work/weir/stats" box_written)
balance="?"
[ "$absorbed" != "?" ] && [ "$summarised" != "?" ] && [ "$pending" != "?" ] &&
	balance=$((absorbed - summarised - pending))
[ "$balance" = 0 ] || status=1

echo
row "" "straight" "through statweir"
row "10907 messages acknowledged" "$(number "$(d acknowledged_rule)")" \
	"$(number "$(w acknowledged_rule)")"
row "other messages, verified" "$(number "$(d acknowledged_other)")" \
	"$(number "$(w acknowledged_other)")"
row "messages per second" "$(number "$(d rate)")" "$(number "$(w rate)")"
row "files written to STAT.BOX" "$(number "$direct_files")" "$(number "$weir_files")"
row "  of them 10907" "$(number "$(figure "$work/direct/stats" taken.rule)")" \
	"$(number "$(figure "$work/weir/stats" taken.rule)")"
row "  of them summaries" "$(number "$(figure "$work/direct/stats" taken.summary)")" \
	"$(number "$(figure "$work/weir/stats" taken.summary)")"
row "  of them other status messages" \
	"$(number "$(figure "$work/direct/stats" taken.status)")" \
	"$(number "$(figure "$work/weir/stats" taken.status)")"
row "files left in STAT.BOX" "$(number "$(figure "$work/direct/stats" box_files)")" \
	"$(number "$(figure "$work/weir/stats" box_files)")"
row "longest reading of STAT.BOX (ms)" "$(number "$(figure "$work/direct/stats" slowest_pass_ms)")" \
	"$(number "$(figure "$work/weir/stats" slowest_pass_ms)")"
row "slowest policy GET (ms)" "$(number "$(d policy_max_ms)")" "$(number "$(w policy_max_ms)")"
row "messages counted in summaries" "-" \
	"$(number "$(figure "$work/weir/books" counted_in_summaries)")"

if [ "$direct_all" -lt "$weir_all" ]; then
	echo
	echo "  Extrapolated, not measured: $(number "$weir_all") messages straight would be" \
		"$(number $((direct_files * RULES / DIRECT_RULES))) files, and one reading"
	echo "  of the folder at the end would block the management point for about" \
		"$(number $(($(figure "$work/direct/stats" slowest_pass_ms) * RULES / DIRECT_RULES))) ms."
fi

echo
echo "  ledger of statweir: absorbed $(number "$absorbed") = summarised $(number "$summarised")" \
	"+ pending $(number "$pending"), imbalance $balance"
cat "$work/weir/judge"

if [ "${KEEP:-}" = 1 ]; then
	echo
	echo "  statistics   http://$admin/  http://$admin/stats.json  http://$admin/metrics"
	echo "  proxy        http://$listen/"
	echo "  STAT.BOX     $work/weir/STAT.BOX"
	echo "  another storm: $B/storm --target $listen --seed 2"
	echo "Ctrl-C ends it all."
	wait "$weir_pid"
else
	echo
	echo "  statistics were at http://$admin/stats.json and /metrics; KEEP=1 keeps them up"
fi
exit $status
