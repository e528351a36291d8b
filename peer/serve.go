package peer

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"runtime/debug"
	"strings"
	"time"
)

const (
	prefix  = "/peer/v1/"
	maxBody = 1 << 20
	// maxCall bounds a handler, whatever its caller is ready to wait.
	maxCall = 60 * time.Second
)

// serve answers one request of a connection whose key was trusted when it was made.
func (n *Node) serve(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	method := strings.TrimPrefix(r.URL.Path, prefix)
	answer, fault := n.answer(w, r, method)
	if n.handlers[method] == nil {
		method = "unknown" // a label must not be what a peer made up
	}
	n.metrics.observe("in", method, start, faultCode(fault))
	if fault == nil {
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(answer) // a caller that has gone needs no answer
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status(fault.Code))
	_ = json.NewEncoder(w).Encode(fault)
}

func (n *Node) answer(w http.ResponseWriter, r *http.Request, method string) ([]byte, *RemoteError) {
	from, ok := n.trusted(r.TLS)
	if !ok {
		n.metrics.refused.Inc()
		w.Header().Set("Connection", "close")
		return nil, &RemoteError{Code: CodeNotTrusted, Text: "this key is no longer trusted"}
	}
	h := n.handlers[method]
	switch {
	case h == nil || !strings.HasPrefix(r.URL.Path, prefix):
		return nil, (&RemoteError{Code: CodeUnknownMethod, Text: "no method " + method}).bounded()
	case r.Method != http.MethodPost:
		return nil, &RemoteError{Code: CodeBadRequest, Text: "only POST"}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
			return nil, &RemoteError{Code: CodeTooLarge, Text: ErrTooLarge.Error()}
		}
		return nil, &RemoteError{Code: CodeBadRequest, Text: "the body could not be read"}
	}
	ctx, cancel := context.WithTimeout(r.Context(), maxCall)
	defer cancel()
	out, err := n.handle(ctx, h, from, method, body)
	if err == nil && len(out) > maxBody {
		err = ErrTooLarge
	}
	if err != nil {
		remote, ok := errors.AsType[*RemoteError](err)
		if !ok {
			remote = &RemoteError{Code: CodeInternal, Text: err.Error()}
		}
		return nil, remote.bounded()
	}
	return out, nil
}

// handle runs a handler. A fault of it must not cost the other rooms their peers: it is logged
// with its place and answered.
func (n *Node) handle(ctx context.Context, h Handler, from Trust, method string, body []byte) (out []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			n.log.Error("peer handler panicked", "method", method, "from", from.Name, "panic", v, "stack", string(debug.Stack()))
			out, err = nil, &RemoteError{Code: CodeInternal, Text: "the handler failed"}
		}
	}()
	return h(ctx, from, body)
}

func status(code string) int {
	switch code {
	case CodeUnknownMethod:
		return http.StatusNotFound
	case CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case CodeNotTrusted:
		return http.StatusForbidden
	case CodeBadRequest:
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}

func faultCode(fault *RemoteError) string {
	if fault == nil {
		return "ok"
	}
	switch fault.Code {
	case CodeUnknownMethod, CodeTooLarge, CodeNotTrusted, CodeBadRequest, CodeInternal:
		return fault.Code
	}
	return "refused" // a handler's own code: their number is not ours to bound
}
