# SPDX-License-Identifier: GPL-2.0
#
# From lines "NAME MEAN LEAST MOST": a table, and whether the bars hold.

function verdict(name, limit, what)
{
	if (!(name in mean) || !("request-key" in mean)) {
		printf "FAILED  %s was not measured\n", name
		bad = 1
	} else if (mean[name] > limit * mean["request-key"]) {
		printf "FAILED  %s: more than %s\n", name, what
		bad = 1
	}
}

NF == 4 {
	mean[$1] = $2
	least[$1] = $3
	most[$1] = $4
	order[++count] = $1
}

END {
	printf "%-20s %12s %12s %12s  %s\n", "instructions each", "mean", "least", "most",
		"of request-key"
	for (i = 1; i <= count; i++) {
		name = order[i]
		printf "%-20s %12d %12d %12d  %6.2f %%\n", name, mean[name], least[name],
			most[name], 100 * mean[name] / mean["request-key"]
	}
	verdict("program", 1.1, "110 % of request-key")
	verdict("constant", 0.05, "a twentieth of request-key")
	verdict("file", 0.05, "a twentieth of request-key")
	verdict("key", 0.05, "a twentieth of request-key")
	exit bad
}
