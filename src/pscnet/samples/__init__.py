"""Which channel: from regridded files to the net's tensors and back, and the normaliser."""
