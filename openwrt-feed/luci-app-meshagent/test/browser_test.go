package lucihost

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// Sizes of the two screens that the pages are judged on.
const (
	phone   = 360
	desktop = 1200
)

// browser is one Chromium for all tests; each test has a tab of its own.
var browser context.Context

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	program := os.Getenv("CHROMIUM")
	if program == "" {
		for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
			if p, err := exec.LookPath(name); err == nil {
				program = p
				break
			}
		}
	}
	if program == "" {
		return m.Run() // tests of the pages are skipped and say so
	}
	profile, err := os.MkdirTemp("", "meshagent-luci-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(profile)
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(program), chromedp.UserDataDir(profile))
	for _, flag := range []string{"no-sandbox", "disable-gpu", "disable-quic", "disable-component-update", "hide-scrollbars"} {
		options = append(options, chromedp.Flag(flag, true))
	}
	alloc, stop := chromedp.NewExecAllocator(context.Background(), options...)
	defer stop()
	ctx, cancel := chromedp.NewContext(alloc)
	defer cancel()
	if err := chromedp.Do(ctx); err != nil {
		panic("the browser does not start: " + err.Error())
	}
	browser = ctx
	return m.Run()
}

// page is one page of one host in a tab.
type page struct {
	t    *testing.T
	ctx  context.Context
	host *Host

	width int64
}

const stockConfig = "testdata/meshagent"

// newHost makes a router with the recorded agent and its configuration.
func newHost(t *testing.T) (*Host, *Recorded) {
	t.Helper()
	bus, err := LoadRecorded("testdata/recorded")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(stockConfig)
	if err != nil {
		t.Fatal(err)
	}
	uci, err := ParseUCI(string(raw))
	if err != nil {
		t.Fatal(err)
	}
	return &Host{App: appDir(), UCI: uci, Bus: bus, Running: true, Runtime: os.Getenv("LUCI_ROOT"), Router: router()}, bus
}

// router has the answers of the router's own objects: a radio of which the
// neighbour is a station, and a default route.
func router() map[string]any {
	return map[string]any{
		"iwinfo.devices":              map[string]any{"devices": []any{"phy0-mesh0", "wlan9"}},
		"iwinfo.info.phy0-mesh0":      map[string]any{"mode": "Ad-Hoc", "ssid": "mesh.demo", "channel": 6, "signal": -61},
		"iwinfo.assoclist.phy0-mesh0": map[string]any{"results": []any{map[string]any{"mac": "02:BA:00:00:02:00", "signal": -61}}},
		"network.interface.dump": map[string]any{"interface": []any{
			map[string]any{"interface": "wan", "up": true, "l3_device": "pppoe-wan", "route": []any{map[string]any{"target": "0.0.0.0", "mask": 0}}},
			map[string]any{"interface": "lan", "up": true, "l3_device": "br-lan", "route": []any{}},
		}},
		"luci-rpc.getNetworkDevices": map[string]any{"lo": map[string]any{}, "br-lan": map[string]any{}, "eth0": map[string]any{}, "wlan0": map[string]any{}},
	}
}

// open shows a page of the host on a screen of the given width.
func open(t *testing.T, h *Host, path string, width int64) *page {
	t.Helper()
	if browser == nil {
		t.Skip("NOT RUN: no chromium here; set CHROMIUM to the program")
	}
	if testing.Short() {
		t.Skip("short")
	}
	srv := httptest.NewServer(h)
	ctx, cancel := chromedp.NewContext(browser)
	ctx, cancel2 := context.WithTimeout(ctx, 90*time.Second)
	p := &page{t, ctx, h, width}
	t.Cleanup(func() {
		if t.Failed() {
			p.shoot("FAILED-" + strings.ReplaceAll(t.Name(), "/", "-"))
		}
		cancel2()
		cancel()
		srv.Close()
	})
	screen := chromedp.EmulateViewport(width, 800)
	if width == phone { // themes ask for the width of the device
		screen = chromedp.EmulateViewport(width, 800, chromedp.EmulateMobile)
	}
	p.run(screen, chromedp.Navigate(srv.URL+"/cgi-bin/luci/"+path))
	return p
}

func (p *page) run(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, actions...); err != nil {
		p.t.Fatalf("%v; page: %s", err, p.body())
	}
}

func (p *page) body() string {
	ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
	defer cancel()
	text, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body ? document.body.innerText : ''`))
	return text
}

// js runs a script in the page, with the rights of the developer tools.
func js[T any](p *page, script string) T {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](script))
	if err != nil {
		p.t.Fatalf("%s: %v; page:\n%s", script, err, p.body())
	}
	return v
}

// wait waits until a condition of the page is true.
func (p *page) wait(condition string) {
	p.t.Helper()
	for range 200 {
		if js[bool](p, "!!("+condition+")") {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	p.t.Fatalf("never true: %s; failures: %v; page:\n%s", condition, js[[]string](p, "window.failures || []"), p.body())
}

// waitText waits until an element has the text in it.
func (p *page) waitText(selector, text string) {
	p.t.Helper()
	p.wait("(document.querySelector(" + quote(selector) + ")||{textContent:''}).textContent.includes(" + quote(text) + ")")
}

func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`, "\r", `\r`).Replace(s) + "'"
}

// text is the text of the first element that fits, shown or not.
func (p *page) text(selector string) string {
	p.t.Helper()
	return js[string](p, "(document.querySelector("+quote(selector)+")||{}).textContent || ''")
}

// click clicks on the first element that fits and holds the text.
func (p *page) click(selector, text string) {
	p.t.Helper()
	if !js[bool](p, "(function(){var e=Array.from(document.querySelectorAll("+quote(selector)+")).filter(function(e){return e.textContent.includes("+quote(text)+")})[0]; if(e) e.click(); return !!e;})()") {
		p.t.Fatalf("nothing to click: %s %q; page:\n%s", selector, text, p.body())
	}
}

// fill types into a field, replacing what is there.
func (p *page) fill(selector, text string) {
	p.t.Helper()
	if !js[bool](p, "(function(){var e=document.querySelector("+quote(selector)+"); if(e){e.value="+quote(text)+"; e.dispatchEvent(new Event('input',{bubbles:true})); e.dispatchEvent(new Event('change',{bubbles:true}));} return !!e;})()") {
		p.t.Fatalf("no field %s; page:\n%s", selector, p.body())
	}
}

// tab shows a tab of the page.
func (p *page) tab(name string) {
	p.t.Helper()
	p.click(`.cbi-tabmenu > [data-tab="`+name+`"] a`, "")
}

// shoot keeps a picture of the whole page.
func (p *page) shoot(name string) {
	dir := os.Getenv("LUCI_ARTEFACTS")
	if dir == "" {
		return
	}
	if p.host.Runtime != "" {
		name = "real-" + name
		time.Sleep(600 * time.Millisecond) // its theme fades pages in
	}
	png, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		p.t.Logf("no picture: %v", err)
		return
	}
	_ = os.MkdirAll(dir, 0o755)
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600); err != nil {
		p.t.Log(err)
	}
}

// sound fails the test if anything went wrong in the page: an exception, a
// breach of the content policy, a call without a grant, or a page that is
// wider than its screen.
func (p *page) sound() {
	p.t.Helper()
	if f := js[[]string](p, "window.failures || []"); len(f) > 0 {
		p.t.Errorf("the page failed: %s", strings.Join(f, "\n"))
	}
	if w := js[int64](p, "document.documentElement.scrollWidth"); w > p.width {
		wide := js[string](p, `Array.from(document.querySelectorAll('body *')).filter(function(e){return e.getBoundingClientRect().right > `+fmt.Sprint(p.width)+` + 1}).slice(-3).map(function(e){return e.outerHTML.substr(0,200)}).join('\n')`)
		p.t.Errorf("the page is %d wide on a screen of %d: %s", w, p.width, wide)
	}
}

// appDir is the app, or the folder that LUCI_APP names: what a build made of
// it, minified for example.
func appDir() string {
	if dir := os.Getenv("LUCI_APP"); dir != "" {
		return dir
	}
	return ".."
}
