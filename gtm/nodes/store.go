package nodes

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// documentFile is the operators' document in the state directory.
const documentFile = "gtm-operator.json"

// load reads the document that was kept; there is an empty one where nothing was. A file that is
// no usable document is set aside under the name that the error gives, and the document that
// comes with the error is empty. Without a document the state directory itself is at fault.
func load(dir string) (*document, error) {
	if dir == "" {
		return emptyDocument(), nil
	}
	path := filepath.Join(dir, documentFile)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return emptyDocument(), nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what operators have said: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("read what operators have said: %w", err)
	}
	doc, err := decodeDocument(raw)
	if err == nil {
		return doc, nil
	}
	aside := path + ".broken-" + time.Now().UTC().Format("20060102T150405.000")
	if errMove := os.Rename(path, aside); errMove != nil {
		return nil, fmt.Errorf("%s is not usable (%w) and cannot be set aside: %w", path, err, errMove)
	}
	return emptyDocument(), fmt.Errorf("%s is not usable and was set aside as %s: %w", path, aside, err)
}

// keep replaces the document on disk: after a crash there is the old or the new one, whole.
func keep(dir string, d *document) error {
	if dir == "" {
		return nil
	}
	if err := replace(dir, d.raw); err != nil {
		return fmt.Errorf("keep what operators have said: %w", err)
	}
	return nil
}

func replace(dir string, content []byte) error {
	f, err := os.CreateTemp(dir, documentFile+".new-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, documentFile))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
