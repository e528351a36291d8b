package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// column is one of those that a list can show.
type column[T any] struct {
	key, title string
	text       func(T) string
}

// pickColumns gives the columns that the flag names, in its order.
func pickColumns[T any](cmd *cobra.Command, all []column[T], keys string) ([]column[T], error) {
	var out []column[T]
	for key := range strings.SplitSeq(keys, ",") {
		key = strings.TrimSpace(key)
		i := slices.IndexFunc(all, func(c column[T]) bool { return c.key == key })
		if i < 0 {
			return nil, usagef(cmd, "--columns: there is no column %q; there are %s", key, columnKeys(all))
		}
		out = append(out, all[i])
	}
	return out, nil
}

func columnKeys[T any](all []column[T]) string {
	var keys []string
	for _, c := range all {
		keys = append(keys, c.key)
	}
	return strings.Join(keys, ", ")
}

// printTable writes a heading and a line for each row.
func printTable[T any](out io.Writer, columns []column[T], rows []T) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(text func(column[T]) string) {
		cells := make([]string, len(columns))
		for i, c := range columns {
			if cells[i] = text(c); cells[i] == "" {
				cells[i] = "-"
			}
		}
		_, _ = fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	line(func(c column[T]) string { return c.title })
	for _, r := range rows {
		line(func(c column[T]) string { return c.text(r) })
	}
	return w.Flush()
}
