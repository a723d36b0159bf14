"""The steps of the Dockerfile without a container engine: in a chroot, as root, and what they yield is tried."""
