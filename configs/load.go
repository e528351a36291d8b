package configs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"switchpoint/broker"
	"switchpoint/internal/problem"
)

// maxFile bounds a configuration file. A setup with 10,000 desktops has about 2 MB.
const maxFile = 4 << 20

// Load reads and checks the configuration of one process, with all that it names: zone files,
// certificates and the seed of the broker. The error is of type Problems and holds every
// problem that was found; the Config is nil then.
func Load(path string) (*Config, error) {
	text, problems := readText(path)
	if problems != nil {
		return nil, problems
	}
	c, err := load(path, text)
	if err == nil && c.GTM != nil {
		c.GTM.Serial = serial(path)
	}
	return c, err
}

// serial is the version of a file as a DNS serial: the second of its last change, so that
// processes that were given the same file at the same time agree, and a restart changes nothing.
func serial(path string) uint32 {
	info, err := os.Stat(path)
	if err != nil {
		return 0 // removed since it was read: gtm has a default
	}
	return uint32(info.ModTime().Unix())
}

func load(path, text string) (*Config, error) {
	c := &Config{File: path}
	f := parse(path, text, c)
	if !f.parsed {
		return nil, f.problems.err(path)
	}
	c.lines = f.index
	c.settle(filepath.Dir(path))
	c.check(f)
	if err := f.problems.err(path); err != nil {
		return nil, err
	}
	return c, nil
}

// LoadSetup reads and checks a broker.toml, as Load does. monitors are the names that
// destinations may use, cluster is the cluster of the brokers that it is for. With cluster ""
// neither is known here, as for `switchpoint apply`: the names of monitors are then left to
// the broker that takes the setup.
func LoadSetup(path string, monitors []string, cluster string) (*broker.Setup, error) {
	text, problems := readText(path)
	if problems != nil {
		return nil, problems
	}
	return ParseSetup(path, []byte(text), monitors, cluster)
}

// ParseSetup is LoadSetup for text at hand. name stands for it in problems, and paths in text
// are relative to the folder of name.
func ParseSetup(name string, text []byte, monitors []string, cluster string) (*broker.Setup, error) {
	setup, f := parseSetup(name, text, monitors, cluster)
	if err := f.problems.err(name); err != nil {
		return nil, err
	}
	return setup, nil
}

// parseSetup gives the setup as far as it could be read, and the file with its problems.
func parseSetup(name string, text []byte, monitors []string, cluster string) (*broker.Setup, *file) {
	setup := &broker.Setup{}
	if len(text) > maxFile {
		return setup, &file{name: name, problems: tooLarge(name)}
	}
	f := parse(name, string(text), setup)
	if f.parsed {
		unsettled := settleSetup(setup, filepath.Dir(name))
		f.add("", unsettled)
		f.blame(unsettled)
		err := setup.Validate(monitors, cluster)
		if found, ok := errors.AsType[problem.List](err); ok && cluster == "" {
			err = slices.DeleteFunc(found, isMonitorName).Err()
		}
		f.add("", err)
	}
	return setup, f
}

func isMonitorName(p problem.Problem) bool {
	ofSetup := strings.HasPrefix(p.Path, "destination[") || strings.HasPrefix(p.Path, "directory[")
	return ofSetup && strings.HasSuffix(p.Path, "].monitor")
}

// readText reads a whole file within the size bound.
func readText(path string) (string, Problems) {
	in, err := os.Open(path)
	if err != nil {
		return "", fileProblem(path, 0, "cannot be read: "+reason(err), "check the path, and who may read it")
	}
	defer in.Close()
	if info, err := in.Stat(); err == nil && info.IsDir() {
		return "", fileProblem(path, 0, "is a folder", "give the TOML file inside it")
	}
	text, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err != nil {
		return "", fileProblem(path, 0, "cannot be read: "+reason(err), "check the path, and who may read it")
	}
	if len(text) > maxFile {
		return "", tooLarge(path)
	}
	return string(text), nil
}

func tooLarge(path string) Problems {
	return fileProblem(path, 0, fmt.Sprintf("is larger than %d MiB", maxFile>>20), "split it, or check that it is the right file")
}

// reason is the cause of a file error without the path, which stands beside it anyway.
func reason(err error) string {
	var pathErr *os.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err.Error()
	}
	return err.Error()
}

// file is one TOML file on its way through the checks.
type file struct {
	name     string
	index    *index
	decoder  *decoder
	problems Problems
	parsed   bool // the text is TOML: problems beyond it make sense
}

// parse decodes text into the struct that out points to. Nothing of text is trusted.
func parse(name, text string, out any) *file {
	f := &file{name: name, index: indexLines(text), decoder: newDecoder()}
	if line := f.index.tooDeep; line > 0 {
		f.problems = fileProblem(name, line, fmt.Sprintf("nests deeper than %d levels or has a key beyond %d bytes", maxNesting, maxPath),
			"no section of a configuration is so deep; check that this is the right file")
		return f
	}
	values, err := decodeTOML(text)
	if err != nil {
		f.problems = syntaxProblem(name, err)
		return f
	}
	f.parsed = true
	f.decoder.table("", values, reflect.ValueOf(out).Elem())
	f.place(f.decoder.problems)
	return f
}

// decodeTOML parses text. The library reports its own mistakes by a panic, which bad input
// must not turn into a crash.
func decodeTOML(text string) (values map[string]any, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the TOML parser failed: %v", r)
		}
	}()
	_, err = toml.Decode(text, &values)
	return values, err
}

func syntaxProblem(name string, err error) Problems {
	var syntax toml.ParseError
	if !errors.As(err, &syntax) {
		return fileProblem(name, 1, "is not valid TOML: "+err.Error(), "")
	}
	what := strings.TrimSuffix(syntax.Message, ".")
	return fileProblem(name, max(1, syntax.Position.Line), "is not valid TOML: "+what, "")
}

// add takes the problems that the owner of the section at prefix found. Those at a place that
// could not be decoded only repeat what is known.
func (f *file) add(prefix string, err error) {
	var found problem.List
	found.Under(prefix, err)
	for _, p := range found {
		if !f.decoder.isBlamed(p.Path) {
			f.place(problem.List{p})
		}
	}
}

// place adds problems with their lines.
func (f *file) place(found problem.List) {
	for _, p := range found {
		f.problems = append(f.problems, Problem{File: f.name, Line: f.index.line(p.Path), Problem: p})
	}
}

// blame keeps what is checked later from repeating the problems of err.
func (f *file) blame(err error) {
	found, _ := errors.AsType[problem.List](err)
	for _, p := range found {
		f.decoder.blamed[p.Path] = true
	}
}

// isBlamed says whether path, or something around it, has a problem already.
func (d *decoder) isBlamed(path string) bool {
	for path != "" {
		if d.blamed[path] {
			return true
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return false
}
