package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"switchpoint/admin"
	adsites "switchpoint/directory/sites"
)

// exportOf is an LDIF export of two sites and n subnets.
func exportOf(n int) string {
	var b strings.Builder
	const below = "CN=Sites,CN=Configuration,DC=corp,DC=test"
	for _, s := range []string{"us", "uk"} {
		fmt.Fprintf(&b, "dn: CN=%s,%s\nobjectClass: site\n\n", s, below)
	}
	for i := range n {
		fmt.Fprintf(&b, "dn: CN=10.%d.0.0/16,CN=Subnets,%s\nobjectClass: subnet\nsiteObject: CN=us,%s\n\n", i+1, below, below)
	}
	return b.String()
}

// TestSitesRoutes: a change above the limit waits, is shown, and is taken by its id alone.
func TestSitesRoutes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sites.ldif")
	write := func(n int) {
		t.Helper()
		if err := os.WriteFile(file, []byte(exportOf(n)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(1)
	w, err := adsites.New(adsites.Options{LDIF: file, Refresh: 20 * time.Millisecond, ApproveAbove: 2})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	a := &app{adSites: w}
	lines := func(op admin.Operation, query url.Values) string {
		t.Helper()
		out, err := op(t.Context(), admin.Request{Query: query})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(out.(explanation).Lines, "\n")
	}
	await := func(op admin.Operation, want string) string {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			text := lines(op, nil)
			if strings.Contains(text, want) {
				return text
			}
			if time.Now().After(deadline) {
				t.Fatalf("no %q in\n%s", want, text)
			}
		}
	}
	await(a.showSites, "+ in use: 2 sites, 1 subnets, 0 site links of ")
	if text := lines(a.showSitesDiff, nil); text != "no change waits for approval" {
		t.Error(text)
	}
	write(9)
	_, id, _ := strings.Cut(await(a.showSites, "8 changed subnets wait for approval"), "gtm sites approve ")
	id = strings.TrimSuffix(id, "`")
	if text := lines(a.showSitesDiff, nil); !strings.Contains(text, "subnet 10.9.0.0/16 added to site us") || !strings.Contains(text, "approve "+id) {
		t.Error(text)
	}
	for given, status := range map[string]int{"": http.StatusBadRequest, "12345678": http.StatusConflict} {
		_, err := a.approveSites(t.Context(), admin.Request{Query: url.Values{"id": {given}}})
		var refused *admin.Error
		if !errors.As(err, &refused) || refused.Status != status {
			t.Errorf("id %q: %v", given, err)
		}
	}
	if text := lines(a.approveSites, url.Values{"id": {id}}); !strings.Contains(text, "taken: "+id) || !strings.Contains(text, "9 subnets") {
		t.Error(text)
	}
	if err := os.WriteFile(file, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	await(a.showSites, "- the last read, at ")
}
