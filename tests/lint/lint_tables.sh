# Every doubt and reason of the tables is used, every fuzz target has a corpus, and back.
. tests/lint/files.sh
bad=0
# $1: prefix of the enum, $2: its table
check() {
	words=$(sed -n "s/^$1(\([A-Z0-9_]*\),.*/\1/p" "$2")
	[ -n "$words" ] || { echo "$2: no row found"; bad=1; }
	for w in $words; do
		grep -rqw "$1_$w" --include='*.c' --include='*.h' proxy filters ||
			{ echo "$2: $w is used nowhere"; bad=1; }
	done
}
check DOUBT filters/doubt.def
check REASON proxy/http/reason.def
check CHANGE proxy/http/reason.def
# Each word of the access log is explained.
for w in $(sed -n 's/^\(REASON\|CHANGE\)([^"]*"\([a-z_0-9]*\)".*/\2/p' proxy/http/reason.def); do
	[ "$w" = none ] || grep -q "^| .$w. |" docs/OPERATIONS.md ||
		{ echo "docs/OPERATIONS.md, section 7, lacks $w of proxy/http/reason.def"; bad=1; }
done
for c in tests/fuzz/corpus/*/; do
	n=$(basename "$c")
	[ -f "tests/fuzz/fuzz_$n.c" ] || { echo "$c has no target tests/fuzz/fuzz_$n.c"; bad=1; }
done
for f in $(project_files 'tests/fuzz/fuzz_*.c'); do
	n=$(basename "$f" .c)
	[ -n "$(project_files "tests/fuzz/corpus/${n#fuzz_}/*")" ] ||
		{ echo "$f has no corpus in tests/fuzz/corpus/${n#fuzz_}"; bad=1; }
done
exit $bad
