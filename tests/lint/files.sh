# The files that belong to the project, tracked or about to be (sourced by the lints).
# safe.directory: a clone that belongs to somebody else (continuous integration) is read all the same.
project_files() {
	git -c safe.directory="$PWD" ls-files -co --exclude-standard -- "$@" |
		while read -r f; do [ -f "$f" ] && echo "$f"; done
}
