# The names of the functional tests are the same in every process that lists them: several run
# at a time, and none of them starts if their lists differ. Listed twice, a day and a hash seed apart.
bad=0
list() {
	PYTHONDONTWRITEBYTECODE=1 PYTHONHASHSEED=$1 /usr/bin/python3 -c '
import sys, time
real, late = time.time, float(sys.argv[1])
time.time = lambda: real() + late
import pytest
sys.exit(pytest.main(["-q", "--collect-only", "-p", "no:cacheprovider", "tests/func"]))' "$2" |
		grep '::'
}
first=$(list 1 0)
second=$(list 2 86400)
[ "$(echo "$first" | wc -l)" -gt 1000 ] || { echo "tests/func: its tests cannot be listed"; bad=1; }
diff <(echo "$first") <(echo "$second") | sed -n 's/^[<>] \(.*\)/\1: this name changes from run to run/p' |
	grep . && bad=1
exit $bad
