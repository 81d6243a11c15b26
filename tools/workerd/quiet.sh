#!/bin/sh
# workerd for benchmarks: what it writes to standard output goes nowhere. Through a pipe, waking whoever reads a line costs more
# than writing it, and that reader takes the time of a core too.
exec "$VEDETTE_WORKERD" "$@" >/dev/null
