package nodes

import (
	"errors"
	"fmt"

	"switchpoint/internal/keptfile"
)

// documentFile is the operators' document in the state directory.
const documentFile = "gtm-operator.json"

// load reads the document that was kept; there is an empty one where nothing was. A file that is
// no usable document is set aside under the name that the error gives, and the document that
// comes with the error is empty. Without a document the state directory itself is at fault.
func load(dir string) (*document, error) {
	doc := emptyDocument()
	if dir == "" {
		return doc, nil
	}
	err := keptfile.Read(dir, documentFile, maxDocument, func(raw []byte) error {
		read, err := decodeDocument(raw)
		if err == nil {
			doc = read
		}
		return err
	})
	if err != nil && !errors.Is(err, keptfile.ErrSetAside) {
		return nil, fmt.Errorf("what operators have said: %w", err)
	}
	return doc, err
}

// keep replaces the document on disk. n.writing is held.
func keep(dir string, d *document) error {
	if dir == "" {
		return nil
	}
	if err := keptfile.Write(dir, documentFile, d.raw); err != nil {
		return fmt.Errorf("keep what operators have said: %w", err)
	}
	return nil
}
