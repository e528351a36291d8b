package sites

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"
)

func rootDSE(name string) *ldap.SearchResult {
	return &ldap.SearchResult{Entries: []*ldap.Entry{ldap.NewEntry("", map[string][]string{"configurationNamingContext": {name}})}}
}

func TestCollectFromAnOddServer(t *testing.T) {
	big := make([]*ldap.Entry, maxEntries/10)
	for i := range big {
		big[i] = ldap.NewEntry("CN=x", nil)
	}
	cookie := ldap.NewControlPaging(pageSize)
	cookie.SetCookie([]byte("more"))
	for want, answer := range map[string]func(*ldap.SearchRequest) (*ldap.SearchResult, error){
		"no domain controller": func(*ldap.SearchRequest) (*ldap.SearchResult, error) { return &ldap.SearchResult{}, nil },
		"no configurationNamingContext": func(*ldap.SearchRequest) (*ldap.SearchResult, error) {
			return rootDSE(""), nil
		},
		"read the root DSE: broken": func(*ldap.SearchRequest) (*ldap.SearchResult, error) { return nil, errors.New("broken") },
		"read sites: broken": func(r *ldap.SearchRequest) (*ldap.SearchResult, error) {
			if r.BaseDN == "" {
				return rootDSE(testConfig), nil
			}
			return nil, errors.New("broken")
		},
		"more than 200000 sites": func(r *ldap.SearchRequest) (*ldap.SearchResult, error) {
			if r.BaseDN == "" {
				return rootDSE(testConfig), nil
			}
			return &ldap.SearchResult{Entries: big, Controls: []ldap.Control{cookie}}, nil // page after page
		},
	} {
		if _, err := collect(answer); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestRemainingValues(t *testing.T) {
	answer := func(attrs ...string) searchFunc {
		return func(*ldap.SearchRequest) (*ldap.SearchResult, error) {
			name := attrs[0]
			attrs = append(attrs[1:], name) // the last one again and again
			return &ldap.SearchResult{Entries: []*ldap.Entry{ldap.NewEntry("CN=l", map[string][]string{name: {name}})}}, nil
		}
	}
	got, err := remaining(answer("siteList;range=2-3", "SITELIST;Range=4-*"), "CN=l", "sitelist", "0-1")
	if err != nil || fmt.Sprint(got) != "[siteList;range=2-3 SITELIST;Range=4-*]" {
		t.Errorf("two more answers: %v, %v", got, err)
	}
	for name, tc := range map[string]struct {
		first  string
		search searchFunc
		want   string
	}{
		"no number":         {"0-x", answer("siteList;range=2-*"), `the range "0-x"`},
		"no range":          {"7", answer("siteList;range=2-*"), `the range "7"`},
		"endless":           {"0-99999999", answer("siteList;range=2-*"), "the range"},
		"goes back":         {"0-1", answer("siteList;range=2-1"), `the range "2-1"`},
		"starts elsewhere":  {"0-1", answer("siteList;range=3-*"), "does not give the values from 2 on"},
		"another attribute": {"0-1", answer("siteLinkList;range=2-*"), "does not give the values from 2 on"},
		"nothing":           {"0-1", func(*ldap.SearchRequest) (*ldap.SearchResult, error) { return &ldap.SearchResult{}, nil }, "does not give"},
		"an error":          {"0-1", func(*ldap.SearchRequest) (*ldap.SearchResult, error) { return nil, errors.New("broken") }, "broken"},
	} {
		if _, err := remaining(tc.search, "CN=l", "sitelist", tc.first); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}
