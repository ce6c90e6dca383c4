package admin

import (
	"fmt"
	"io"
	"time"

	"github.com/meshagent/meshagent/agent/community"
)

// day writes a time as a day; "-" for none.
func day(unix int64) string {
	if unix == 0 {
		return "-"
	}
	return time.Unix(unix, 0).UTC().Format(time.DateOnly)
}

// WriteCommunity prints a community on one screen.
func WriteCommunity(w io.Writer, s community.Status) error {
	if !s.In {
		_, err := fmt.Fprintln(w, "in no community: begin one with meshagent community create NAME, or enter one with meshagent join TOKEN")
		return err
	}
	t := newTable(w)
	t.row("community", fmt.Sprintf("%s (%s)", s.Name, s.ID))
	this := s.Standing
	if s.Note != "" {
		this += ", " + s.Note
	}
	if s.NotAfter != 0 {
		this += ", until " + day(s.NotAfter)
	}
	t.row("this node", this)
	clock := "set by a time server"
	if !s.ClockSure {
		clock = "unsure, at least"
	}
	t.row("clock", clock+" "+time.Unix(s.Time, 0).UTC().Format("2006-01-02 15:04 UTC"))
	if len(s.Drops) > 0 {
		counts := make(map[string]int64, len(s.Drops))
		for name, n := range s.Drops {
			counts[name] = int64(n) //nolint:gosec // a counter of messages
		}
		t.row("drops", drops(counts))
	}
	if err := t.flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	t = newTable(w)
	t.row("ADMIN", "STANDING", "SINCE", "UNTIL", "NOTE")
	for _, n := range s.Admins {
		t.row(n.IP, n.Standing, day(n.Joined), day(n.NotAfter), communityNote(n))
	}
	if err := t.flush(); err != nil {
		return err
	}
	if len(s.Members) > 0 {
		fmt.Fprintln(w)
		t = newTable(w)
		t.row("MEMBER", "STANDING", "SINCE", "UNTIL", "INVITE", "NOTE")
		for _, n := range s.Members {
			t.row(n.IP, n.Standing, day(n.Joined), day(n.NotAfter), dash(n.Invite), communityNote(n))
		}
		if err := t.flush(); err != nil {
			return err
		}
	}
	if len(s.Revoked) > 0 {
		fmt.Fprintln(w)
		t = newTable(w)
		t.row("REVOKED", "REASON", "BY")
		for _, r := range s.Revoked {
			by := r.By
			if !r.Counts {
				by += ", who is revoked: does not count"
			}
			t.row(r.What+" "+r.ID, r.Reason, by)
		}
		if err := t.flush(); err != nil {
			return err
		}
	}
	for _, n := range s.Members {
		if n.Role == community.RoleAdmin.String() && n.Standing == community.StandingMember.String() {
			if _, err := fmt.Fprintf(w, "\n%s was invited to be an admin: meshagent community admin add %s --root LINE\n", n.IP, n.PublicKey); err != nil {
				return err
			}
		}
	}
	return nil
}

func communityNote(n community.NodeStatus) string {
	switch {
	case n.Self && n.Note != "":
		return "this node, " + n.Note
	case n.Self:
		return "this node"
	}
	return n.Note
}

// WriteInvites prints the book of invites.
func WriteInvites(w io.Writer, l InviteList) error {
	if len(l.Invites) == 0 {
		_, err := fmt.Fprintln(w, "no invites: make one with meshagent invite")
		return err
	}
	t := newTable(w)
	t.row("INVITE", "KIND", "STATE", "USED", "MADE", "UNTIL", "BY", "NOTE")
	for _, v := range l.Invites {
		kind, used := v.Role, fmt.Sprintf("%d/%d", v.Used, v.Uses)
		if v.Kind == "stock" {
			kind, used = v.Kind, "-"
		}
		t.row(v.ID, kind, v.State, used, day(v.Made), day(v.NotAfter), dash(v.By), v.Note)
	}
	return t.flush()
}
