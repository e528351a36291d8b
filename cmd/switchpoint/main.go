package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	os.Exit(execute(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// execute runs one command line and returns the exit code: 0 done, 1 failed, 2 not understood.
func execute(args []string, in io.Reader, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the process at once, as an impatient operator expects.
	context.AfterFunc(ctx, stop)
	root := rootCommand()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(withNotes(ctx, errOut))
	var usage *usageError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errSaid):
		return 1
	case errors.As(err, &usage):
		_, _ = fmt.Fprintf(errOut, "switchpoint: %v\nTry \"%s --help\".\n", usage.err, usage.command)
		return 2
	}
	_, _ = fmt.Fprintf(errOut, "switchpoint: %v\n", err)
	return 1
}

// errSaid ends a command whose output already told what is wrong.
var errSaid = errors.New("the output says what is wrong")

// usageError is a command line that was not understood.
type usageError struct {
	command string
	err     error
}

func (e *usageError) Error() string { return e.err.Error() }
