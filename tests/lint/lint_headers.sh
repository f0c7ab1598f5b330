# Every header is guarded and compiles alone.
. tests/lint/files.sh
bad=0
for h in $(project_files 'proxy/*.h' 'filters/*.h'); do
	grep -q '^#ifndef STATWEIR_' "$h" || { echo "$h: no include guard"; bad=1; }
	out=$(gcc -std=c11 -D_GNU_SOURCE -I. -isystem /usr/share/include/llhttp -Wall -Werror \
		-fsyntax-only -x c "$h" 2>&1 | grep -v 'pragma once') || true
	[ -z "$out" ] || { echo "$h does not compile alone: $out" | head -n 5; bad=1; }
done
exit $bad
