package adminsocket

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"strconv"
	"strings"
)

// Metrics gives the samples of a node's metrics page by what the page calls them: the name, with its
// labels where it has any.
func Metrics(ctx context.Context, socket string) (map[string]float64, error) {
	var page bytes.Buffer
	if err := Get(ctx, socket, "/metrics", &page); err != nil {
		return nil, err
	}
	return parseMetrics(&page), nil
}

// parseMetrics reads the text form of Prometheus; what is no sample is left out.
func parseMetrics(page io.Reader) map[string]float64 {
	out := make(map[string]float64)
	lines := bufio.NewScanner(page)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if v, err := strconv.ParseFloat(value, 64); ok && err == nil && name != "#" {
			out[name] = v
		}
	}
	return out
}
