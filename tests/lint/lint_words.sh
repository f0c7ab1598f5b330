# Paths of one machine, and trailing white space, do not belong in the project.
. tests/lint/files.sh
bad=0
files=$(project_files '*.c' '*.h' '*.py' '*.sh' '*.md' '*.def' '*.txt' Makefile .ci/run | grep -v '^tests/lint/lint_words.sh$')
found=$(grep -nE '(^|[^A-Za-z0-9_.])/(work|home/[a-z]+|root)/' $files)
[ -z "$found" ] || { echo "$found"; bad=1; }
found=$(grep -nE '[[:space:]]+$' $files)
[ -z "$found" ] || { echo "$found" | head; bad=1; }
exit $bad
