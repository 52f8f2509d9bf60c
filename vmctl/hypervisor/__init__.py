"""The only place that imports libvirt: connection, domain codecs, guest agent, networks, console. Decides nothing."""
