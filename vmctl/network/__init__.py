"""Addresses, managed networks, what dnsmasq is told of them: computed and written here, applied by the hypervisor."""
