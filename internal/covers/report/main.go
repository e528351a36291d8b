// Command report turns the records of a test run into docs/coverage.md and
// fails when coverage has gaps.
//
// Usage: report [-check] -records FILE -out FILE
//
// It exits 1 when a required requirement has no passing test, when a test
// names an id that is not in ids.txt, or, with -check, when the file at -out
// is not what the records say. The page holds no dates and no counts of runs,
// so the same tests always give the same bytes.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"switchpoint/internal/covers"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "coverage report:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("report", flag.ContinueOnError)
	records := flags.String("records", "", "file that the tests appended their records to")
	out := flags.String("out", "docs/coverage.md", "page to write")
	check := flags.Bool("check", false, "write nothing; fail when the page differs")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ids, err := covers.LoadIDs()
	if err != nil {
		return fmt.Errorf("ids.txt: %w", err)
	}
	recs, err := readRecords(*records)
	if err != nil {
		return err
	}
	cov, err := collate(ids, recs)
	page := cov.page()
	if *check {
		err = errors.Join(err, samePage(*out, page))
	} else {
		err = errors.Join(err, writePage(*out, page))
	}
	fmt.Fprintln(stdout, cov.summary())
	return err
}

func samePage(path string, page []byte) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read page: %w", err)
	}
	if !bytes.Equal(old, page) {
		return fmt.Errorf("%s does not match the tests; run make test and commit the result", path)
	}
	return nil
}

// writePage leaves an up-to-date page untouched, so that a run that changes
// nothing does not look like a change to make or to an editor.
func writePage(path string, page []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, page) {
		return nil
	}
	if err := os.WriteFile(path, page, 0o644); err != nil { //nolint:gosec // a page of the documentation, read by everybody
		return fmt.Errorf("write page: %w", err)
	}
	return nil
}
