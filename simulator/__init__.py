"""A simulated model provider in its own process, faithful to the published OpenAI and Anthropic APIs.

It serves the demo, the tests and the benchmarks: `python -m simulator --port 9100`.  Any key that begins with
`sim-` is an account; options after `+` in a model's name say how it answers (see `options`), faults break the
answer in every way a network or a server can (see `faults`), and `/_control` shows what arrived (see `control`).
"""
