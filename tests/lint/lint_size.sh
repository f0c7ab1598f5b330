# No source file over 600 lines, no function over 80.
. tests/lint/files.sh
bad=0
for f in $(project_files '*.c' '*.h' '*.py' '*.sh' Makefile); do
	n=$(wc -l <"$f")
	[ "$n" -le 600 ] || { echo "$f: $n lines, 600 are allowed"; bad=1; }
done
long=$(ctags -x --c-kinds=f --_xformat='%{line} %{end} %{input} %{name}' $(project_files '*.c') |
	awk '{ n = $2 - $1 + 1; if (n > 80) print $3 ":" $1 ": " $4 " has " n " lines, 80 are allowed" }')
[ -z "$long" ] || { echo "$long"; bad=1; }
exit $bad
