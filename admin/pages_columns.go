package admin

import (
	"net/http"
	"slices"
	"strings"
)

// column is one of the table of brokers.
type column struct{ ID, Label string }

// choice is a column with whether it is shown.
type choice struct {
	column
	Shown bool
}

// clusterColumns are all columns in the order that a new browser sees (PG1).
var clusterColumns = []choice{
	{column{"actions", "Actions"}, true},
	{column{"name", "Name"}, true},
	{column{"ip", "IP Address"}, true},
	{column{"status", "Status"}, true},
	{column{"live", "Live"}, true},
	{column{"version", "Version"}, true},
	{column{"site", "Site ID"}, true},
	{column{"datacenter", "Data centre"}, true},
	{column{"load", "Host"}, true},
	{column{"carries", "Carries"}, false},
	{column{"booted", "Booted"}, true},
	{column{"last", "Last heartbeat"}, true},
	{column{"next", "Next heartbeat"}, true},
	{column{"missed", "Missed"}, true},
	{column{"uuid", "UUID"}, false},
	{column{"mac", "MAC"}, false},
	{column{"host", "Host ID"}, false},
	{column{"fingerprint", "Configuration"}, false},
	{column{"report", "Newest report"}, false},
}

// maxColumns bounds the text of a choice.
const maxColumns = 400

// parseColumns reads a choice as a browser kept it: the ids in order with dots between them, those
// not shown after a minus. Whatever is unknown is dropped, and columns that the choice does not name
// come last, hidden. A choice that shows nothing is none.
func parseColumns(text string) []choice {
	if len(text) > maxColumns {
		return slices.Clone(clusterColumns)
	}
	var out []choice
	shows := false
	for word := range strings.SplitSeq(text, ".") {
		id, hidden := strings.CutPrefix(word, "-")
		i := indexOf(clusterColumns, id)
		if i < 0 || indexOf(out, id) >= 0 {
			continue
		}
		out = append(out, choice{clusterColumns[i].column, !hidden})
		shows = shows || !hidden
	}
	if !shows {
		return slices.Clone(clusterColumns)
	}
	for _, c := range clusterColumns {
		if indexOf(out, c.ID) < 0 {
			out = append(out, choice{c.column, false})
		}
	}
	return out
}

func formatColumns(list []choice) string {
	words := make([]string, len(list))
	for i, c := range list {
		if words[i] = c.ID; !c.Shown {
			words[i] = "-" + c.ID
		}
	}
	return strings.Join(words, ".")
}

func indexOf(list []choice, id string) int {
	return slices.IndexFunc(list, func(c choice) bool { return c.ID == id })
}

func shownColumns(list []choice) []column {
	var out []column
	for _, c := range list {
		if c.Shown {
			out = append(out, c.column)
		}
	}
	return out
}

// moveColumn puts a column one place up or down; the first and the last stay where they are.
func moveColumn(list []choice, id string, down bool) []choice {
	out := slices.Clone(list)
	from := indexOf(out, id)
	to := from - 1
	if down {
		to = from + 1
	}
	if from >= 0 && to >= 0 && to < len(out) {
		out[from], out[to] = out[to], out[from]
	}
	return out
}

// columnsView is the page Customize columns.
type columnsView struct {
	Columns []choice
	// Moved is the column whose button was just pressed, so that the keyboard stays there.
	Moved string
	Down  bool
}

func (Cluster) columnsPage(v *Visit) (Shown, error) {
	q := v.URL.Query()
	return Shown{Template: "columns.html", Title: "Customize columns", Data: columnsView{
		Columns: parseColumns(cookie(v.Request, cookieColumns)), Moved: q.Get("up") + q.Get("down"), Down: q.Has("down"),
	}}, nil
}

// chooseColumns takes the form: "order" has all columns from top to bottom, "show" those with a
// tick, and the button says what to do with that.
func (Cluster) chooseColumns(v *Visit) (Done, error) {
	if v.PostForm.Get("do") == "reset" {
		return Done{To: consolePath + "cluster", Note: "The columns are as they were at first.", Keep: choiceKept{cookieColumns, formatColumns(clusterColumns)}}, nil
	}
	var words []string
	for _, id := range v.PostForm["order"] {
		if !slices.Contains(v.PostForm["show"], id) {
			id = "-" + id
		}
		words = append(words, id)
	}
	if len(v.PostForm["show"]) == 0 {
		return Done{}, &Error{Status: http.StatusBadRequest, Text: "Choose at least one column."}
	}
	list := parseColumns(strings.Join(words, "."))
	done := Done{To: consolePath + "cluster", Note: "The columns were changed in this browser."}
	what, id, _ := strings.Cut(v.PostForm.Get("do"), ":")
	if (what == "up" || what == "down") && indexOf(list, id) >= 0 {
		list = moveColumn(list, id, what == "down")
		done = Done{To: consolePath + "cluster/columns?" + what + "=" + id} // and the keyboard goes to that button
	}
	done.Keep = choiceKept{cookieColumns, formatColumns(list)}
	return done, nil
}
