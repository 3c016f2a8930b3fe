"""What if the truth were known? A simulated Plateau, its truth, and the provider files that would describe it.

The twin is an observing-system experiment: a *truth* (``truth``) is simulated on the fine grid, a second land model
with its own physics and errors (``era5_land_like``) plays ERA5-Land, an orbit, an antenna and noise (``smap_like``)
play SMAP, and point sensors (``stations``) play the in-situ networks. ``month.write_month`` writes one month of all
of them in the providers' layouts. Nothing here is tuned to a method, and no physics is shared with the pipeline.
"""
