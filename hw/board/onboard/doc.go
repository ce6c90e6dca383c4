// Package onboard is what an emulated board runs: its tests are the first and
// only process that package board gives it. They are built with the tag
// board, and are of no use elsewhere.
package onboard
