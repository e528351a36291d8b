package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The rules_*_test.go files hold the rules that every folder of this module
// keeps. A rule is a function that returns complaints, tried here on samples
// that break it and then on the module itself.

// moduleRoot is the folder of go.mod, as seen from this package's tests.
const moduleRoot = "../.."

// pkg is one package as `go list` describes it.
type pkg struct {
	ImportPath   string
	Dir          string
	GoFiles      []string
	TestGoFiles  []string
	XTestGoFiles []string
	Imports      []string
	TestImports  []string
	XTestImports []string

	// Files of other systems or build tags.
	IgnoredGoFiles []string
}

func (p pkg) files(lists ...[]string) []string {
	var paths []string
	for _, name := range slices.Concat(lists...) {
		paths = append(paths, filepath.Join(p.Dir, name))
	}
	return paths
}

// sources are the files that end up in the program.
func (p pkg) sources() []string { return p.files(p.GoFiles, p.IgnoredGoFiles) }

func (p pkg) all() []string {
	return p.files(p.GoFiles, p.IgnoredGoFiles, p.TestGoFiles, p.XTestGoFiles)
}

// name is the package's path within the module.
func (p pkg) name() string { return strings.TrimPrefix(p.ImportPath, "switchpoint/") }

func modulePackages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json", "./...")
	cmd.Dir = moduleRoot
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		pkgs = append(pkgs, p)
	}
	if len(pkgs) == 0 {
		t.Fatal("go list names no package")
	}
	return pkgs
}

// parsed is the source of one package with the meaning of its own names;
// names of imported packages are not resolved.
type parsed struct {
	fset  *token.FileSet
	files []*ast.File
	pkg   *types.Package
	info  *types.Info
}

// parsePackage parses files; text, when not nil, replaces the first file's
// content, for samples.
func parsePackage(path string, files []string, text any) (*parsed, error) {
	p := &parsed{fset: token.NewFileSet()}
	for _, name := range files {
		file, err := parser.ParseFile(p.fset, name, text, parser.ParseComments)
		if err != nil {
			return nil, fmt.Errorf("parse: %w", err)
		}
		p.files = append(p.files, file)
	}
	p.info = &types.Info{
		Defs:  make(map[*ast.Ident]types.Object),
		Uses:  make(map[*ast.Ident]types.Object),
		Types: make(map[ast.Expr]types.TypeAndValue),
	}
	// What is imported stays unknown, so errors are expected and say nothing.
	conf := types.Config{Error: func(error) {}, Importer: noImports{}}
	p.pkg, _ = conf.Check(path, p.fset, p.files, p.info)
	return p, nil
}

func mustParse(t *testing.T, p pkg, files []string) *parsed {
	t.Helper()
	got, err := parsePackage(p.ImportPath, files, nil)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func parseSample(t *testing.T, text string) *parsed {
	t.Helper()
	got, err := parsePackage("switchpoint/sample", []string{"sample.go"}, text)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

type noImports struct{}

func (noImports) Import(path string) (*types.Package, error) {
	return nil, fmt.Errorf("%s is not loaded", path)
}

// place names a position as folder/file.go:line.
func (p *parsed) place(pos token.Pos) string {
	position := p.fset.Position(pos)
	return fmt.Sprintf("%s:%d", shortPath(position.Filename), position.Line)
}

func shortPath(path string) string {
	root, err := filepath.Abs(moduleRoot)
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(root, path); err == nil && filepath.IsAbs(path) {
		return rel
	}
	return path
}

// complain fails the test with each complaint on a line of its own.
func complain(t *testing.T, complaints []string) {
	t.Helper()
	for _, c := range complaints {
		t.Error(c)
	}
}

// wantComplaints checks what a rule says about a sample.
func wantComplaints(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("complaints:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}
