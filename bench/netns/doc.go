// Command netns measures throughput, processor time, delay and memory of
// overlays between two network namespaces on one cable, in one run and by the
// same means: the bare cable, wireguard-go, a stock cjdroute (if CJDROUTE names
// one) and meshagent. README.md says what the figures mean and what they do
// not.
package main
