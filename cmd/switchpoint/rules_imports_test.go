package main

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
)

// houseRows is who may import whom: a room imports rooms of the rows above it,
// its own subpackages and the leaves internal/problem, internal/secret, internal/keptfile,
// internal/linefile and internal/ownca. Rooms of one row do not know each other. A room below broker is a room of its own.
var houseRows = [][]string{
	{"healthcheck", "redirect", "directory", "peer"},
	{"gtm", "lb", "broker"},
	{"broker/api", "broker/client", "broker/jobs", "broker/outage", "broker/postgres", "broker/sqlite", "broker/storetest"},
	{"configs"},
	{"importer", "bench"},
	{"admin"},
	{"cmd/switchpoint"},
}

// leaves are what every room may import.
var leaves = []string{"internal/problem", "internal/secret", "internal/keptfile", "internal/linefile", "internal/ownca"}

// sideDoors are the imports within a row that are meant to be.
var sideDoors = map[string][]string{
	"broker/outage": {"broker/sqlite"}, // the host cache is a SQLite file
	"broker/client": {"broker/api"},    // the thin client speaks the API's messages
}

// edgeLibraries stay in these folders and files, so that a switch to another
// library is cheap. Tests may use any of them.
var edgeLibraries = []struct {
	library string
	places  []string // folder, folder/..., or file
}{
	{"github.com/miekg/dns", []string{"gtm", "healthcheck/probe_dns.go", "bench/...", "internal/realserver/dns.go"}},
	{"github.com/valyala/fasthttp", []string{"lb", "bench/..."}},
	{"github.com/jackc/pgx", []string{"broker/postgres", "healthcheck/probe_postgres.go"}},
	{"github.com/go-ldap/ldap", []string{"directory/...", "healthcheck/probe_ldap.go", "internal/realserver"}},
	{"github.com/jimlambrt/gldap", []string{"directory/demodir"}},
	{"github.com/BurntSushi/toml", []string{"configs"}},
	{"modernc.org/sqlite", []string{"broker/sqlite", "broker/outage"}},
	{"github.com/pressly/goose", []string{"broker/sqlite", "broker/postgres"}},
	{"github.com/spf13/cobra", []string{"cmd/switchpoint"}},
}

func TestRuleImportOrder(t *testing.T) {
	for _, p := range modulePackages(t) {
		complain(t, importComplaints(p))
	}
}

func TestRuleImportOrderFindsBreaches(t *testing.T) {
	own := func(names ...string) []string {
		for i := range names {
			names[i] = "switchpoint/" + names[i]
		}
		return names
	}
	for name, tc := range map[string]struct {
		p    pkg
		want []string
	}{
		"upwards is fine":       {pkg{ImportPath: "switchpoint/gtm", Imports: own("healthcheck", "healthcheck/isalive", "internal/problem")}, nil},
		"own subpackage":        {pkg{ImportPath: "switchpoint/healthcheck", Imports: own("healthcheck/isalive")}, nil},
		"side door":             {pkg{ImportPath: "switchpoint/broker/outage", Imports: own("broker", "broker/sqlite")}, nil},
		"test helpers in tests": {pkg{ImportPath: "switchpoint/lb", TestImports: own("internal/covers", "internal/realserver")}, nil},
		"store in broker tests": {pkg{ImportPath: "switchpoint/broker", XTestImports: own("broker/sqlite")}, nil},
		"same row":              {pkg{ImportPath: "switchpoint/gtm", Imports: own("lb")}, []string{"gtm may not import lb"}},
		"broker from lb":        {pkg{ImportPath: "switchpoint/lb", Imports: own("broker/api")}, []string{"lb may not import broker/api"}},
		"gtm tests use lb":      {pkg{ImportPath: "switchpoint/gtm", TestImports: own("lb")}, []string{"tests of gtm may not import lb"}},
		"rooms of row one":      {pkg{ImportPath: "switchpoint/redirect", Imports: own("healthcheck")}, []string{"redirect may not import healthcheck"}},
		"downwards":             {pkg{ImportPath: "switchpoint/broker", Imports: own("broker/sqlite")}, []string{"broker may not import broker/sqlite"}},
		"stores":                {pkg{ImportPath: "switchpoint/broker/sqlite", Imports: own("broker/postgres")}, []string{"broker/sqlite may not import broker/postgres"}},
		"test helper shipped":   {pkg{ImportPath: "switchpoint/admin", Imports: own("internal/realserver")}, []string{"admin may not import internal/realserver"}},
		"unknown room":          {pkg{ImportPath: "switchpoint/util"}, []string{"util is not a room of the house: give it a row in houseRows"}},
	} {
		t.Run(name, func(t *testing.T) { wantComplaints(t, importComplaints(tc.p), tc.want...) })
	}
}

func TestRuleEdgeLibraries(t *testing.T) {
	for _, p := range modulePackages(t) {
		src := mustParse(t, p, p.sources())
		for _, file := range src.files {
			name := path.Join(p.name(), path.Base(src.fset.Position(file.Package).Filename))
			for _, imp := range file.Imports {
				complain(t, edgeComplaints(name, strings.Trim(imp.Path.Value, `"`)))
			}
		}
	}
}

func TestRuleEdgeLibrariesFindsBreaches(t *testing.T) {
	for _, ok := range [][2]string{
		{"gtm/zonefile.go", "github.com/miekg/dns"},
		{"healthcheck/probe_dns.go", "github.com/miekg/dns"},
		{"bench/peers/knot.go", "github.com/miekg/dns"},
		{"directory/demodir/tree.go", "github.com/go-ldap/ldap/v3"},
		{"gtm/table.go", "github.com/gaissmai/bart"},
	} {
		wantComplaints(t, edgeComplaints(ok[0], ok[1]))
	}
	wantComplaints(t, edgeComplaints("healthcheck/engine.go", "github.com/miekg/dns"),
		"healthcheck/engine.go imports github.com/miekg/dns, which belongs in gtm, healthcheck/probe_dns.go, bench/..., internal/realserver/dns.go")
	wantComplaints(t, edgeComplaints("broker/api/api.go", "github.com/jackc/pgx/v5/pgxpool"),
		"broker/api/api.go imports github.com/jackc/pgx/v5/pgxpool, which belongs in broker/postgres, healthcheck/probe_postgres.go")
}

// importComplaints checks what a package and its tests import of ours.
func importComplaints(p pkg) []string {
	var complaints []string
	from := p.name()
	if !inHouse(from) {
		if _, known := rowOf(from); !known {
			return []string{from + " is not a room of the house: give it a row in houseRows"}
		}
	}
	for _, imp := range ours(p.Imports) {
		if !mayImport(from, imp) {
			complaints = append(complaints, fmt.Sprintf("%s may not import %s", from, imp))
		}
	}
	for _, imp := range ours(slices.Concat(p.TestImports, p.XTestImports)) {
		if !testMayImport(from, imp) {
			complaints = append(complaints, fmt.Sprintf("tests of %s may not import %s", from, imp))
		}
	}
	return complaints
}

func ours(imports []string) []string {
	var names []string
	for _, imp := range imports {
		if name, ok := strings.CutPrefix(imp, "switchpoint/"); ok {
			names = append(names, name)
		}
	}
	return names
}

// inHouse reports whether a package stands outside the rows: what all may use,
// and what serves tests only.
func inHouse(name string) bool { return strings.HasPrefix(name, "internal/") }

func mayImport(from, to string) bool {
	switch {
	case slices.Contains(leaves, to):
		return true
	case inHouse(from):
		return strings.HasPrefix(from, to+"/") // internal/covers/report reads internal/covers
	case inHouse(to):
		return false
	}
	a, b := roomOf(from), roomOf(to)
	rowA, knownA := rowOf(from)
	rowB, knownB := rowOf(to)
	return knownA && knownB && (a == b || rowB < rowA || slices.Contains(sideDoors[a], b))
}

// testMayImport is wider: a room's tests may also use the test helpers, rooms
// of the same row, and what stands below the room's own folder. Only gtm, lb
// and broker stay apart even there.
func testMayImport(from, to string) bool {
	if inHouse(to) || mayImport(from, to) {
		return true
	}
	if strings.HasPrefix(to, from+"/") {
		return true
	}
	rowA, knownA := rowOf(from)
	rowB, knownB := rowOf(to)
	return knownA && knownB && rowA == rowB && rowA != 1
}

// roomOf returns the room that a package belongs to: the longest one listed.
func roomOf(name string) string {
	room := ""
	for _, rooms := range houseRows {
		for _, r := range rooms {
			if (name == r || strings.HasPrefix(name, r+"/")) && len(r) > len(room) {
				room = r
			}
		}
	}
	return room
}

func rowOf(name string) (row int, known bool) {
	room := roomOf(name)
	for i, rooms := range houseRows {
		if slices.Contains(rooms, room) {
			return i, true
		}
	}
	return 0, false
}

func edgeComplaints(file, imported string) []string {
	for _, edge := range edgeLibraries {
		if imported != edge.library && !strings.HasPrefix(imported, edge.library+"/") {
			continue
		}
		allowed := slices.ContainsFunc(edge.places, func(place string) bool {
			tree, whole := strings.CutSuffix(place, "/...")
			return file == place || path.Dir(file) == place || whole && strings.HasPrefix(file, tree+"/")
		})
		if !allowed {
			return []string{fmt.Sprintf("%s imports %s, which belongs in %s", file, imported, strings.Join(edge.places, ", "))}
		}
	}
	return nil
}
