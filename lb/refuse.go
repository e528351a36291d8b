package lb

import (
	"net/http"
	"strconv"
)

// appendRefusal writes an answer of the balancer itself.
func appendRefusal(dst []byte, status int, text string, closing bool) []byte {
	return appendReply(dst, status, "Content-Type: text/plain; charset=utf-8\r\n", text+"\n", "", closing, true)
}

// appendReply writes an answer: header lines with their ends, body, and who goes on.
func appendReply(dst []byte, status int, fields, body, connection string, closing, withBody bool) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(append(append(dst, ' '), http.StatusText(status)...), "\r\n"...)
	dst = append(append(dst, fields...), "Content-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(body)), 10)
	dst = append(dst, "\r\n"...)
	if closing {
		connection = "close"
	}
	if connection != "" {
		dst = appendField(dst, "Connection", []byte(connection))
	}
	dst = append(dst, "\r\n"...)
	if withBody {
		dst = append(dst, body...)
	}
	return dst
}

// reply answers in place of a member. A body of the request that is not here is not waited for:
// the connection ends, after the client could read why.
func (ex *exchange) reply(status int, fields, body string) {
	ex.stopUpload()
	if !ex.body.ended() {
		ex.closing, ex.client.linger = true, true
	}
	ex.closing = ex.closing || ex.p.draining.Load()
	ex.status = status
	connection := ""
	if !ex.head.http11 {
		connection = "keep-alive"
	}
	ex.out = appendReply(ex.out[:0], status, fields, body, connection, ex.closing, !ex.toHead())
	ex.begun = true
	if !ex.toHead() {
		ex.sent = int64(len(body))
	}
	if !ex.client.until(ex.p.now() + int64(stallTimeout)) {
		if _, err := ex.client.revive(); err != nil || !ex.client.until(ex.p.now()+int64(stallTimeout)) {
			ex.closing = true
			return
		}
	}
	if _, err := ex.client.Write(ex.out); err != nil {
		ex.closing = true
	}
}

// refuse answers with a text. closing ends the connection.
func (ex *exchange) refuse(status int, text string, closing bool) {
	ex.closing = ex.closing || closing
	ex.refuseWith(status, text, "")
}

// refuseWith adds header lines.
func (ex *exchange) refuseWith(status int, text, fields string) {
	ex.refused = text
	ex.reply(status, "Content-Type: text/plain; charset=utf-8\r\n"+fields, text+"\n")
}

// lostClient ends an exchange whose request did not come to its end.
func (ex *exchange) lostClient(err error) {
	bad, status, text := asRefusal(err), 0, ""
	switch {
	case bad != nil:
		status, text = bad.status, bad.text
		ex.client.linger = true
	case ex.client.spoken() == overdue, isTimeout(err):
		status, text = 408, "the request did not arrive in time"
	case isEnd(err):
		status, text = 400, "the request breaks off"
	}
	ex.closing = true
	if status != 0 && !ex.begun {
		ex.refuse(status, text, true)
	}
}
