package api

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Bounds of an XML-RPC call, besides the size of the body.
const (
	maxCallDepth    = 32
	maxCallElements = 1000
	maxMethodName   = 128
)

// Codes of faults. The negative ones are of the "Specification for Fault Code Interoperability"
// (xmlrpc-epi); the others are the HTTP status that says the same.
const (
	faultParse        = -32700
	faultInvalid      = -32600
	faultNoMethod     = -32601
	faultParams       = -32602
	faultInternal     = -32603
	faultUnauthorized = http.StatusUnauthorized
	faultUnavailable  = http.StatusServiceUnavailable
)

// fault is an XML-RPC answer that something is wrong.
type fault struct {
	code int
	text string
}

func faultf(code int, format string, args ...any) *fault {
	return &fault{code, fmt.Sprintf(format, args...)}
}

// call is a methodCall. No method of ours takes parameters, so they are only counted.
type call struct {
	method string
	params int
}

// readCall reads a methodCall (http://xmlrpc.com/spec.md) out of a body that is bounded already.
func readCall(body io.Reader) (call, *fault) {
	d := xml.NewDecoder(body)
	d.Strict = true
	c := caller{}
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
				return call{}, faultf(faultInvalid, "the call is larger than %d bytes", maxBody)
			}
			return call{}, faultf(faultParse, "the call is not well formed XML in UTF-8")
		}
		if bad := c.token(tok); bad != nil {
			return call{}, bad
		}
	}
	return c.end()
}

// caller follows the tokens of a call.
type caller struct {
	call
	path     []string
	name     strings.Builder
	elements int
	ended    bool // after </methodCall>
	named    bool
}

func (c *caller) token(tok xml.Token) *fault {
	switch tok := tok.(type) {
	case xml.StartElement:
		return c.start(tok.Name)
	case xml.EndElement:
		c.path = c.path[:len(c.path)-1]
		c.ended = len(c.path) == 0
	case xml.CharData:
		return c.text(tok)
	case xml.Directive:
		return faultf(faultInvalid, "a call has no document type")
	}
	return nil
}

// start checks an element against its place; what stands in a parameter is not for us.
func (c *caller) start(name xml.Name) *fault {
	if c.elements++; c.elements > maxCallElements || len(c.path) >= maxCallDepth {
		return faultf(faultInvalid, "a call has at most %d elements, %d deep", maxCallElements, maxCallDepth)
	}
	ok := name.Space == ""
	switch len(c.path) {
	case 0:
		ok = ok && name.Local == "methodCall" && !c.ended
	case 1:
		ok = ok && (name.Local == "methodName" && !c.named || name.Local == "params" && c.named)
		c.named = c.named || name.Local == "methodName"
	case 2:
		ok = ok && c.path[1] == "params" && name.Local == "param"
		c.params++
	case 3:
		ok = ok && name.Local == "value"
	}
	if !ok {
		return faultf(faultInvalid, "an element <%s> has no place where it is", cut(name.Local))
	}
	c.path = append(c.path, name.Local)
	return nil
}

func (c *caller) text(data xml.CharData) *fault {
	switch {
	case len(c.path) == 2 && c.path[1] == "methodName":
		if c.name.Len()+len(data) > maxMethodName {
			return faultf(faultInvalid, "the name of the method is longer than %d bytes", maxMethodName)
		}
		c.name.Write(data)
	case len(c.path) < 4 && len(bytes.TrimSpace(data)) > 0:
		return faultf(faultInvalid, "there is text where a call has none")
	}
	return nil
}

func (c *caller) end() (call, *fault) {
	c.method = strings.TrimSpace(c.name.String())
	if !c.ended || c.method == "" {
		return call{}, faultf(faultInvalid, "it is no methodCall with a methodName")
	}
	return c.call, nil
}

// cut makes a name from a client fit for an answer.
func cut(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxMethodName)], "") }

// member is one of a structure; a slice of them is a structure with its order.
type member struct {
	name  string
	value any
}

// responseOf writes a methodResponse with one value: string, int, bool, time.Time, []any or []member.
func responseOf(value any) []byte {
	var b bytes.Buffer
	b.WriteString(xml.Header + "<methodResponse><params><param>")
	writeValue(&b, value)
	b.WriteString("</param></params></methodResponse>\n")
	return b.Bytes()
}

func (f *fault) response() []byte {
	var b bytes.Buffer
	b.WriteString(xml.Header + "<methodResponse><fault>")
	writeValue(&b, []member{{"faultCode", f.code}, {"faultString", f.text}})
	b.WriteString("</fault></methodResponse>\n")
	return b.Bytes()
}

func writeValue(b *bytes.Buffer, value any) {
	b.WriteString("<value>")
	defer b.WriteString("</value>")
	switch v := value.(type) {
	case string:
		writeText(b, "string", v)
	case int:
		writeText(b, "int", strconv.Itoa(v))
	case bool:
		text := "0"
		if v {
			text = "1"
		}
		writeText(b, "boolean", text)
	case time.Time:
		writeText(b, "dateTime.iso8601", v.UTC().Format("20060102T15:04:05")) // without a zone, as specified
	case []any:
		b.WriteString("<array><data>")
		for _, e := range v {
			writeValue(b, e)
		}
		b.WriteString("</data></array>")
	case []member:
		b.WriteString("<struct>")
		for _, m := range v {
			b.WriteString("<member>")
			writeText(b, "name", m.name)
			writeValue(b, m.value)
			b.WriteString("</member>")
		}
		b.WriteString("</struct>")
	default:
		panic(fmt.Sprintf("xml-rpc: a value of type %T", value))
	}
}

// writeText writes an element with text; what XML cannot hold becomes U+FFFD.
func writeText(b *bytes.Buffer, element, text string) {
	b.WriteString("<" + element + ">")
	_ = xml.EscapeText(b, []byte(text)) // a buffer takes everything
	b.WriteString("</" + element + ">")
}
