// Command air measures the mesh on the real Wi-Fi of Linux, with simulated
// radios (package hw/air): how long it takes to leave a radio link that became
// bad, beside the kernel's batman-adv on the same air, and what an agent costs
// when nothing happens.
//
// See README.md.
package main
