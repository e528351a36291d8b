package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
)

const maxLines = 600

// vagueNames say nothing about what is inside.
var vagueNames = []string{"base", "common", "helper", "helpers", "misc", "mocks", "shared", "types", "util", "utils"}

func TestRuleOnePackageComment(t *testing.T) {
	for _, p := range modulePackages(t) {
		complain(t, packageCommentComplaints(p.name(), mustParse(t, p, p.files(p.GoFiles, p.IgnoredGoFiles, p.TestGoFiles))))
		if len(p.XTestGoFiles) > 0 {
			for _, file := range mustParse(t, p, p.files(p.XTestGoFiles)).files {
				if file.Doc != nil {
					t.Errorf("%s: the package comment belongs into the package itself", p.name())
				}
			}
		}
	}
}

func TestRuleSourceFiles(t *testing.T) {
	for _, p := range modulePackages(t) {
		if slices.Contains(vagueNames, path.Base(p.ImportPath)) {
			t.Errorf("%s: name the package for what it does", p.name())
		}
		for _, file := range p.all() {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			complain(t, lengthComplaints(shortPath(file), text))
		}
	}
}

func TestRuleNoInitNoPackageState(t *testing.T) {
	for _, p := range modulePackages(t) {
		src := mustParse(t, p, p.sources())
		complain(t, initComplaints(src))
		complain(t, stateComplaints(src))
	}
}

func TestRulesOfSourceFindBreaches(t *testing.T) {
	wantComplaints(t, lengthComplaints("a.go", bytes.Repeat([]byte("x\n"), maxLines)))
	wantComplaints(t, lengthComplaints("a.go", bytes.Repeat([]byte("x\n"), maxLines+1)),
		"a.go has 601 lines; split it, 600 is the limit")
	wantComplaints(t, packageCommentComplaints("sample", parseSample(t, "// Package sample is one.\npackage sample")))
	wantComplaints(t, packageCommentComplaints("sample", parseSample(t, "package sample")),
		"sample has 0 package comments, want exactly one")
	wantComplaints(t, initComplaints(parseSample(t, "package sample\ntype T int\nfunc (T) init() {}\nfunc init() {}")),
		"sample.go:4: func init hides when it runs; call a function instead")
}

func TestRulePackageStateFindsBreaches(t *testing.T) {
	for _, ok := range []string{
		`var errGone = errors.New("gone")`,
		`var ErrBusy = fmt.Errorf("limit %d", 3)`,
		`var form = regexp.MustCompile("a+")`,
		`var page = template.Must(template.New("x").Parse("y"))`,
		`var _ fmt.Stringer = (*T)(nil)`,
		`var table = map[string]int{"a": 1}`,
		`var table = []T{{1}}; func f() int { table := []int{1}; table[0] = 2; return table[0] }`,
		`var lead = &T{}`,
		`var version string // set by the linker`,
		`var crlf = []byte("\r\n")`,
		"//go:embed x\nvar files embed.FS",
	} {
		wantComplaints(t, stateComplaints(parseSample(t, "package sample\n"+ok)))
	}
	for text, want := range map[string]string{
		`var count int`:                                                  "sample.go:2: package variable count has no initial value: state belongs into a struct",
		`var mu sync.Mutex`:                                              "sample.go:2: package variable mu has no initial value: state belongs into a struct",
		`var cache = make(map[string]int)`:                               "sample.go:2: package variable cache is made by make: state belongs into a struct",
		`var hook = func() {}`:                                           "sample.go:2: package variable hook is neither a constant table nor a known immutable value",
		`var limit = 5`:                                                  "sample.go:2: package variable limit could be a constant",
		`var t = []int{1}; func f() { t[0] = 2 }`:                        "sample.go:2: package variable t is changed here",
		`var t = map[int]int{}; func f() { t[1]++ }`:                     "sample.go:2: package variable t is changed here",
		`var t = []int{1}; func f() { t = append(t, 1) }`:                "sample.go:2: package variable t is changed here",
		`var t = T{}; type T struct{ n int }; func f() *T { return &t }`: "sample.go:2: package variable t is changed here",
		`var t = map[int]int{1: 1}; func f() { delete(t, 1) }`:           "sample.go:2: package variable t is changed here",
	} {
		wantComplaints(t, stateComplaints(parseSample(t, "package sample\n"+text)), want)
	}
}

func packageCommentComplaints(name string, p *parsed) []string {
	comments := 0
	for _, file := range p.files {
		if file.Doc != nil {
			comments++
		}
	}
	if comments != 1 {
		return []string{fmt.Sprintf("%s has %d package comments, want exactly one", name, comments)}
	}
	return nil
}

func lengthComplaints(name string, text []byte) []string {
	if lines := bytes.Count(text, []byte("\n")); lines > maxLines {
		return []string{fmt.Sprintf("%s has %d lines; split it, %d is the limit", name, lines, maxLines)}
	}
	return nil
}

func initComplaints(p *parsed) []string {
	var complaints []string
	for _, file := range p.files {
		for _, decl := range file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				complaints = append(complaints, p.place(fn.Pos())+": func init hides when it runs; call a function instead")
			}
		}
	}
	return complaints
}

// stateComplaints refuses package variables that are, or may become, mutable
// state. Allowed are values of immutable makers, composite literals that no
// code of the package changes, embedded files, checks named _, and the version
// that the linker sets.
func stateComplaints(p *parsed) []string {
	var complaints []string
	for _, file := range p.files {
		for _, decl := range file.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			for _, spec := range gen.Specs {
				value, ok := spec.(*ast.ValueSpec)
				if !ok {
					continue
				}
				embedded := hasEmbed(gen.Doc) || hasEmbed(value.Doc)
				for i, name := range value.Names {
					if why := p.stateOf(value, i, embedded); why != "" {
						complaints = append(complaints, fmt.Sprintf("%s: package variable %s %s", p.place(name.Pos()), name.Name, why))
					}
				}
			}
		}
	}
	return append(complaints, changeComplaints(p)...)
}

func hasEmbed(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool {
		return strings.HasPrefix(c.Text, "//go:embed ")
	})
}

// stateOf says why the i-th variable of a declaration is state, or "".
func (p *parsed) stateOf(value *ast.ValueSpec, i int, embedded bool) string {
	name := value.Names[i].Name
	switch {
	case name == "_" || embedded:
		return ""
	case len(value.Values) == 0 && name == "version":
		return ""
	case len(value.Values) != len(value.Names):
		return "has no initial value: state belongs into a struct"
	}
	if p.info.Types[value.Values[i]].Value != nil {
		return "could be a constant"
	}
	return makerOf(value.Values[i])
}

// immutableMakers return values that nobody changes afterwards.
var immutableMakers = []string{
	"errors.New", "fmt.Errorf", "regexp.MustCompile", "template.Must", "template.HTML", "strings.NewReplacer", "reflect.TypeFor",
	"prometheus.NewDesc", "netip.MustParsePrefix", "netip.MustParseAddr", "netip.AddrFrom4", "uuid.MustParse", "time.Unix",
}

func makerOf(value ast.Expr) string {
	switch v := value.(type) {
	case *ast.CompositeLit:
		return ""
	case *ast.UnaryExpr:
		if _, ok := v.X.(*ast.CompositeLit); ok && v.Op == token.AND {
			return ""
		}
	case *ast.CallExpr:
		switch name := types.ExprString(indexed(v.Fun)); {
		case name == "[]byte", slices.Contains(immutableMakers, name):
			return ""
		case name == "make" || name == "new":
			return "is made by " + name + ": state belongs into a struct"
		}
	}
	return "is neither a constant table nor a known immutable value"
}

// indexed takes the type argument off a generic function's name.
func indexed(fun ast.Expr) ast.Expr {
	if index, ok := fun.(*ast.IndexExpr); ok {
		return index.X
	}
	return fun
}

// changeComplaints finds code that assigns to a package variable, to part of
// one, or takes its address.
func changeComplaints(p *parsed) []string {
	var complaints []string
	changed := func(e ast.Expr) {
		name := rootName(e)
		if name == nil || p.pkg == nil {
			return
		}
		if obj, ok := p.info.Uses[name].(*types.Var); ok && obj.Parent() == p.pkg.Scope() {
			complaints = append(complaints, fmt.Sprintf("%s: package variable %s is changed here", p.place(e.Pos()), name.Name))
		}
	}
	for _, file := range p.files {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				for _, left := range n.Lhs {
					changed(left)
				}
			case *ast.IncDecStmt:
				changed(n.X)
			case *ast.RangeStmt:
				changed(n.Key)
				changed(n.Value)
			case *ast.UnaryExpr:
				if n.Op == token.AND {
					changed(n.X)
				}
			case *ast.CallExpr:
				if fun, ok := n.Fun.(*ast.Ident); ok && (fun.Name == "delete" || fun.Name == "clear") && len(n.Args) > 0 {
					changed(n.Args[0])
				}
			}
			return true
		})
	}
	return complaints
}

// rootName returns the variable that an expression such as a.b[c].d is part of.
func rootName(e ast.Expr) *ast.Ident {
	switch e := e.(type) {
	case *ast.Ident:
		return e
	case *ast.IndexExpr:
		return rootName(e.X)
	case *ast.SelectorExpr:
		return rootName(e.X)
	case *ast.StarExpr:
		return rootName(e.X)
	case *ast.ParenExpr:
		return rootName(e.X)
	}
	return nil
}
