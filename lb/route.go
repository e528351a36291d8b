package lb

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
)

// maxHost bounds the names that are looked up: no DNS name is longer (RFC 1035 2.3.4).
const maxHost = 255

// routeTable finds the route of a request: host -> paths, the longest first. It is immutable.
type routeTable struct {
	exact map[string][]pathRoute
	wild  map[string][]pathRoute // by suffix, without "*."
	any   []pathRoute
}

// pathRoute is a prefix and where it leads.
type pathRoute struct {
	name     string // host and path, for people
	path     string // without a slash at its end; empty: any
	pool     int    // index in Table.pools
	redirect *redirect
}

// compileRoutes takes routes that passed validation. pools are the indexes of the pools' names.
func compileRoutes(routes []Route, pools map[string]int) routeTable {
	t := routeTable{exact: make(map[string][]pathRoute), wild: make(map[string][]pathRoute)}
	for _, r := range routes {
		one := pathRoute{name: r.Host + cmp.Or(r.Path, "/"), path: trimPath(r.Path), pool: pools[r.Pool]}
		if r.Redirect != "" {
			one.redirect = &redirect{to: r.Redirect, status: r.RedirectStatus, keepPath: !hasPath(r.Redirect)}
		}
		host := normalHost(r.Host)
		switch suffix, wild := strings.CutPrefix(host, "*."); {
		case wild:
			t.wild[suffix] = append(t.wild[suffix], one)
		case host != "":
			t.exact[host] = append(t.exact[host], one)
		default:
			t.any = append(t.any, one)
		}
	}
	for _, paths := range t.exact {
		sortPaths(paths)
	}
	for _, paths := range t.wild {
		sortPaths(paths)
	}
	sortPaths(t.any)
	return t
}

func sortPaths(paths []pathRoute) {
	slices.SortStableFunc(paths, func(a, b pathRoute) int { return len(b.path) - len(a.path) })
}

func trimPath(path string) string { return strings.TrimRight(path, "/") }

func normalHost(host string) string { return strings.TrimSuffix(strings.ToLower(host), ".") }

// find gives the route of a request with this Host, port included, and this path; nil where the
// listener's own pool takes it. It does not allocate.
func (t *routeTable) find(host, path []byte) *pathRoute {
	if len(t.exact)+len(t.wild) > 0 {
		var space [maxHost]byte
		name := lowerHost(space[:0], host)
		if r := findPath(t.exact[string(name)], path); r != nil {
			return r
		}
		for rest := name; len(t.wild) > 0; {
			_, after, more := cutByte(rest, '.')
			if !more {
				break
			}
			if r := findPath(t.wild[string(after)], path); r != nil {
				return r
			}
			rest = after
		}
	}
	return findPath(t.any, path)
}

func findPath(routes []pathRoute, path []byte) *pathRoute {
	for i := range routes {
		if under(path, routes[i].path) {
			return &routes[i]
		}
	}
	return nil
}

// under says whether path is prefix or lies below it.
func under(path []byte, prefix string) bool {
	return len(path) >= len(prefix) && string(path[:len(prefix)]) == prefix &&
		(len(path) == len(prefix) || path[len(prefix)] == '/' || prefix == "")
}

// lowerHost appends the name in host, which is checked: lower case, without the port and the dot
// of the root. What is too long to be a name gives none.
func lowerHost(dst, host []byte) []byte {
	if len(host) > 0 && host[0] == '[' {
		if end := bytes.IndexByte(host, ']'); end > 0 {
			host = host[:end+1]
		}
	} else if i := bytes.LastIndexByte(host, ':'); i >= 0 {
		host = host[:i]
	}
	if len(host) > 0 && host[len(host)-1] == '.' {
		host = host[:len(host)-1]
	}
	if len(host) > maxHost {
		return dst
	}
	for _, c := range host {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// pathOf is a target without its query.
func pathOf(target []byte) []byte {
	path, _, _ := cutByte(target, '?')
	return path
}
