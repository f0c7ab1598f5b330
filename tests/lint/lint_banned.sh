# Calls that have a safer sister, and sleeping in tests: wait for what is meant, with a deadline.
. tests/lint/files.sh
bad=0
found=$(grep -nE '(^|[^_[:alnum:]])(strcpy|strcat|sprintf|vsprintf|gets|atoi|atol|atoll|strtok|alloca|tmpnam|mktemp)[[:space:]]*\(' \
	$(project_files 'proxy/*.c' 'proxy/*.h' 'filters/*.c' 'filters/*.h' 'tests/*.c' 'tests/*.h') /dev/null)
[ -z "$found" ] || { echo "$found"; bad=1; }
found=$(grep -nE '(^|[^_[:alnum:]])sleep[[:space:]]*\(' \
	$(project_files 'proxy/*.c' 'filters/*.c' 'tests/*.c' 'tests/*.h' 'tests/func/*.py') /dev/null |
	grep -v '^tests/func/harness/proxy.py:.*time.sleep(0.02)$')
[ -z "$found" ] || { echo "$found" | sed 's/$/   <- use until(), or the fake clock/'; bad=1; }
exit $bad
