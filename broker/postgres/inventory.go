package postgres

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"switchpoint/broker"
)

// members is how a pool's rules, list and power action stand in its row.
type members struct {
	Rules    []broker.PoolRule `json:"rules,omitempty"`
	Desktops []string          `json:"desktops,omitempty"`
	Power    string            `json:"power,omitempty"`
}

// readPools lists the pools in the order of their file.
func readPools(l link) (out []broker.DesktopPool, err error) {
	err = l.each(`SELECT p.name, p.kind, p.check_kind, p.members, p.release_us, COALESCE(b.name, '')
		FROM desktop_pool p LEFT JOIN desktop_pool b ON b.id = p.backup_id WHERE p.deleted_at IS NULL ORDER BY p.position`, func(r pgx.Row) error {
		var p broker.DesktopPool
		var text []byte
		var release int64
		if err := r.Scan(&p.Name, &p.Kind, &p.Check, &text, &release, &p.Backup); err != nil {
			return err
		}
		var m members
		if err := json.Unmarshal(text, &m); err != nil {
			return fmt.Errorf("members of desktop pool %s: %w", p.Name, err)
		}
		p.Rules, p.Desktops, p.Power, p.ReleaseDelay = m.Rules, m.Desktops, m.Power, time.Duration(release)*time.Microsecond
		out = append(out, p)
		return nil
	})
	return out, err
}

// readInventory adds the parts of the setup that are rows, in the order of their file.
func readInventory(l link, out *broker.Setup) (err error) {
	if out.DesktopPools, err = readPools(l); err != nil {
		return err
	}
	err = l.each(`SELECT name, given_pool, host, port, protocol, state, os, description, tags, mac FROM desktop
		WHERE center = '' AND deleted_at IS NULL ORDER BY position`, func(r pgx.Row) error {
		var d broker.Desktop
		err := r.Scan(&d.Name, &d.Pool, &d.Host, &d.Port, &d.Protocol, &d.State, &d.OS, &d.Description, (*broker.TagColumn)(&d.Tags), &d.MAC)
		out.Desktops = append(out.Desktops, d)
		return err
	})
	if err != nil {
		return err
	}
	return l.each(`SELECT a.user_name, a.directory, d.name FROM assignment a JOIN desktop d ON d.id = a.desktop_id
		WHERE a.source = 'setup' ORDER BY a.position`, func(r pgx.Row) error {
		var a broker.Assignment
		err := r.Scan(&a.User, &a.Directory, &a.Desktop)
		out.Assignments = append(out.Assignments, a)
		return err
	})
}

// writeInventory brings pools, desktops, centers and assignments to what in says. Rows keep their ids
// by name; a vanished one is marked deleted, and its claim ends. Rows that stay as they are are not
// touched: users go on connecting to them meanwhile.
func writeInventory(l link, in broker.Setup) error {
	for _, write := range []func(link, broker.Setup) error{writePools, writeDesktops, writeCenters, writeAssignments} {
		if err := write(l, in); err != nil {
			return err
		}
	}
	if _, err := placeDesktops(l, `d.deleted_at IS NULL`); err != nil {
		return err
	}
	_, err := l.exec(`UPDATE desktop d SET ` + freeSQL + ` WHERE claim_user IS NOT NULL
		AND (NOT EXISTS (SELECT FROM desktop_pool p WHERE p.id = d.claim_pool AND p.deleted_at IS NULL AND p.kind = 'pooled')
			OR EXISTS (SELECT FROM assignment a WHERE a.desktop_id = d.id AND (a.directory, a.user_name) <> (d.claim_directory, d.claim_user)))`)
	return err
}

const poolFields = `check_kind, position, members, release_us`

// writePools ends the pools that have vanished or changed their kind, and writes the others. A pool of
// another kind is another row, so that a connect that saw the old one finds no desktop of it.
func writePools(l link, in broker.Setup) error {
	n := len(in.DesktopPools)
	ids, names, kinds, checks := newIDs(n), make([]string, n), make([]string, n), make([]string, n)
	texts, releases, backups := make([]string, n), make([]int64, n), make([]string, n)
	for i, p := range in.DesktopPools {
		text, err := json.Marshal(members{Rules: p.Rules, Desktops: p.Desktops, Power: p.Power})
		if err != nil {
			return err
		}
		names[i], kinds[i], checks[i] = p.Name, p.Kind, p.Check
		texts[i], releases[i], backups[i] = string(text), p.ReleaseDelay.Microseconds(), p.Backup
	}
	if _, err := l.exec(`UPDATE desktop_pool p SET deleted_at = now() WHERE deleted_at IS NULL
		AND NOT EXISTS (SELECT FROM unnest($1::text[], $2::text[]) AS i (name, kind) WHERE i.name = p.name AND i.kind = p.kind)`, names, kinds); err != nil {
		return err
	}
	if _, err := l.exec(`INSERT INTO desktop_pool (id, name, kind, `+poolFields+`)
		SELECT id, name, kind, check_kind, ord - 1, members, release_us
		FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[])
			WITH ORDINALITY AS i (id, name, kind, check_kind, members, release_us, ord)
		ON CONFLICT (name) WHERE deleted_at IS NULL DO UPDATE SET (`+poolFields+`) =
			(excluded.check_kind, excluded.position, excluded.members, excluded.release_us)
		WHERE (desktop_pool.check_kind, desktop_pool.position, desktop_pool.members, desktop_pool.release_us)
			IS DISTINCT FROM (excluded.check_kind, excluded.position, excluded.members, excluded.release_us)`,
		ids, names, kinds, checks, texts, releases); err != nil {
		return err
	}
	_, err := l.exec(`UPDATE desktop_pool p SET backup_id = b.id FROM unnest($1::text[], $2::text[]) AS i (name, backup)
		LEFT JOIN desktop_pool b ON b.name = i.backup AND b.deleted_at IS NULL
		WHERE p.name = i.name AND p.deleted_at IS NULL AND p.backup_id IS DISTINCT FROM b.id`, names, backups)
	return err
}

const (
	desktopFields = `given_pool, host, ip, port, protocol, state, os, description, tags, mac, position, center, external_id, ou, missing_since, source_state, state_why`
	desktopValues = `i.pool, i.host, i.ip, i.port, i.protocol, i.state, i.os, i.description, i.tags, i.mac, i.ord - 1, '', '', '', NULL::timestamptz, '', ''`
)

// writeDesktops ends the desktops of the setup that have vanished, and inserts and changes the others.
// One that a center has brought becomes the setup's.
func writeDesktops(l link, in broker.Setup) error {
	n := len(in.Desktops)
	var columns [10][]string // name, pool, host, ip, protocol, state, os, description, tags, mac
	for i := range columns {
		columns[i] = make([]string, n)
	}
	ports := make([]int32, n)
	for i, d := range in.Desktops {
		ports[i] = int32(d.Port)
		for j, v := range []string{d.Name, d.Pool, d.Host, d.Machine().IP, d.Protocol, d.State, d.OS, d.Description, broker.TagText(d.Tags), d.MAC} {
			columns[j][i] = v
		}
	}
	if _, err := l.exec(`UPDATE desktop SET deleted_at = now(), `+freeSQL+` WHERE deleted_at IS NULL AND center = ''
		AND NOT EXISTS (SELECT FROM unnest($1::text[]) AS i (name) WHERE i.name = desktop.name)`, columns[0]); err != nil {
		return err
	}
	args := []any{newIDs(n), ports}
	for _, c := range columns {
		args = append(args, c)
	}
	_, err := l.exec(`INSERT INTO desktop (id, name, `+desktopFields+`) SELECT i.id, i.name, `+desktopValues+`
		FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[])
			WITH ORDINALITY AS i (id, port, name, pool, host, ip, protocol, state, os, description, tags, mac, ord)
		LEFT JOIN desktop d ON d.name = i.name AND d.deleted_at IS NULL
		WHERE (d.given_pool, d.host, d.ip, d.port, d.protocol, d.state, d.os, d.description, d.tags, d.mac, d.position, d.center, d.external_id, d.ou, d.missing_since, d.source_state, d.state_why)
			IS DISTINCT FROM (`+desktopValues+`)
		ON CONFLICT (name) WHERE deleted_at IS NULL DO UPDATE SET (`+desktopFields+`) = (excluded.given_pool, excluded.host, excluded.ip, excluded.port,
			excluded.protocol, excluded.state, excluded.os, excluded.description, excluded.tags, excluded.mac, excluded.position, '', '', '', NULL, '', '')`, args...)
	return err
}

// writeCenters keeps what is known of those that stay; the desktops of the others go with them.
func writeCenters(l link, in broker.Setup) error {
	names := make([]string, len(in.Centers))
	for i, c := range in.Centers {
		names[i] = c.Name
	}
	if _, err := l.exec(`DELETE FROM center WHERE name <> ALL ($1::text[])`, names); err != nil {
		return err
	}
	if _, err := l.exec(`INSERT INTO center (name) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING`, names); err != nil {
		return err
	}
	_, err := l.exec(`UPDATE desktop SET deleted_at = now(), `+freeSQL+` WHERE deleted_at IS NULL AND center <> '' AND center <> ALL ($1::text[])`, names)
	return err
}

// writeAssignments removes the assignments that have vanished, and inserts and changes the others. An
// import's stays, unless its desktop has gone or is somebody's by the setup now.
func writeAssignments(l link, in broker.Setup) error {
	n := len(in.Assignments)
	desktops, directories, users := make([]string, n), make([]string, n), make([]string, n)
	for i, a := range in.Assignments {
		desktops[i], directories[i], users[i] = a.Desktop, a.Directory, a.User
	}
	if _, err := l.exec(`DELETE FROM assignment a USING desktop d WHERE d.id = a.desktop_id AND (d.deleted_at IS NOT NULL
		OR a.source = 'setup' AND d.name <> ALL ($1::text[]))`, desktops); err != nil {
		return err
	}
	_, err := l.exec(`INSERT INTO assignment (desktop_id, directory, user_name, position, source)
		SELECT d.id, i.directory, i.user_name, i.ord - 1, 'setup'
		FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS i (desktop, directory, user_name, ord)
		JOIN desktop d ON d.name = i.desktop AND d.deleted_at IS NULL
		ON CONFLICT (desktop_id) DO UPDATE SET directory = excluded.directory, user_name = excluded.user_name, position = excluded.position, source = 'setup'
		WHERE (assignment.directory, assignment.user_name, assignment.position, assignment.source)
			IS DISTINCT FROM (excluded.directory, excluded.user_name, excluded.position, 'setup')`,
		desktops, directories, users)
	return err
}

// measure counts the rows that the transaction has written, for the planner. The server does so by
// itself a minute later; until then it would plan each login for the inventory that there was before,
// and read all desktops for the few that are somebody's. A table that another one counts is left out.
func measure(l link) error {
	_, err := l.exec(`ANALYZE (SKIP_LOCKED) desktop_pool, desktop, assignment`)
	return err
}

// newIDs are ids for rows that may be new.
func newIDs(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = uuid.Must(uuid.NewV7()).String()
	}
	return ids
}
