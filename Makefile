# The few commands that people type. `setup.sh` does the work; see README.md.
.PHONY: demo test check bench fuzz

demo:   ## install what is missing, start a server, record a test clip into it, keep serving
	./setup.sh demo

test:   ## install what is missing, run all tests
	./setup.sh test

check:  ## format, lints, documentation
	./setup.sh check

bench:  ## measure a server of this machine
	cargo build --release --locked -p tapelog-api -p tapelog-bench
	cargo run --release --locked -p tapelog-bench

fuzz:   ## feed everything that reads input with what a fuzzer thinks of
	./setup.sh fuzz
