package mesh

import "time"

// converge runs w until everybody has a way to everybody and knows his
// clients and what he takes part in.
func converge(w *world) {
	w.t.Helper()
	w.until(3*time.Minute, "routes and clients", func() bool {
		for _, a := range w.nodes {
			for _, b := range w.nodes {
				if a == b {
					continue
				}
				o := a.m.originator(hardMAC(b.id, 0))
				if o == nil || a.m.router(o, nil) == nil || o.dat.capable != b.cfg.DAT {
					return false
				}
				if at, _ := a.m.ttFind(b.mac, 0); at != o {
					return false
				}
			}
		}
		return true
	})
}
