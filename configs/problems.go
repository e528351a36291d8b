package configs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"switchpoint/internal/problem"
)

// Problem is one fault of a configuration with the place where it stands.
type Problem struct {
	File string
	Line int // from 1; 0 where the fault is the file itself
	problem.Problem
}

// Error gives "file:line: path: what; cure".
func (p Problem) Error() string {
	if p.Line == 0 {
		return p.File + ": " + p.Problem.Error()
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Problem.Error())
}

// Problems is every fault of a configuration, sorted by file and line, the main file first.
type Problems []Problem

// Error gives one problem a line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].Error()
	}
	return strings.Join(lines, "\n")
}

// err returns the sorted problems, each once, as an error; nil where there are none. main is
// the file that comes first.
func (p Problems) err(main string) error {
	if len(p) == 0 {
		return nil
	}
	slices.SortStableFunc(p, func(a, b Problem) int {
		if a.File != b.File {
			if a.File == main {
				return -1
			}
			if b.File == main {
				return 1
			}
		}
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return slices.Compact(p)
}

// fileProblem is a fault of the file as a whole, or of a line that no path leads to.
func fileProblem(file string, line int, what, cure string) Problems {
	return Problems{{File: file, Line: line, Problem: problem.Problem{What: what, Cure: cure}}}
}
