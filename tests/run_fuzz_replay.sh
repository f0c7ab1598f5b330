#!/usr/bin/env bash
# Replay every corpus through its fuzz target: tests/run_fuzz_replay.sh BUILD_FOLDER SOURCE...
set -u
passed=0
failed=0
build=$1
shift
for source in "$@"; do
	name=$(basename "$source" .c)
	corpus=tests/fuzz/corpus/${name#fuzz_}
	if [ ! -d "$corpus" ]; then
		echo "FAIL $name: no corpus in $corpus"
		failed=$((failed + 1))
	elif out=$(timeout 120 "$build/tests/fuzz/$name" "$corpus" 2>&1); then
		n=$(find "$corpus" -type f | wc -l)
		echo "ok   $name ($n)"
		passed=$((passed + n))
	else
		echo "FAIL $name"
		echo "$out" | tail -n 40
		failed=$((failed + 1))
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
