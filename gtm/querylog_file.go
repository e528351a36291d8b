package gtm

import (
	"encoding/json"

	"switchpoint/internal/linefile"
)

// queryFileBuffer is when lines are written before their second is over.
const queryFileBuffer = 64 << 10

// queryFile holds lines back until there are enough of them for a write.
type queryFile struct {
	*linefile.File
	buf   []byte
	lines int // in buf
}

// add puts one line into the buffer.
func (f *queryFile) add(line any) {
	text, err := json.Marshal(line)
	if err != nil {
		f.Lost.Inc()
		return
	}
	f.buf = append(append(f.buf, text...), '\n')
	f.lines++
}

func (f *queryFile) full() bool { return len(f.buf) >= queryFileBuffer }

// flush writes the buffer to the file at path, which a reload may change; an empty path drops it.
func (f *queryFile) flush(path string) {
	f.Follow(path)
	f.Write(f.buf, f.lines)
	f.buf, f.lines = f.buf[:0], 0
}
