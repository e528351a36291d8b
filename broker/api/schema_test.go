package api_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// object is a JSON object; encoding/json writes its keys in order.
type object = map[string]any

// comments are what the sources say of each struct and its fields: "Type" and "Type.Field".
func comments(t *testing.T, files ...string) map[string]string {
	t.Helper()
	out := make(map[string]string)
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			gen, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range gen.Specs {
				typ, ok := spec.(*ast.TypeSpec)
				if !ok {
					continue
				}
				out[typ.Name.Name] = oneLine(gen.Doc)
				if s, ok := typ.Type.(*ast.StructType); ok {
					for _, f := range s.Fields.List {
						for _, n := range f.Names {
							out[typ.Name.Name+"."+n.Name] = strings.TrimSpace(oneLine(f.Doc) + " " + oneLine(f.Comment))
						}
					}
				}
			}
		}
	}
	return out
}

func oneLine(c *ast.CommentGroup) string { return strings.Join(strings.Fields(c.Text()), " ") }

// schemas makes the schemas of Go types and of all that they hold.
type schemas struct {
	comments map[string]string
	enums    map[string][]string // by "Type.field" of the wire
	strict   map[string]bool     // types in which unknown fields are refused
	made     object
}

// ref gives the schema of a type.
func (s *schemas) ref(t reflect.Type) object {
	switch t.Kind() {
	case reflect.Pointer:
		return s.ref(t.Elem())
	case reflect.Slice:
		return object{"type": "array", "items": s.ref(t.Elem())}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int:
		return object{"type": "integer"}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Struct:
		name := s.name(t)
		if s.made[name] == nil {
			s.made[name] = object{} // it may hold itself
			s.made[name] = s.object(t, name)
		}
		return object{"$ref": "#/components/schemas/" + name}
	}
	panic("no schema for " + t.String())
}

func (s *schemas) name(t reflect.Type) string {
	if t.Name() == "" {
		return "RefusalReason" // the one struct without a name, in agent.Refusal
	}
	if strings.HasSuffix(t.PkgPath(), "/agent") {
		return "Agent" + t.Name()
	}
	return t.Name()
}

func (s *schemas) object(t reflect.Type, name string) object {
	properties, required := object{}, []string{}
	for f := range fields(t) {
		tag, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		p := s.ref(f.Type)
		if text := s.comments[t.Name()+"."+f.Name]; text != "" {
			p["description"] = text
		}
		if enum := s.enums[name+"."+tag]; enum != nil {
			p["enum"] = enum
		}
		properties[tag] = p
		if options == "" {
			required = append(required, tag)
		}
	}
	out := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		out["required"] = required
	}
	if text := s.comments[t.Name()]; text != "" {
		out["description"] = text
	}
	if s.strict[name] {
		out["additionalProperties"] = false
	}
	return out
}

func fields(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if !yield(t.Field(i)) {
				return
			}
		}
	}
}

// checker validates values against the part of JSON Schema 2020-12 that our file uses. A keyword that it
// does not know is an error, so that nothing is checked by half.
type checker struct{ root object }

func (c checker) check(schema object, v any, at string) (faults []string) {
	add := func(format string, args ...any) { faults = append(faults, at+": "+fmt.Sprintf(format, args...)) }
	for key, want := range schema {
		switch key {
		case "description", "required", "additionalProperties": // the latter two stand with properties
		case "$ref":
			faults = append(faults, c.check(c.resolve(want.(string)), v, at)...)
		case "type":
			if got := kindOf(v); got != want && (want != "number" || got != "integer") {
				add("%s, want %s", got, want)
			}
		case "enum":
			if !slices.Contains(want.([]any), v) {
				add("%v is none of %v", v, want)
			}
		case "items":
			if list, ok := v.([]any); ok {
				for i, item := range list {
					faults = append(faults, c.check(want.(object), item, fmt.Sprintf("%s[%d]", at, i))...)
				}
			}
		case "properties":
			if o, ok := v.(object); ok {
				faults = append(faults, c.properties(schema, o, at)...)
			}
		default:
			add("the checker does not know %q", key)
		}
	}
	return faults
}

func (c checker) properties(schema, o object, at string) (faults []string) {
	properties := schema["properties"].(object)
	for _, name := range slices.Sorted(maps.Keys(o)) {
		p, known := properties[name].(object)
		switch {
		case known:
			faults = append(faults, c.check(p, o[name], at+"."+name)...)
		case schema["additionalProperties"] == false:
			faults = append(faults, at+": the field "+name+" is not known")
		}
	}
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if _, there := o[name.(string)]; !there {
			faults = append(faults, at+": there is no "+name.(string))
		}
	}
	return faults
}

func (c checker) resolve(ref string) object {
	at := c.root
	for _, part := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
		at = at[part].(object)
	}
	return at
}

func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case float64:
		if v == math.Trunc(v) {
			return "integer"
		}
		return "number"
	case []any:
		return "array"
	}
	return "object"
}

// TestSchemaChecker: the checker finds what is wrong.
func TestSchemaChecker(t *testing.T) {
	t.Parallel()
	parse := func(text string) (v any) {
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	root := parse(`{"s":{"a":{"type":"object","properties":{"n":{"type":"integer"},"f":{"type":"number"},"l":{"type":"array","items":{"type":"string","enum":["x","y"]}}},"required":["n"],"additionalProperties":false}},"bad":{"oneOf":[]}}`).(object)
	c := checker{root}
	for text, want := range map[string]string{
		`{"n":1,"f":1,"l":["x","y"]}`: "", `{"n":1,"f":1.5}`: "", `{}`: "there is no n", `{"n":1.5}`: "$.n: number, want integer",
		`{"n":1,"m":1}`: "the field m is not known", `{"n":1,"l":["z"]}`: "$.l[0]: z is none of", `{"n":1,"l":"x"}`: "$.l: string, want array", `[]`: "$: array, want object", `null`: "null, want object",
	} {
		faults := strings.Join(c.check(object{"$ref": "#/s/a"}, parse(text), "$"), "; ")
		if (faults == "") != (want == "") || !strings.Contains(faults, want) {
			t.Errorf("%s: %q, want %q", text, faults, want)
		}
	}
	if faults := c.check(root["bad"].(object), 1.0, "$"); len(faults) != 1 || !strings.Contains(faults[0], "does not know") {
		t.Errorf("%v", faults)
	}
}
