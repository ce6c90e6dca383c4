// The test host of the LuCI pages is a module of its own, so that a browser's
// driver does not become a dependency of the agent.
module github.com/meshagent/meshagent/openwrt-feed/luci-app-meshagent/test

go 1.26.0

require (
	github.com/chromedp/chromedp v0.23.0
	github.com/meshagent/meshagent v0.0.0
)

require (
	filippo.io/edwards25519 v1.2.0 // indirect
	github.com/chromedp/cdproto v0.159.0 // indirect
	github.com/go-json-experiment/json v0.0.0-20260213210345-44df1a37e875 // indirect
	github.com/tailscale/hujson v0.0.0-20260727124030-b80ff77dac4f // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/meshagent/meshagent => ../../..
