// Package lucihost is the other side of the LuCI pages in tests: a web server
// that offers them what LuCI, rpcd and uhttpd offer on a router. README.md
// says what it imitates.
package lucihost

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/meshagent/meshagent/openwrt-feed/luci-app-meshagent/test/po"
)

// Host serves one router.
type Host struct {
	App      string // folder of the app: htdocs, root, po
	Runtime  string // "": ours; else a checkout of LuCI
	Language string // "": English
	Reader   bool   // the session has the read groups only
	UCI      *UCI
	Bus      Bus
	Running  bool                                         // what the service manager says
	Exec     func(command string) (stdout string, rc int) // programs that a page starts
	Router   map[string]any                               // answers of the router's own objects, by "object.method"
	Applied  func(text string)                            // called with the file that was applied

	mu      sync.Mutex
	grants  *grants
	pending string // the file before an apply that is not confirmed; see confirm
	Denied  []string
}

// contentPolicy lets a page load from the router only, and run no code but
// that of files: no inline scripts, no eval.
const contentPolicy = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"

// ServeHTTP implements http.Handler.
func (h *Host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	switch {
	case strings.HasPrefix(path, "/ubus"), strings.HasPrefix(path, "/cgi-bin/luci/admin/ubus"):
		h.serveRPC(w, r)
	case strings.HasPrefix(path, "/cgi-bin/luci/admin/uci/"):
		h.serveUCI(w, strings.TrimPrefix(path, "/cgi-bin/luci/admin/uci/"))
	case strings.HasPrefix(path, "/cgi-bin/luci/admin/translations/"):
		w.Header().Set("Content-Type", "text/javascript")
		fmt.Fprint(w, h.translations())
	case strings.HasPrefix(path, "/cgi-bin/luci/"):
		h.servePage(w, strings.TrimPrefix(path, "/cgi-bin/luci/"))
	case strings.HasPrefix(path, "/module/"):
		h.serveModule(w, strings.TrimSuffix(strings.TrimPrefix(path, "/module/"), ".js"))
	case strings.HasPrefix(path, "/luci-static/"):
		h.serveStatic(w, r, path)
	default:
		http.NotFound(w, r)
	}
}

// serveStatic looks for a file in the app first, as if it were installed.
func (h *Host) serveStatic(w http.ResponseWriter, r *http.Request, path string) {
	dirs := []string{filepath.Join(h.App, "htdocs")}
	if h.Runtime != "" {
		dirs = append(dirs, filepath.Join(h.Runtime, "modules/luci-base/htdocs"), filepath.Join(h.Runtime, "modules/luci-mod-status/htdocs"), filepath.Join(h.Runtime, "themes/luci-theme-bootstrap/htdocs"))
	} else {
		dirs = append(dirs, "runtime")
		path = strings.TrimPrefix(path, "/luci-static/runtime")
	}
	for _, d := range dirs {
		file := filepath.Join(d, filepath.FromSlash(filepath.Clean(path)))
		if info, err := os.Stat(file); err == nil && !info.IsDir() {
			w.Header().Set("Cache-Control", "no-store")
			http.ServeFile(w, r, file)
			return
		}
	}
	http.NotFound(w, r)
}

var requireLine = regexp.MustCompile(`(?m)^'(?:use strict|require\s+(\S+?)(?:\s+as\s+(\w+))?)';\s*$`)

// serveModule gives a class file of the app as a script that hands it to our
// runtime: LuCI's loader makes a function of the text, which needs eval.
func (h *Host) serveModule(w http.ResponseWriter, name string) {
	raw, err := os.ReadFile(filepath.Join(h.App, "htdocs/luci-static/resources", filepath.FromSlash(strings.ReplaceAll(name, ".", "/"))+".js"))
	if err != nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	var classes, names []string
	for _, m := range requireLine.FindAllStringSubmatch(string(raw), -1) {
		if m[1] == "" {
			continue
		}
		as := m[2]
		if as == "" {
			as = regexp.MustCompile(`\W`).ReplaceAllString(m[1], "_")
		}
		classes, names = append(classes, m[1]), append(names, as)
	}
	list, _ := json.Marshal(classes)
	w.Header().Set("Content-Type", "text/javascript")
	fmt.Fprintf(w, "LUCI.define(%q, %s, function(%s) {%s\n});\n", name, list, strings.Join(names, ", "), raw)
}

// env is what LuCI's template tells the page.
func (h *Host) env(path string) string {
	node := map[string]any{"satisfied": true, "readonly": h.Reader}
	raw, _ := json.Marshal(map[string]any{
		"media": "/luci-static/bootstrap", "resource": "/luci-static/resources", "scriptname": "/cgi-bin/luci", "pathinfo": "/" + path,
		"documentroot": "/www", "requestpath": strings.Split(path, "/"), "dispatchpath": strings.Split(path, "/"), "pollinterval": 5,
		"ubuspath": "/ubus/", "sessionid": session, "token": session, "nodespec": node,
		"apply_rollback": 90, "apply_holdoff": 1, "apply_timeout": 5, "apply_display": 1.5, "base_url": "/luci-static/resources",
	})
	return string(raw)
}

// viewOf maps a path of the menu to its view.
func (h *Host) viewOf(path string) string {
	if path == "admin/status/overview" {
		return "status/index"
	}
	var menu map[string]struct {
		Action struct{ Type, Path string } `json:"action"`
	}
	raw, err := os.ReadFile(filepath.Join(h.App, "root/usr/share/luci/menu.d/luci-app-meshagent.json"))
	if err != nil || json.Unmarshal(raw, &menu) != nil {
		return ""
	}
	return menu[path].Action.Path
}

func (h *Host) servePage(w http.ResponseWriter, path string) {
	view := h.viewOf(path)
	if view == "" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	const head = `<!DOCTYPE html><html lang="%s"><head><meta charset="utf-8"><title>router</title><meta name="viewport" content="width=device-width, initial-scale=1">`
	fmt.Fprintf(w, head, html.EscapeString(h.Language))
	translations := `<script src="/cgi-bin/luci/admin/translations/` + html.EscapeString(h.Language) + `"></script>`
	body := `<body class="lang_en" data-page="` + strings.ReplaceAll(path, "/", "-") + `"><header><a class="brand" href="/">router</a><ul class="nav" id="topmenu"></ul><div id="indicators" class="pull-right"></div></header><div id="maincontent" class="container"><div id="tabmenu" style="display:none"></div>`
	if h.Runtime != "" {
		fmt.Fprintf(w, `<link rel="stylesheet" href="/luci-static/bootstrap/cascade.css"><link rel="stylesheet" media="only screen and (max-device-width: 854px)" href="/luci-static/bootstrap/mobile.css" />%s<script src="/luci-static/resources/cbi.js"></script></head>%s<script src="/luci-static/resources/luci.js"></script><script>L = new LuCI(%s);</script><div id="view"><script>L.require('ui').then(function(ui) { ui.instantiateView('%s'); });</script></div></div></body></html>`,
			translations, body, strings.ReplaceAll(h.env(path), "/", `\/`), view)
		return
	}
	w.Header().Set("Content-Security-Policy", contentPolicy)
	fmt.Fprintf(w, `<link rel="stylesheet" href="/luci-static/runtime/style.css">%s`, translations)
	for _, f := range []string{"core.js", "data.js", "ui.js", "form.js", "start.js"} {
		fmt.Fprintf(w, `<script src="/luci-static/runtime/%s"></script>`, f)
	}
	fmt.Fprintf(w, `</head>%s<div id="view" data-view="%s" data-env="%s"></div></div></body></html>`, body, view, html.EscapeString(h.env(path)))
}

// serveUCI is what LuCI's dispatcher does below admin/uci: apply with the
// promise to take it back, and confirm.
func (h *Host) serveUCI(w http.ResponseWriter, verb string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch verb {
	case "apply_rollback", "apply_unchecked":
		if len(h.UCI.changes) == 0 || h.Reader {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		h.pending = h.UCI.Text()
		h.UCI.Commit()
		if h.Applied != nil {
			h.Applied(h.UCI.Text())
		}
		if verb == "apply_unchecked" {
			h.pending = ""
			w.WriteHeader(http.StatusNoContent)
			return
		}
		fmt.Fprintf(w, `{"token":%q}`, session)
	case "confirm":
		if h.pending == "" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		h.pending = ""
		fmt.Fprint(w, `{}`)
	case "revert":
		h.UCI.Revert()
		fmt.Fprint(w, `{}`)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// translations is the script that gives a page its words. For LuCI the keys
// are hashes of the messages, for our runtime the messages themselves.
func (h *Host) translations() string {
	words := map[string]string{}
	if raw, err := os.ReadFile(filepath.Join(h.App, "po", filepath.Base(h.Language), "meshagent.po")); err == nil && h.Language != "" {
		list, _ := po.Parse(string(raw))
		for _, e := range list {
			key := e.ID
			if h.Runtime != "" {
				key = fmt.Sprintf("%08x", po.Hash(e.ID))
			}
			words[key] = e.Text
		}
	}
	raw, _ := json.Marshal(words)
	return "window.TR = " + string(raw) + ";\n"
}
