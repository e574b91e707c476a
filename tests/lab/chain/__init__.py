"""Two GPU hosts with a real kernel and a real libvirt under a real Nova: `python3 -m tests.lab.chain`, or `make test-chain`."""
