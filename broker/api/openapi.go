package api

import (
	_ "embed"
	"net/http"
)

// openAPIFile describes the API. It is made from the Go types and checked by TestOpenAPI; the same
// text stands in docs/openapi.json.
//
//go:embed openapi.json
var openAPIFile []byte

// openAPI is GET /api/v1/openapi.json.
func (s *Server) openAPI(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "max-age=300")
	w.Write(openAPIFile)
}
