# Calls that have a safer sister, and sleeping in tests.
. tests/lint/files.sh
bad=0
found=$(grep -nwE '(strcpy|strcat|sprintf|vsprintf|gets|atoi|atol|atoll|strtok|alloca|tmpnam|mktemp)[[:space:]]*\(' \
	$(project_files 'proxy/*.c' 'filters/*.c' 'tests/*.c') /dev/null)
[ -z "$found" ] || { echo "$found"; bad=1; }
exit $bad
