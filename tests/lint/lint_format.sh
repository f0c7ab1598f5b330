# clang-format decides layout; nobody else discusses it.
. tests/lint/files.sh
clang-format --dry-run -Werror $(project_files '*.c' '*.h')
