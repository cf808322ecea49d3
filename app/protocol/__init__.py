"""The vocabulary of the relay: plain values and pure functions, no I/O at all."""
