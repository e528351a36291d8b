package lb

import (
	"fmt"
	"strings"

	"switchpoint/internal/problem"
	"switchpoint/lb/choice"
)

// Class is a [[lb.pool.class]]: requests whose latency is averaged apart from all others, since
// they are dearer or cheaper (LB2). The first class that fits a request counts.
type Class struct {
	Name   string `toml:"name"`
	Method string `toml:"method"` // "POST"; empty: any
	// Path is a prefix that ends where a segment ends, as that of a route. Empty: any.
	Path string `toml:"path"`
}

// defaultClasses are those of a pool that names none: a login costs a broker many times what
// everything else does.
func defaultClasses() []Class {
	return []Class{{Name: "login", Method: "POST", Path: "/api/v1/login"}}
}

// maxPoolClasses is what a pool may name; requests that fit none are a class of their own.
const maxPoolClasses = choice.MaxClasses - 1

// classTable finds the class of a request. It is immutable.
type classTable []Class

func (p Pool) classTable() classTable {
	t := make(classTable, 0, len(p.Classes))
	for _, c := range p.Classes {
		c.Path = trimPath(c.Path)
		t = append(t, c)
	}
	return t
}

// find gives the class of a request with this method (empty: whatever the class wants) and path.
func (t classTable) find(method, path []byte) choice.Class {
	for i := range t {
		c := &t[i]
		if (c.Method == "" || len(method) == 0 || string(method) == c.Method) && under(path, c.Path) {
			return choice.Class(i + 1) // #nosec G115 -- at most maxPoolClasses
		}
	}
	return 0
}

// name is what people call a class.
func (t classTable) name(class choice.Class) string {
	if class == 0 {
		return "other"
	}
	return t[class-1].Name
}

func (p Pool) validateClasses() error {
	var list problem.List
	if len(p.Classes) > maxPoolClasses {
		list.Addf("class", fmt.Sprintf("keep the %d that differ most in their cost", maxPoolClasses), "there are %d classes", len(p.Classes))
	}
	names := make(map[string]int)
	for i, c := range p.Classes {
		path := fmt.Sprintf("class[%d]", i)
		unique(&list, names, i, path+".name", "class name", c.Name)
		if c.Name == classTable(nil).name(0) {
			list.Addf(path+".name", "use another one", "%q is what the requests of no class are called", c.Name)
		}
		if c.Method != "" && !isMethod(c.Method) {
			list.Addf(path+".method", `write it in capital letters, for example "POST"`, "%q is no method", c.Method)
		}
		if c.Path != "" && (c.Path[0] != '/' || !isPath([]byte(c.Path))) {
			list.Addf(path+".path", `write a path, for example "/api/v1/login"`, "%q is no prefix of a path", c.Path)
		}
		if c.Method == "" && trimPath(c.Path) == "" {
			list.Addf(path, "give it a method or a path", "the class takes every request")
		}
		for j, before := range p.Classes[:i] {
			if (before.Method == "" || before.Method == c.Method) && under([]byte(c.Path), trimPath(before.Path)) {
				list.Addf(path, "put it before the other one, or remove it", "class[%d] takes all requests of this class", j)
				break
			}
		}
	}
	return list.Err()
}

// isMethod says whether s is a method as clients send it (RFC 9110 9.1: case-sensitive).
func isMethod(s string) bool {
	return len(s) <= 32 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") == ""
}
