"""The simulated cloud does what facts/openstack-lab.md sections 4, 5, 6 and 9 and facts/nova.md 4.5-4.8 say: a test a row."""
