# The manual's table of doubts says what filters/doubt.def says, row by row.
bad=0
n=0
while IFS= read -r row; do
	n=$((n + 1))
	grep -qF -- "$row" docs/FILTERS.md || { echo "docs/FILTERS.md lacks: $row"; bad=1; }
done < <(sed -n 's/^DOUBT([A-Z0-9_]*, "\([a-z0-9_]*\)", "\(.*\)")$/| `\1` | \2 |/p' filters/doubt.def)
[ "$n" = "$(grep -c '^DOUBT(' filters/doubt.def)" ] || { echo "filters/doubt.def: a row of another form"; bad=1; }
[ "$n" = "$(grep -cE '^\| `[a-z0-9_]+` \| .* \| [0-9, to]* \| .* \|$' docs/FILTERS.md)" ] ||
	{ echo "docs/FILTERS.md has rows of doubts that filters/doubt.def has not"; bad=1; }
exit $bad
