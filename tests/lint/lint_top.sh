# The top level is fixed.
. tests/lint/files.sh
bad=0
for f in $(project_files | cut -d/ -f1 | sort -u); do
	case "$f" in
	proxy | filters | tests | deploy | docs | Makefile | README.md | .*) ;;
	*) echo "$f does not belong at the top level"; bad=1 ;;
	esac
done
exit $bad
