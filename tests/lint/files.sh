# The files that belong to the project, tracked or about to be (sourced by the lints).
project_files() { git ls-files -co --exclude-standard -- "$@" | while read -r f; do [ -f "$f" ] && echo "$f"; done; }
