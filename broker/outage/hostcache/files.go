package hostcache

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"switchpoint/broker/sqlite"
	"switchpoint/internal/keptfile"
)

const (
	wholePrefix  = "cache-"
	importPrefix = "import-"
	suffix       = ".db"
	kept         = 2 // the newest and the one before
)

// file is a host cache on the disk.
type file struct {
	number int64
	path   string
}

func wholeFile(dir string, n int64) file {
	return file{n, filepath.Join(dir, wholePrefix+strconv.FormatInt(n, 10)+suffix)}
}

// parseName reads the number of a name that starts with prefix. rest is what stands behind ".db", as in
// cache-7.db-wal.
func parseName(name, prefix string) (n int64, rest string, ok bool) {
	name, ok = strings.CutPrefix(name, prefix)
	if !ok {
		return 0, "", false
	}
	digits, rest, ok := strings.Cut(name, suffix)
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, rest, ok && err == nil && n > 0 && strconv.FormatInt(n, 10) == digits
}

// wholeFiles lists the host caches of dir, the newest first.
func wholeFiles(dir string) ([]file, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list host caches: %w", err)
	}
	var out []file
	for _, e := range entries {
		if n, rest, ok := parseName(e.Name(), wholePrefix); ok && rest == "" {
			out = append(out, file{n, filepath.Join(dir, e.Name())})
		}
	}
	slices.SortFunc(out, func(a, b file) int { return int(b.number - a.number) })
	return out, nil
}

// nextNumber is higher than that of every file that is or was there in part.
func nextNumber(dir string) (int64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, fmt.Errorf("list host caches: %w", err)
	}
	next := int64(1)
	for _, e := range entries {
		for _, prefix := range []string{wholePrefix, importPrefix} {
			if n, _, ok := parseName(e.Name(), prefix); ok {
				next = max(next, n+1)
			}
		}
	}
	return next, nil
}

// clean removes what an import has left that did not end, and all but the newest files. Of a file that
// goes, the name that makes it count goes first.
func clean(dir string) error {
	whole, err := wholeFiles(dir)
	if err != nil {
		return err
	}
	keep := make(map[int64]bool)
	for _, f := range whole[:min(kept, len(whole))] {
		keep[f.number] = true
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("list host caches: %w", err)
	}
	var errs []error
	for _, e := range entries {
		n, rest, ok := parseName(e.Name(), wholePrefix)
		if ok && keep[n] {
			continue
		}
		if !ok {
			_, rest, ok = parseName(e.Name(), importPrefix)
		}
		if ok {
			errs = append(errs, sqlite.RemoveCache(filepath.Join(dir, strings.TrimSuffix(e.Name(), rest))))
		}
	}
	return errors.Join(errs...)
}

// publish gives the finished import its name: from here on it counts.
func publish(dir, path string, n int64) (file, error) {
	f := wholeFile(dir, n)
	if err := os.Rename(path, f.path); err != nil {
		return f, fmt.Errorf("publish host cache: %w", err)
	}
	if err := keptfile.SyncDir(dir); err != nil {
		return f, fmt.Errorf("publish host cache: %w", err)
	}
	return f, nil
}
