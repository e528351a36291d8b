package api_test

import (
	"encoding/json"
	"net/http"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"switchpoint/broker/api"
	"switchpoint/internal/covers"
)

const apiPage = "../../docs/api.md"

// transcript is an exchange of the page: <!-- example: OPERATION NAME -->, the request, the answer.
type transcript struct {
	op, name, request, answer string
}

func transcripts(page string) []transcript {
	var out []transcript
	pattern := regexp.MustCompile("(?s)<!-- example: (\\w+) ([^>]+) -->\n```http\n(.*?)```\n\n```http\n(.*?)```")
	for _, m := range pattern.FindAllStringSubmatch(page, -1) {
		out = append(out, transcript{m[1], m[2], m[3], m[4]})
	}
	return out
}

// TestAPIPage: the transcripts of the page are the examples of openapi.json, which brokers answer so
// (TestOpenAPI).
func TestAPIPage(t *testing.T) {
	covers.Req(t, "LG5")
	t.Parallel()
	page := string(readFile(t, apiPage))
	file := readOpenAPI(t)
	list := transcripts(page)
	if len(list) < 14 || len(list) != strings.Count(page, "<!-- example") {
		t.Fatalf("%d transcripts", len(list))
	}
	shown := make(map[string]bool)
	for _, c := range list {
		path, method, op := operationOf(t, file, c.op)
		shown[path] = true
		line, rest, _ := strings.Cut(c.request, "\n")
		if want := strings.ToUpper(method) + " " + path + " HTTP/1.1"; line != want && !(c.op == "loginOutcome" && strings.HasPrefix(line, "GET /api/v1/login/sw1.")) {
			t.Errorf("%s %s: %q, want %q", c.op, c.name, line, want)
		}
		if _, body, has := strings.Cut(rest, "\n\n"); has {
			sameJSON(t, c, body, op["requestBody"].(object)["content"].(object)["application/json"].(object), c.name)
		}
		line, rest, _ = strings.Cut(c.answer, "\n")
		status, err := strconv.Atoi(strings.Fields(line)[1])
		if err != nil || line != "HTTP/1.1 "+strconv.Itoa(status)+" "+http.StatusText(status) {
			t.Errorf("%s %s: %q", c.op, c.name, line)
		}
		answer, _ := op["responses"].(object)[strconv.Itoa(status)].(object)
		if answer == nil {
			t.Errorf("%s %s: no status %d", c.op, c.name, status)
			continue
		}
		head, body, _ := strings.Cut(rest, "\n\n")
		v := sameJSON(t, c, body, answer["content"].(object)["application/json"].(object), c.name)
		reason, _ := v["reason"].(object)
		after, _ := reason["retry_after"].(float64)
		if has := strings.Contains(head, "Retry-After: "+strconv.Itoa(int(after))); has != (after > 0) {
			t.Errorf("%s %s: headers %q, retry_after %v", c.op, c.name, head, after)
		}
	}
	for path := range file["paths"].(object) {
		if name, _, _ := strings.Cut(path, "{"); !strings.Contains(page, name) {
			t.Errorf("the page says nothing of %s", path)
		}
	}
}

func operationOf(t *testing.T, file object, id string) (path, method string, op object) {
	t.Helper()
	for path, at := range file["paths"].(object) {
		for method, op := range at.(object) {
			if op.(object)["operationId"] == id {
				return path, method, op.(object)
			}
		}
	}
	t.Fatalf("there is no operation %s", id)
	return "", "", nil
}

// sameJSON compares a body of the page with the example of that name.
func sameJSON(t *testing.T, c transcript, body string, media object, name string) object {
	t.Helper()
	var v object
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Errorf("%s %s: %v in %s", c.op, c.name, err, body)
		return nil
	}
	examples, _ := media["examples"].(object)
	example, _ := examples[name].(object)
	if example == nil || !reflect.DeepEqual(example["value"], any(v)) {
		t.Errorf("%s %s: the page has\n%s\nand openapi.json\n%v", c.op, c.name, body, example)
	}
	return v
}

// TestAPIPageHasEveryCode: each code of brokers and of this package, with its status.
func TestAPIPageHasEveryCode(t *testing.T) {
	t.Parallel()
	page := string(readFile(t, apiPage))
	rows := make(map[string]string)
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| (\\d+) \\| (\\S.*) \\|$").FindAllStringSubmatch(page, -1) {
		if rows[m[1]] != "" {
			t.Errorf("%s stands there twice", m[1])
		}
		rows[m[1]] = m[2]
	}
	own := map[string]string{"queued": "202", "bad-request": "400", "not-found": "404", "too-large": "413", "unsupported-media-type": "415"}
	for code, status := range own {
		if rows[code] != status {
			t.Errorf("%s has status %q on the page, want %s", code, rows[code], status)
		}
		delete(rows, code)
	}
	for _, code := range refusalCodes(t) {
		if status := strconv.Itoa(api.LoginStatus(code)); rows[code] != status {
			t.Errorf("%s has status %q on the page, want %s", code, rows[code], status)
		}
		delete(rows, code)
	}
	for code := range rows {
		t.Errorf("no broker refuses with %s", code)
	}
}
