#!/usr/bin/env bash
# Run test programs one by one, each with a time limit, and add up what they say.
#   tests/run_unit.sh PROGRAM...
set -u
limit=${UNIT_TIMEOUT:-300}
passed=0
failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for program in "$@"; do
	if timeout -k 5 "$limit" "$program" >"$log" 2>&1; then
		n=$(grep -c '^\[       OK \]' "$log")
		if [ "$n" = 0 ]; then
			echo "FAIL $program: ran no test"
			failed=$((failed + 1))
			continue
		fi
		passed=$((passed + n))
		echo "ok   $program ($n)"
	else
		code=$?
		n=$(grep -c '^\[  FAILED  \] [^0-9]' "$log")
		failed=$((failed + (n > 0 ? n : 1)))
		passed=$((passed + $(grep -c '^\[       OK \]' "$log")))
		echo "FAIL $program: exit $code"
		tail -n 60 "$log"
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
