package api_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"switchpoint/broker/api"
	"switchpoint/internal/covers"
)

const openAPIFile, openAPIPage = "openapi.json", "../../docs/openapi.json"

// openAPI builds the file from the operations, the Go types and their comments, and the examples.
func openAPI(t *testing.T, examples map[string][]example) object {
	t.Helper()
	s := &schemas{
		comments: comments(t, "messages.go", "../agent/messages.go"), enums: wireEnums(), made: object{},
		strict: map[string]bool{"LoginRequest": true, "Client": true, "ConnectRequest": true, "AgentEnrolRequest": true},
	}
	paths := object{}
	for _, op := range operations() {
		at, _ := paths[op.path].(object)
		if at == nil {
			at = object{}
			paths[op.path] = at
		}
		at[op.method] = describe(s, op, examples[op.id])
	}
	return object{
		"openapi": "3.1.0",
		"info": object{
			"title": "Switchpoint broker", "version": "1",
			"description": "What thin clients, agents and balancers speak to a broker. Bodies are bounded at 64 KB (agents: 16 KB). Unknown fields of requests are refused, except in heartbeats; answers may get more fields.",
		},
		"servers": []object{{"url": "https://cb.company.com"}},
		"tags":    []object{{"name": "client", "description": "Thin clients"}, {"name": "agent", "description": "Agents on desktops"}, {"name": "health", "description": "Balancers and monitoring"}},
		"paths":   paths,
		"components": object{
			"schemas": s.made,
			"securitySchemes": object{
				"session": object{"type": "http", "scheme": "bearer", "description": "The token of a login."},
				"agent":   object{"type": "http", "scheme": "bearer", "description": "The key of a desktop."},
				"admin":   object{"type": "http", "scheme": "bearer", "description": "The admin token of the node."},
			},
		},
	}
}

func describe(s *schemas, op operation, examples []example) object {
	out := object{"operationId": op.id, "summary": op.summary, "tags": []string{op.tag}}
	if op.text != "" {
		out["description"] = op.text
	}
	switch op.auth {
	case "":
	case "admin":
		out["security"] = []object{{}, {op.auth: []string{}}} // two methods are for everybody
	default:
		out["security"] = []object{{op.auth: []string{}}}
	}
	var parameters []object
	if strings.Contains(op.path, "{id}") {
		parameters = append(parameters, object{"name": "id", "in": "path", "required": true, "schema": object{"type": "string"}, "description": "From poll."})
	}
	for _, h := range op.header {
		parameters = append(parameters, object{"name": h, "in": "header", "required": false, "schema": object{"type": "string", "minLength": 1, "maxLength": 200}, "description": aboutKey})
	}
	if op.id == "isAlive" {
		parameters = append(parameters, object{"name": "action", "in": "query", "required": true, "schema": object{"type": "string", "enum": []string{"is_alive", "cb_status"}}})
	}
	if parameters != nil {
		out["parameters"] = parameters
	}
	requests := object{}
	answers := make(map[int]object)
	for _, e := range examples {
		if e.body != "" && op.request != nil && e.status != 400 {
			requests[e.name] = object{"value": raw(e.body)}
		}
		if e.answer != "" {
			if answers[e.status] == nil {
				answers[e.status] = object{}
			}
			answers[e.status][e.name] = object{"value": raw(e.answer)}
		}
	}
	switch {
	case op.request != nil:
		out["requestBody"] = object{"required": true, "content": content("application/json", s.ref(reflect.TypeOf(op.request)), requests)}
	case op.id == "xmlRPC":
		out["requestBody"] = object{"required": true, "content": object{"text/xml": object{}}}
	}
	responses := object{}
	for code, st := range op.statuses {
		r := object{"description": st.text}
		if st.body != nil {
			r["content"] = content("application/json", s.ref(reflect.TypeOf(st.body)), answers[code])
		} else if st.as != "" {
			r["content"] = object{st.as: object{}}
		}
		if slices.ContainsFunc(op.codes, func(c string) bool { return retries(op, c) == code }) {
			r["headers"] = object{"Retry-After": object{"description": "Seconds.", "schema": object{"type": "integer"}}}
		}
		responses[strconv.Itoa(code)] = r
	}
	out["responses"] = responses
	return out
}

// retries is the status of a refusal that says when to ask again, or 0.
func retries(op operation, code string) int {
	if status := statusIn(op, code); status == 202 || status == 429 || status == 503 {
		return status
	}
	return 0
}

// statusIn is the status that a code has in an operation.
func statusIn(op operation, code string) int {
	if strings.HasPrefix(op.id, "login") && op.id != "logout" {
		return api.LoginStatus(code)
	}
	return api.StatusOf(code)
}

func content(media string, schema object, examples object) object {
	m := object{"schema": schema}
	if len(examples) > 0 {
		m["examples"] = examples
	}
	return object{media: m}
}

func raw(text string) json.RawMessage { return json.RawMessage(text) }

// TestOpenAPI: the file says what the types, the operations and the answers of a broker say.
func TestOpenAPI(t *testing.T) {
	covers.Req(t, "LG5")
	var want bytes.Buffer
	e := json.NewEncoder(&want)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(openAPI(t, playExamples(t))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{openAPIFile, openAPIPage} {
		if *update {
			if err := os.WriteFile(name, want.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if have := readFile(t, name); !bytes.Equal(have, want.Bytes()) {
			t.Errorf("%s is not what the API is; write it anew with -run TestOpenAPI -update", name)
		}
	}
	s := start(t, config{plain: true})
	if p := s.get(t, "/api/v1/openapi.json"); p.status != 200 || p.header.Get("Content-Type") != "application/json" || !*update && p.body != want.String() {
		t.Errorf("the broker serves another file: %d", p.status)
	}
}

// readOpenAPI is the file as it stands.
func readOpenAPI(t *testing.T) object {
	t.Helper()
	var file object
	if err := json.Unmarshal(readFile(t, openAPIFile), &file); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestOpenAPIIsWhole: each code belongs to an operation, and each status of its codes is described.
func TestOpenAPIIsWhole(t *testing.T) {
	t.Parallel()
	known := make(map[string]bool)
	for _, op := range operations() {
		for _, code := range op.codes {
			known[code] = true
			if _, ok := op.statuses[statusIn(op, code)]; !ok {
				t.Errorf("%s refuses with %s, and says nothing of status %d", op.id, code, statusIn(op, code))
			}
		}
	}
	for _, code := range refusalCodes(t) {
		if !known[code] {
			t.Errorf("no operation refuses with %s", code)
		}
	}
}

// openAPIOnce is the file for all tests that only look up answers in it; empty when it cannot be read,
// which TestOpenAPI finds.
var openAPIOnce = sync.OnceValue(func() (file object) {
	text, err := os.ReadFile(openAPIFile)
	if err == nil {
		err = json.Unmarshal(text, &file)
	}
	if err != nil {
		return object{}
	}
	return file
})

// documented fails a test that has seen an answer which the file does not describe, or not so.
func documented(t *testing.T, method, path string, res *http.Response, body []byte) {
	t.Helper()
	file := openAPIOnce()
	if strings.HasPrefix(path, "/api/v1/login/") {
		path = "/api/v1/login/{id}"
	}
	paths, _ := file["paths"].(object)
	at, _ := paths[path].(object)
	op, _ := at[strings.ToLower(method)].(object)
	if op == nil {
		return // not of the API: refused with 404
	}
	answer, _ := op["responses"].(object)[strconv.Itoa(res.StatusCode)].(object)
	if answer == nil {
		t.Errorf("openapi.json has no status %d for %s %s: %s", res.StatusCode, method, path, body)
		return
	}
	if answer["content"] == nil || answer["content"].(object)["application/json"] == nil {
		return
	}
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Errorf("%s %s: %q: %v", method, path, body, err)
		return
	}
	schema := answer["content"].(object)["application/json"].(object)["schema"].(object)
	for _, fault := range (checker{file}).check(schema, v, method+" "+path+" "+strconv.Itoa(res.StatusCode)) {
		t.Error(fault)
	}
}

// TestOpenAPIExamplesFit: each example fits its schema, the requests as well.
func TestOpenAPIExamplesFit(t *testing.T) {
	t.Parallel()
	file := readOpenAPI(t)
	found := 0
	var walk func(v any, at string)
	walk = func(v any, at string) {
		o, ok := v.(object)
		if !ok {
			return
		}
		schema, hasSchema := o["schema"].(object)
		examples, hasExamples := o["examples"].(object)
		if hasSchema && hasExamples {
			for name, e := range examples {
				found++
				for _, fault := range (checker{file}).check(schema, e.(object)["value"], at+" "+name) {
					t.Error(fault)
				}
			}
		}
		for key, inner := range o {
			walk(inner, at+"/"+key)
		}
	}
	walk(file["paths"], "")
	if found < 15 {
		t.Errorf("only %d examples", found)
	}
}
