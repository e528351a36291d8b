package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

const (
	maxAssignmentFile = 16 << 20 // bytes; 100,000 users have about 4 MB
	maxAssignments    = 500_000
)

// ImportLine is what an import says about one line of the file.
type ImportLine struct {
	Line      int    `json:"line"` // from 1
	User      string `json:"user,omitempty"`
	Directory string `json:"directory,omitempty"`
	Desktop   string `json:"desktop,omitempty"`
	Verdict   string `json:"verdict"` // AssignAdd, ...
	Why       string `json:"why,omitempty"`
	Cure      string `json:"cure,omitempty"`
}

// ImportReport is what an import did, or would do. With one line refused it did nothing.
type ImportReport struct {
	Lines   []ImportLine   `json:"lines"`
	Counts  map[string]int `json:"counts"` // by verdict
	Applied bool           `json:"applied"`
}

// assignmentRow is a line on its way.
type assignmentRow struct {
	ImportLine
	to Assignment
}

// ImportAssignments makes users the owners of desktops as a CSV file says: a first line with the
// columns user, desktop and, if there is more than one directory, directory; then one line for each
// assignment. A line without a user takes the desktop from whom an earlier import gave it to. What
// the file does not name stays. All lines are done or none. The error says that the file could not be
// read or the store did not answer; what is wrong with a line stands in the report. who is the
// operator, for the log.
func (b *Broker) ImportAssignments(ctx context.Context, file io.Reader, dryRun bool, who string) (ImportReport, error) {
	arrived := time.Now()
	rows, err := parseAssignments(io.LimitReader(file, maxAssignmentFile+1))
	if err != nil {
		return ImportReport{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	b.table.Load().setup.checkImport(rows)
	var list []Assignment
	var at []int // the row of each of list
	refused := 0
	for i := range rows {
		if rows[i].Verdict == AssignRefused {
			refused++
			continue
		}
		list, at = append(list, rows[i].to), append(at, i)
	}
	row := b.operatorRow(ctx, LogSetup, who)
	row.Duration = sinceArrival(arrived)
	row.Reason = []string{fmt.Sprintf("%d assignments were imported", len(list))}
	ctx, cancel := context.WithTimeout(ctx, inventoryBound)
	defer cancel()
	verdicts, err := b.o.Store.ImportAssignments(ctx, list, dryRun || refused > 0, row)
	if err != nil {
		return ImportReport{}, fmt.Errorf("import assignments: %w", err)
	}
	for i, v := range verdicts {
		l := &rows[at[i]].ImportLine
		l.Verdict, l.Why, l.Cure = v.Verdict, v.Why, v.Cure
	}
	report := ImportReport{Lines: make([]ImportLine, len(rows)), Counts: make(map[string]int)}
	for i, r := range rows {
		report.Lines[i] = r.ImportLine
		report.Counts[r.Verdict]++
	}
	report.Applied = !dryRun && report.Counts[AssignRefused] == 0
	return report, nil
}

// ImportedAssignments lists what imports have assigned, as opposed to the setup.
func (b *Broker) ImportedAssignments(ctx context.Context) ([]Assignment, error) {
	ctx, cancel := context.WithTimeout(ctx, inventoryBound)
	defer cancel()
	return b.o.Store.ImportedAssignments(ctx)
}

// parseAssignments reads the file as text, without looking at what the names mean.
func parseAssignments(r io.Reader) ([]assignmentRow, error) {
	read := &countingReader{r: r}
	in := newCSV(read)
	header, err := in.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the file is empty; its first line has to be: user,directory,desktop")
	}
	if err != nil {
		return nil, csvError(err)
	}
	column := make(map[string]int)
	for i, h := range header {
		name := strings.ToLower(strings.TrimSpace(h))
		if _, twice := column[name]; twice || !slices.Contains([]string{"user", "directory", "desktop"}, name) {
			return nil, fmt.Errorf("line 1: %q is no column, or there twice; the columns are user, directory and desktop", clip(name))
		}
		column[name] = i
	}
	if _, ok := column["user"]; !ok {
		return nil, errors.New("line 1: there is no column user")
	}
	if _, ok := column["desktop"]; !ok {
		return nil, errors.New("line 1: there is no column desktop")
	}
	var rows []assignmentRow
	for {
		fields, err := in.Read()
		if errors.Is(err, io.EOF) {
			return rows, read.tooLong()
		}
		if err != nil {
			return nil, csvError(err)
		}
		line, _ := in.FieldPos(0)
		if len(rows) == maxAssignments {
			return nil, fmt.Errorf("line %d: the file has more than %d assignments; split it", line, maxAssignments)
		}
		rows = append(rows, readAssignment(line, fields, column))
	}
}

func readAssignment(line int, fields []string, column map[string]int) assignmentRow {
	get := func(name string) string {
		if i, ok := column[name]; ok && i < len(fields) {
			return strings.TrimSpace(fields[i])
		}
		return ""
	}
	row := assignmentRow{ImportLine: ImportLine{Line: line, User: clip(canonicalUser(get("user"))), Directory: clip(get("directory")), Desktop: clip(get("desktop"))}}
	if len(fields) > len(column) {
		row.refuse("it has more values than the first line has columns", "put values with a comma in double quotes")
		return row
	}
	row.check()
	return row
}

// check refuses names that cannot be ones.
func (r *assignmentRow) check() {
	switch {
	case r.Desktop == "" || len(r.Desktop) > maxName || !printable(r.Desktop):
		r.refuse("the desktop is empty or not usable as a name", "write the name of a desktop")
	case r.User != "" && (len(r.User) > maxName || !printable(r.User)):
		r.refuse("the user is not usable as a name", "write the name as the directory has it")
	}
}

func (r *assignmentRow) refuse(why, cure string) { r.Verdict, r.Why, r.Cure = AssignRefused, why, cure }

// checkImport looks at what the lines say about each other and about the directories.
func (s Setup) checkImport(rows []assignmentRow) {
	directories := []string{LocalDirectory}
	fallback := LocalDirectory
	for i, d := range s.Directories {
		directories = append(directories, d.Name)
		if i == 0 {
			fallback = d.Name
		}
	}
	seen := make(map[string]int, len(rows))
	for i := range rows {
		r := &rows[i]
		if r.Directory == "" {
			r.Directory = fallback
		}
		before, twice := seen[r.Desktop]
		switch {
		case r.Verdict == AssignRefused:
		case !slices.Contains(directories, r.Directory):
			r.refuse("unknown directory "+quoted(r.Directory), "use one of: "+strings.Join(directories, ", "))
		case twice:
			r.refuse(fmt.Sprintf("desktop %q stands at line %d already", r.Desktop, before), "remove one of the lines")
		}
		if !twice {
			seen[r.Desktop] = r.Line
		}
		r.to = Assignment{User: r.User, Directory: r.Directory, Desktop: r.Desktop}
	}
}

// countingReader tells a file that was cut off at the bound from one that ends there.
type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func (c *countingReader) tooLong() error {
	if c.n > maxAssignmentFile {
		return fmt.Errorf("the file is larger than %d MiB; split it", maxAssignmentFile>>20)
	}
	return nil
}
