package main

import (
	"context"
	"fmt"
	"io"
)

// notesTo is the key under which the context of a command has what its notes are written to.
type notesTo struct{}

// withNotes returns a context in which notes of nodes go to w, apart from what a command prints.
func withNotes(ctx context.Context, w io.Writer) context.Context {
	return context.WithValue(ctx, notesTo{}, w)
}

// tellNote writes a line that came with an answer.
func tellNote(ctx context.Context, text string) {
	if w, ok := ctx.Value(notesTo{}).(io.Writer); ok {
		_, _ = fmt.Fprintf(w, "switchpoint: %s\n", text)
	}
}
