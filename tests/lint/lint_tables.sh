# Every doubt and reason of the tables is used, every fuzz target has a corpus, and back.
. tests/lint/files.sh
bad=0
used() { grep -rqwE "$1_$2" --include='*.c' --include='*.h' proxy filters; }
for w in $(sed -n 's/^DOUBT(\([A-Z0-9_]*\),.*/\1/p' filters/doubt.def); do
	used DOUBT "$w" || { echo "filters/doubt.def: $w is used nowhere"; bad=1; }
done
for w in $(sed -n 's/^REASON(\([A-Z0-9_]*\),.*/\1/p' proxy/http/reason.def); do
	used REASON "$w" || { echo "proxy/http/reason.def: $w is used nowhere"; bad=1; }
done
for c in tests/fuzz/corpus/*/; do
	n=$(basename "$c")
	[ -f "tests/fuzz/fuzz_$n.c" ] || { echo "$c has no target tests/fuzz/fuzz_$n.c"; bad=1; }
done
exit $bad
