# Every failpoint of the table is in the code and in a test, and back.
. tests/lint/files.sh
bad=0
table=proxy/base/failpoint.def
names=$(sed -n 's/^FAILPOINT_NAME(\([a-z0-9_]*\),.*/\1/p' $table | sort)
code=$(grep -ohE 'FAILPOINT(_ERROR|_SHORT)?\("[a-z0-9_]+"' $(project_files 'proxy/*.c' 'filters/*.c') |
	sed 's/.*"\(.*\)"/\1/' | sort -u)
[ -n "$names" ] || { echo "$table: no row found"; bad=1; }
[ "$names" = "$(echo "$names" | uniq)" ] || { echo "$table: a name stands twice"; bad=1; }
for n in $names; do
	echo "$code" | grep -qx "$n" || { echo "$table: $n is nowhere in the code"; bad=1; }
	grep -qE "(^|[^a-z0-9_])$n(=|\")" $(project_files 'tests/func/faults/*.py' 'tests/fault/*.py') ||
		{ echo "$table: $n is used by no test in tests/func/faults"; bad=1; }
done
for n in $code; do
	echo "$names" | grep -qx "$n" || { echo "$n is not in $table"; bad=1; }
done
exit $bad
