package gtm

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Bounds of $GENERATE: of one directive, and of all of a zone.
const (
	maxGenerate    = 1 << 16
	maxGenerateAll = 1 << 20
	maxModWidth    = 255
)

var errGenerateRange = fmt.Errorf("bad range of $GENERATE: write START-STOP or START-STOP/STEP, with at most %d steps", maxGenerate)

// generateRange reads "START-STOP[/STEP]" and counts its steps.
func generateRange(s string) (start, step, steps int, err error) {
	span, by, stepped := strings.Cut(s, "/")
	from, to, ok := strings.Cut(span, "-")
	step = 1
	var errStep error
	if stepped {
		step, errStep = strconv.Atoi(by)
	}
	start, errStart := strconv.Atoi(from)
	stop, errStop := strconv.Atoi(to)
	if !ok || errors.Join(errStart, errStop, errStep) != nil || start < 0 || stop < start || step < 1 || stop > 1<<31-1 {
		return 0, 0, 0, errGenerateRange
	}
	if steps = (stop-start)/step + 1; steps > maxGenerate {
		return 0, 0, 0, errGenerateRange
	}
	return start, step, steps, nil
}

// expand writes the template of a $GENERATE line with n in the place of each "$" and
// "${offset,width,base}", to out. "$$" is one "$"; what follows a backslash stays.
func expand(out *bytes.Buffer, template []byte, n int) error {
	for i := 0; i < len(template); i++ {
		switch c := template[i]; {
		case c == '\\' && i+1 < len(template):
			out.Write(template[i : i+2])
			i++
		case c != '$':
			out.WriteByte(c)
		case i+1 < len(template) && template[i+1] == '$':
			out.WriteByte('$')
			i++
		case i+1 < len(template) && template[i+1] == '{':
			end := bytes.IndexByte(template[i:], '}')
			if end < 0 {
				return errors.New("$GENERATE: a ${ is not closed")
			}
			if err := modified(out, string(template[i+2:i+end]), n); err != nil {
				return err
			}
			i += end
		default:
			fmt.Fprint(out, n)
		}
		if out.Len() > maxEntry {
			return errEntryBytes
		}
	}
	return nil
}

// modified writes n as "offset[,width[,base]]" says: base d, o, x, X, or n and N for nibbles,
// the reversed hexadecimal digits with dots of a name in ip6.arpa.
func modified(out *bytes.Buffer, spec string, n int) error {
	parts := append(strings.Split(spec, ","), "0", "d")
	if len(parts) > 5 {
		return fmt.Errorf("$GENERATE: ${%s} has more than offset, width and base", spec)
	}
	base := "d"
	if len(parts) == 5 {
		base = parts[2]
	}
	offset, err := strconv.Atoi(parts[0])
	width, errWidth := strconv.Atoi(parts[1])
	if err != nil || errWidth != nil || width < 0 || width > maxModWidth {
		return fmt.Errorf("$GENERATE: bad offset or width in ${%s}", spec)
	}
	if n += offset; n < 0 || n > 1<<31-1 {
		return fmt.Errorf("$GENERATE: ${%s} leads to %d", spec, n)
	}
	switch base {
	case "d":
		fmt.Fprintf(out, "%0*d", width, n)
	case "o":
		fmt.Fprintf(out, "%0*o", width, n)
	case "x":
		fmt.Fprintf(out, "%0*x", width, n)
	case "X":
		fmt.Fprintf(out, "%0*X", width, n)
	case "n", "N":
		nibbles(out, n, width, base == "N")
	default:
		return fmt.Errorf("$GENERATE: ${%s} has the base %q; it may be d, o, x, X, n or N", spec, base)
	}
	return nil
}

// nibbles writes the hexadecimal digits of n, the lowest first, with dots between them; width
// counts the dots.
func nibbles(out *bytes.Buffer, n, width int, upper bool) {
	digits := "0123456789abcdef"
	if upper {
		digits = "0123456789ABCDEF"
	}
	for {
		out.WriteByte(digits[n&15])
		n >>= 4
		if width--; width <= 0 && n == 0 {
			return
		}
		out.WriteByte('.')
		if width--; width <= 0 && n == 0 {
			return
		}
	}
}
