package admin

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// Whatever a browser keeps as its choice, the table has all known columns, each once, at least one shown.
func FuzzColumns(f *testing.F) {
	for _, seed := range []string{"", "name", "name.-uuid.status", "-name.-status", "name.name.-name", "--ip", "ip..mac", strings.Repeat("name.", 100), "x.\x00.<b>"} {
		f.Add(seed)
	}
	sorted := func(list []choice) []string {
		var ids []string
		for _, c := range list {
			ids = append(ids, c.ID)
		}
		slices.Sort(ids)
		return ids
	}
	f.Fuzz(func(t *testing.T, text string) {
		list := parseColumns(text)
		if !slices.Equal(sorted(list), sorted(clusterColumns)) || len(shownColumns(list)) == 0 {
			t.Fatalf("%q: %v", text, list)
		}
		kept := formatColumns(list)
		if again := parseColumns(kept); !slices.Equal(again, list) || len(kept) > maxColumns {
			t.Fatalf("%v became %v", list, again)
		}
	})
}

// Whatever an address asks for, the store is asked for a list that it can make, and the links of the
// page lead to what they say.
func FuzzJobQuery(f *testing.F) {
	for _, seed := range []string{"", "state=pending&kind=center+scan&site=2&order=kind&up=1&page=3&refresh=on", "page=19", "page=20", "page=2&after=j1&skip=950", "skip=-1", "skip=x", "site=0", "site=99999999999999999999", "order=run_at;", "kind=%00%ff", "state=pending&state=x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		v, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		q, err := parseJobQuery(v)
		if err != nil {
			if statusOf(err) != http.StatusBadRequest {
				t.Fatalf("%q: %v", raw, err)
			}
			return
		}
		if _, err := q.filter().Check(); err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		link, err := url.Parse(q.with(func(*jobQuery) {}))
		if err != nil {
			t.Fatal(err)
		}
		if again, err := parseJobQuery(link.Query()); err != nil || again != q {
			t.Fatalf("%+v became %+v, %v", q, again, err)
		}
	})
}

// After the sign-in a browser never leaves the console, as browsers understand addresses.
func FuzzNext(f *testing.F) {
	for _, seed := range []string{"/console/jobs?page=2", "//x/console/", `/\x/console/`, "/console/../x", "/console/%2e%2e/x", "http:/console/", "/console//x", "/console/\t/x", "/console/%5c..%5cx"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, next string) {
		got := safeNext(next)
		u, err := url.Parse(got)
		if err != nil || u.Host != "" || u.Scheme != "" {
			t.Fatalf("%q: %q", next, got)
		}
		base, err := url.Parse("https://node.example/console/signin")
		if err != nil {
			t.Fatal(err)
		}
		if to := base.ResolveReference(u); to.Host != "node.example" || !strings.HasPrefix(to.Path, consolePath) {
			t.Fatalf("%q leads to %s", next, to)
		}
	})
}

// Whatever stands in the cookie of a note, it is a short text.
func FuzzNote(f *testing.F) {
	for _, seed := range []string{"", "The job was cancelled.", strings.Repeat("é", 400), "<script>", "\xff"} {
		f.Add(base64.RawURLEncoding.EncodeToString([]byte(seed)))
	}
	f.Fuzz(func(t *testing.T, value string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/console/", http.NoBody)
		r.Header["Cookie"] = []string{cookieNote + "=" + value}
		note := takeNote(httptest.NewRecorder(), r)
		if len(note) > maxNote || !utf8.ValidString(note) {
			t.Fatalf("%q", note)
		}
		w := httptest.NewRecorder()
		leaveNote(w, note+strings.Repeat("é", maxNote))
		kept := &http.Request{Header: http.Header{"Cookie": {strings.SplitN(w.Header().Get("Set-Cookie"), ";", 2)[0]}}}
		if back := takeNote(httptest.NewRecorder(), kept); !utf8.ValidString(back) || len(back) < maxNote-3 {
			t.Fatalf("a long note became %q", back)
		}
	})
}
