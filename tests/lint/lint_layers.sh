# Includes point downwards only, and only some layers know the libraries.
. tests/lint/files.sh
bad=0
# $1: folder, $2: extended expression of what may be included from the project
check() {
	found=$(grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' $(project_files "$1/*.c" "$1/*.h") /dev/null |
		grep -vE "include[[:space:]]*\"($2)")
	[ -z "$found" ] || { echo "$found" | sed 's/$/   <- points up, or is no path from the top/'; bad=1; }
}
check proxy/base 'proxy/base/'
check proxy/http 'proxy/(base|http)/'
check proxy/io 'proxy/(base|http|io)/'
check proxy/store 'proxy/(base|store)/'
check filters 'proxy/base/|proxy/http/message.h|filters/'
check proxy/flush 'proxy/(base|http|io|store|flush)/'
check proxy/core 'proxy/(base|http|io|store|flush|core)/|filters/'
# statweirctl speaks to statweir from outside: it shares nothing but the ground.
check proxy/ctl 'proxy/(base|ctl)/'
check tests 'proxy/|filters/|tests/'
# $1: header, $2: folders that may include it
only() {
	found=$(grep -nE "^[[:space:]]*#[[:space:]]*include[[:space:]]*<$1" \
		$(project_files 'proxy/*.c' 'proxy/*.h' 'filters/*.c' 'filters/*.h') /dev/null |
		grep -vE "^($2)/")
	[ -z "$found" ] || { echo "$found" | sed 's/$/   <- not a library of this layer/'; bad=1; }
}
only 'event2/' 'proxy/io|proxy/store|proxy/core'
only 'hiredis' 'proxy/store'
only 'llhttp' 'proxy/http'
only 'libdeflate' 'filters|proxy/store|proxy/core'
only 'jansson' 'proxy/core|proxy/ctl'
only 'ini.h' 'proxy/base'
only 'expat' 'tests'
exit $bad
