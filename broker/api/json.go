package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"switchpoint/broker"
)

// requestError is a request that cannot be understood.
type requestError struct {
	status int
	code   string
	text   string
}

func (e *requestError) Error() string { return e.text }

// decode reads a body that is exactly one JSON object with known fields only.
func decode(r *http.Request, into any) *requestError {
	if err := isJSON(r); err != nil {
		return err
	}
	return decodeBody(r.Body, into)
}

// decodeLoose lets fields through that are not known here.
func decodeLoose(r *http.Request, into any) *requestError {
	if err := isJSON(r); err != nil {
		return err
	}
	return decodeOne(json.NewDecoder(r.Body), into)
}

func isJSON(r *http.Request) *requestError {
	if t := r.Header.Get("Content-Type"); t != "" {
		if media, _, err := mime.ParseMediaType(t); err != nil || media != "application/json" {
			return &requestError{http.StatusUnsupportedMediaType, codeMediaType, "The body must be application/json."}
		}
	}
	return nil
}

func decodeBody(body io.Reader, into any) *requestError {
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	return decodeOne(d, into)
}

// decodeOne reads one value with nothing after it.
func decodeOne(d *json.Decoder, into any) *requestError {
	err := d.Decode(into)
	if err == nil {
		if _, err = d.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		err = errors.New("there is more than one JSON value")
	}
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &requestError{http.StatusRequestEntityTooLarge, codeTooLarge, fmt.Sprintf("The body is larger than %d bytes.", large.Limit)}
	}
	return &requestError{http.StatusBadRequest, codeBadRequest, "The body is not the JSON object that is expected here: " + jsonFault(err) + "."}
}

// jsonFault says what is wrong without repeating values, which may be passwords.
func jsonFault(err error) string {
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Sprintf("syntax error at byte %d", e.Offset)
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Sprintf("field %q must be a %s", e.Field, e.Type)
	}
	switch {
	case errors.Is(err, io.EOF):
		return "it is empty"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "it ends too early"
	case strings.HasPrefix(err.Error(), "json: unknown field"):
		return strings.TrimPrefix(err.Error(), "json: ")
	}
	return "it cannot be read"
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that has gone away cannot be told
}

func writeError(w http.ResponseWriter, status int, reason Reason) {
	retryAfter(w, reason.RetryAfter)
	writeJSON(w, status, ErrorResponse{Reason: reason})
}

func retryAfter(w http.ResponseWriter, seconds int) {
	if seconds > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
	}
}

// fail answers an error of a broker method or of decode.
func fail(w http.ResponseWriter, err error) {
	var r *broker.Refusal
	var bad *requestError
	switch {
	case errors.As(err, &r):
		writeError(w, statusOf(r.Code), reasonOf(r))
	case errors.As(err, &bad):
		writeError(w, bad.status, Reason{Code: bad.code, Text: bad.text})
	default:
		writeError(w, http.StatusInternalServerError, Reason{Code: broker.CodeInternal, Text: "Something went wrong in this broker."})
	}
}

func reasonOf(r *broker.Refusal) Reason {
	return Reason{Code: r.Code, Text: r.Text, RetryAfter: int(math.Ceil(r.RetryAfter.Seconds())), Ref: r.Ref}
}
