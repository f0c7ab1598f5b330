#!/usr/bin/env bash
# Run every lint of this folder; the closing line counts them.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lint/files.sh
passed=0
failed=0
[ "$(project_files | wc -l)" -gt 50 ] || { echo "lint: git does not list the files here"; exit 1; }
for lint in tests/lint/lint_*.sh; do
	if out=$(bash "$lint" 2>&1); then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAIL $lint"
		echo "$out" | head -n 40
	fi
done
echo "lint: $passed passed, $failed failed"
[ "$failed" = 0 ]
